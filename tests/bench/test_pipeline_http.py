"""The HTTP benchmark runs, checks what it measures, and its targets can be missed."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from arion_lib.bench._nursery import ChildFailed, Nursery
from arion_lib.bench.pipeline_http import (
    EACH,
    OURS,
    PostComparison,
    PostRow,
    long_body,
    peak_rss,
    server_memory,
    single_events,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_the_three_tables_name_us_and_our_targets(tmp_path: Path) -> None:
    with Nursery() as nursery:
        body = long_body(nursery, tmp_path, 1_500_000, 1)
        memory = server_memory(nursery, tmp_path, 1_500_000)
        posts = single_events(nursery, tmp_path, 1, posts=200)
    assert body["ours: deduplicated, SQLite, outbox"].targets
    assert "1.5 MB body" in memory.table()
    assert set(posts.verdicts) == {"18,000 events/s", "p99 under 20 ms", f"4x {EACH}"}
    assert posts.as_dict()["rows"][0]["rates"]
    assert not list(tmp_path.glob("*.ndjson"))


@pytest.mark.parametrize(
    ("rate", "p99", "each", "verdicts"),
    [(20_000.0, 0.01, 4_000.0, [True, True, True]), (10_000.0, 0.03, 5_000.0, [False, False, False])],
)
def test_targets_of_posts_are_kept_or_missed(rate: float, p99: float, each: float, verdicts: list[bool]) -> None:
    found = PostComparison(
        "",
        (PostRow(OURS, (rate, rate), (0.001, 0.001), (p99, p99)), PostRow(EACH, (each, each), (0.1, 0.1), (0.1, 0.1))),
    )
    assert list(found.verdicts.values()) == verdicts
    assert found.ok == all(verdicts)
    assert found.table().count("NO") == verdicts.count(False)


def test_a_peak_is_at_least_what_is_held_now() -> None:
    me = psutil.Process()
    assert peak_rss(me.pid) >= me.memory_info().rss - 1_000_000


def fails(args: list[str]) -> int:
    raise SystemExit(3)


def test_a_child_that_ends_before_it_is_ready_is_an_error() -> None:
    with Nursery() as nursery, pytest.raises(ChildFailed, match="must say when it is ready"):
        nursery.start(fails, [])
