"""The HTTP benchmark runs, checks what it measures, and its targets can be missed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from arion_lib.bench.pipeline.http import (
    EACH,
    NOTHING,
    OURS,
    Role,
    long_body,
    posts_table,
    server_memory,
    serving,
    single_events,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_the_three_tables_name_us_and_our_targets(tmp_path: Path) -> None:
    body = long_body(tmp_path, 1_500_000, 1)
    memory = server_memory(tmp_path, 1_500_000)
    posts = single_events(tmp_path, 1, posts=200)
    assert [verdict.target for verdict in body.verdicts] == ["ours: deduplicated, SQLite, outbox: speed at least 0.5x"]
    assert "1.5 MB body" in memory.table()
    assert [verdict.target for verdict in posts.verdicts if verdict.target.startswith(f"{OURS}:")] == [
        f"{OURS}: speed at least 0.55x {NOTHING}",
        f"{OURS}: speed at least 4x {EACH}",
        f"{OURS}: p99, best round: at most 20.0 ms",
    ]
    assert posts.as_dict()["rates"][OURS]
    assert not list(tmp_path.glob("*.ndjson"))


@dataclass
class Sent:
    """What a sender found: posts a second, and the seconds that an answer took."""

    per_second: float
    seconds: float

    def quantile(self, share: float) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("rate", "p99", "each", "kept"),
    [(20_000.0, 0.01, 4_000.0, [True, True, True]), (10_000.0, 0.03, 5_000.0, [False, False, False])],
)
def test_targets_of_posts_are_kept_or_missed(rate: float, p99: float, each: float, kept: list[bool]) -> None:
    loads = {OURS: [Sent(rate, p99)] * 2, EACH: [Sent(each, 0.1)] * 2, NOTHING: [Sent(30_000.0, 0.001)] * 2}
    found = posts_table(loads)
    assert [verdict.met for verdict in found.verdicts] == kept
    assert found.ok == all(kept)
    assert found.table().count("MISSED") == kept.count(False)


def fails(args: list[str]) -> int:
    raise SystemExit(3)


def says_nothing(args: list[str]) -> int:
    return 0


@pytest.mark.parametrize(("role", "why"), [(fails, "SystemExit: 3"), (says_nothing, "must say its URL")])
def test_a_server_that_ends_before_it_is_ready_is_an_error(role: Role, why: str) -> None:
    with pytest.raises(RuntimeError, match=why), serving(role, []):
        pytest.fail("there is no server")
