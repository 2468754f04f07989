"""The webhook with a sender beside it: real, bounded, and gone afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from arion_lib.pipeline.batch import Batch
from arion_lib.web.playing.load import LoadGenerator, new_loop_run
from arion_lib.web.playing.playground import BURSTS, CONNECTIONS, Playground, SlowStore, playground


def until(read: Callable[[], Mapping[str, float]], true: Callable[[Mapping[str, float]], bool]) -> Mapping[str, float]:
    """Read until it is true; a bound only so that a broken test ends."""
    for _ in range(3_000):
        figures = read()
        if true(figures):
            return figures
        time.sleep(0.01)
    raise AssertionError(f"never came true, last {figures}")


@pytest.fixture
def warm() -> None:
    """Have what a process opens once and keeps: libuv's signal pipe, multiprocessing's shared heap."""
    new_loop_run(asyncio.sleep(0))
    LoadGenerator("http://127.0.0.1:1")


@pytest.mark.usefixtures("warm", "no_leaks")
def test_a_slow_sink_bounds_the_queue_and_holds_the_sender_back_and_nothing_is_lost() -> None:
    with playground() as play:
        play.turn("rate", 3_000)
        until(play.read, lambda f: f["stored"] > 0)
        assert play.counts()["refused"] == play.counts()["failed"] == 0
        play.turn("delay", 200)
        slow = until(play.read, lambda f: f["waiting at the sender"] > 100 and f["waiting in the server"] > 0)
        assert slow["waiting in the server"] <= CONNECTIONS
        play.turn("rate", 0)
        waited = play.counts()["sent"] + play.counts()["waiting"]
        play.turn("delay", 0)
        until(play.read, lambda f: f["waiting in the server"] == f["waiting at the sender"] == 0)
        until(play.counts, lambda counts: counts["accepted"] == counts["sent"])
        counts = play.counts()
    assert counts["stored"] == counts["accepted"] == counts["sent"] >= waited  # those that waited came later


class Load:
    """A sender that sends nothing, to look at the rate alone."""

    rate = 0.0

    def counts(self) -> dict[str, int]:
        return {"sent": 0, "accepted": 0, "refused": 0, "failed": 0, "waiting": 0}


class Service:
    class webhook:  # noqa: N801
        class figures:  # noqa: N801
            in_flight = 0


def test_bursts_are_twice_the_rate_and_then_nothing(tmp_path: Path) -> None:
    now = [100.0]
    load = Load()
    with SlowStore(tmp_path / "x.db") as store:
        play = Playground(Service(), store, load, clock=lambda: now[0])  # type: ignore[arg-type]
        play.turn("rate", 1_000)
        assert load.rate == 1_000
        play.turn("pattern", BURSTS)
        rates = []
        for now[0] in (101.0, 103.0, 105.0, 107.0):
            play.read()
            rates.append(load.rate)
    assert rates == [2_000, 0, 2_000, 0]


def test_a_slow_store_is_slow_and_still_a_store(tmp_path: Path) -> None:
    with SlowStore(tmp_path / "x.db") as store:
        store.delay = 1 / 16  # whole steps of a clock of 1/64 s, which would show less of any other
        began = time.monotonic()
        store.commit(Batch("s", rows=[b"{}"]))
        assert time.monotonic() - began >= 1 / 16
        assert store.status().rows == 1


def test_an_unknown_knob_is_refused(tmp_path: Path) -> None:
    with SlowStore(tmp_path / "x.db") as store:
        play = Playground(Service(), store, Load())  # type: ignore[arg-type]
        with pytest.raises(KeyError, match="rate, pattern or delay"):
            play.turn("volume", 11)
