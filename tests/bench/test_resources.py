"""The resources benchmark: contenders do the same work, the tables can say no."""

from __future__ import annotations

import pytest

from arion_lib.bench import resources as bench
from arion_lib.bench.resources import workloads as peers


@pytest.mark.parametrize("workload", [peers.synchronous, peers.asynchronous])
def test_every_installed_contender_opens_and_closes_the_same_number(workload: object) -> None:
    done = {}
    for name, contender in workload(3, 5).items():  # type: ignore[operator]
        peers.Trivial.opened = peers.Trivial.closed = 0
        try:
            contender()
        except ModuleNotFoundError:
            continue
        done[name] = (peers.Trivial.opened, peers.Trivial.closed)
    assert len(done) >= 2
    assert set(done.values()) == {(15, 15)}


@pytest.mark.alone
def test_memory_that_grows_is_seen_to_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []

    class Hoarder:
        def __enter__(self) -> None:
            kept.append(bytes(100))

        def __exit__(self, *exc: object) -> None: ...

    flat = bench._growth(6_000)
    monkeypatch.setattr(peers, "Trivial", Hoarder)
    assert bench._growth(6_000) > bench.GROWTH > flat
