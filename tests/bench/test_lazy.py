"""The lazy benchmark: contenders agree, the tables can say no."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from arion_lib.bench import lazy as bench
from arion_lib.bench.lazy import workloads as peers

WORKLOADS = [
    peers.map_filter_map_sum,
    peers.five_maps_two_filters,
    peers.batch_and_sum,
    peers.flat_map_and_sum,
    peers.count_by,
    peers.to_list,
    peers.page,
]


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_all_installed_contenders_return_the_same(workload: Callable[[range], peers.Workload]) -> None:
    results = []
    for contender in workload(range(5_000)).values():
        try:
            results.append(contender())
        except ModuleNotFoundError:
            continue
    assert all(result == results[0] for result in results)
    assert len(results) >= 3


def test_a_pipeline_that_holds_its_input_is_seen_to_grow() -> None:
    holds = bench.peaks(lambda xs: len([x + 1000 for x in xs]), 1_000)
    streams = bench.peaks(lambda xs: sum(x for x in xs), 1_000)
    assert [verdict.met for verdict in bench.growth({"lists": holds, "sums": streams}).verdicts] == [False, True]


def test_a_wrong_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        bench.run(["--size", "5"])
    assert stopped.value.code == 2
    assert "--size must be >= 1000, got 5" in capsys.readouterr().err
