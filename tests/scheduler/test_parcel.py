"""A call that cannot travel leaves nothing in the message that the next calls are in."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy
import pytest

from arion_lib.scheduler import NotTransferableError, Scheduler
from arion_lib.scheduler.parcel import Parcel
from tests.scheduler.jobs import first_item, first_items


def test_a_call_that_cannot_travel_gives_none_of_its_arrays_to_the_next_calls(no_leaks: None) -> None:
    """Its first dependency is an array that is packed already, its second a lock that cannot be."""
    go = threading.Event()
    with Scheduler(1) as scheduler:
        for _ in range(3):  # short, as is known from now on: several travel in one message
            scheduler.submit(first_item, numpy.zeros(4000)).result()
            scheduler.submit(first_items, numpy.zeros(2), numpy.zeros(2)).result()
        threads = scheduler.with_options(lane="threads")
        array, lock = threads.submit(numpy.full, 4000, 111.0), threads.submit(threading.Lock)
        after = scheduler.with_options(after=threads.submit(go.wait))
        bad = after.submit(first_items, array, lock)
        good = [after.submit(first_item, numpy.full(4000, float(number))) for number in range(1, 8)]
        go.set()
        assert [task.result(20) for task in good] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
        with pytest.raises(NotTransferableError):
            bad.result(20)


def parcel_after_a_failed_call() -> Parcel:
    with Scheduler(0) as scheduler:
        threads = scheduler.with_options(lane="threads")
        array, lock = threads.submit(numpy.full, 4000, 111.0), threads.submit(threading.Lock)
        array.result(20), lock.result(20)
        bad = scheduler.submit(first_items, array, lock)
        scheduler._core.ask(lambda: None)  # it is admitted
        parcel = Parcel(SimpleNamespace(known=set(), number=1))  # type: ignore[arg-type]
        with pytest.raises(NotTransferableError):
            parcel.add(bad)
        bad.cancel()
    return parcel


def test_a_parcel_is_as_it_was_before_a_call_that_cannot_travel() -> None:
    parcel = parcel_after_a_failed_call()
    assert (parcel.buffers, parcel.calls, parcel.functions, parcel.worker.known) == ([], [], [], set())


def test_the_control_a_parcel_filled_step_by_step_keeps_the_first_array(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = Parcel._packed

    def into_the_message(self: Parcel, task: Any, call: Any, _buffers: Any) -> tuple[Any, ...]:
        return packed(self, task, call, self.buffers)

    monkeypatch.setattr(Parcel, "_packed", into_the_message)
    assert parcel_after_a_failed_call().buffers
