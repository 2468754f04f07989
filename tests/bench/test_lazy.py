"""The lazy benchmark: contenders agree, the tables can say no."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from arion_lib.bench import _lazy_peers as peers
from arion_lib.bench import lazy as bench

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


def test_a_figure_beyond_its_limit_is_a_no() -> None:
    good, bad = bench.Figure("a", 1.0, "1", 2.0, "2"), bench.Figure("b", 3.0, "3", 2.0, "2")
    assert bench.Figures("t", (good,)).ok
    assert not bench.Figures("t", (good, bad)).ok
    assert "NO" in bench.Figures("t", (good, bad)).table()


def test_a_pipeline_that_holds_its_input_is_seen_to_grow() -> None:
    holds: Any = bench._growth("lists", lambda xs: len([x + 1000 for x in xs]), 1_000)
    streams: Any = bench._growth("sums", lambda xs: sum(x for x in xs), 1_000)
    assert not holds.ok
    assert streams.ok


def test_a_wrong_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        bench.run(["--size", "5"])
    assert stopped.value.code == 2
    assert "--size must be >= 1000, got 5" in capsys.readouterr().err
