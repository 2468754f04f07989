"""The same ranges and the same stages on a real Dask cluster, its workers processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from arion_lib.pipeline.files.ranges import aggregate_file
from arion_lib.pipeline.files.sample import write_sample


# Warnings of dask's own; its pool for serialising keeps a thread for as long as the process lives, hence no `no_leaks`.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_ranges_are_read_on_a_dask_cluster(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    path = tmp_path / "events"
    expected = write_sample(path, 4_000_000)
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            local_directory=str(tmp_path / "dask"),
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        seen = []

        def on_the_cluster(question: Callable[..., Any], parts: Sequence[Any]) -> Any:
            answers = client.map(question, parts)
            distributed.wait(answers)
            seen.extend(worker for workers in client.who_has(answers).values() for worker in workers)
            return client.gather(answers)

        answer = aggregate_file(path, ["type"], "amount", size=500_000, map=on_the_cluster)
    totals = {str(key[0]): (cell.count, cell.sum) for key, cell in answer.groups.items()}
    assert (answer.records, answer.malformed, totals) == (expected.records, expected.malformed, expected.totals)
    assert len(set(seen)) == 2  # both workers had a part in it
