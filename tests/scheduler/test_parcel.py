"""A call that cannot travel leaves nothing in the message that the next calls are in."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy
import pytest

from arion_lib.scheduler import NotTransferableError, Scheduler
from arion_lib.scheduler.processes import frames
from arion_lib.scheduler.processes.parcel import Parcel
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


def firsts(*arrays: Any) -> list[float]:
    return [float(array[0]) for array in arrays]


def test_a_call_gets_its_own_arrays_and_those_that_it_needs_each_in_its_place(no_leaks: None) -> None:
    with Scheduler(1) as scheduler:
        one, two = scheduler.submit(numpy.full, 4000, 1.0), scheduler.submit(numpy.full, 5000, 2.0)
        one.result(20), two.result(20)  # they travel with the call
        calls = [scheduler.submit(firsts, numpy.full(6000, 3.0), two, numpy.full(7000, 4.0), one) for _ in range(5)]
        assert [task.result(20) for task in calls] == [[3.0, 2.0, 4.0, 1.0]] * 5


def parcel_after_a_failed_call() -> Parcel:
    with Scheduler(0) as scheduler:
        threads = scheduler.with_options(lane="threads")
        array, lock = threads.submit(numpy.full, 4000, 111.0), threads.submit(threading.Lock)
        array.result(20), lock.result(20)
        bad = scheduler.submit(first_items, array, lock)
        scheduler._core.ask(lambda: None)  # it is admitted
        parcel = Parcel(SimpleNamespace(known=set(), passing={}, forgettable=tuple))  # type: ignore[arg-type]
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


def only_small(message: Any, *rest: Any) -> Any:
    """Stand for marshal's own limit, 2 GiB, by one of 1 MiB."""
    made = REAL(message, *rest)
    if len(made[0] if isinstance(made, list) else made) > 1 << 20:
        raise ValueError("unmarshallable object")
    return made


REAL: Any = frames.frame


@pytest.mark.posix("the worker is forked, so that it has the same limit")
def test_a_call_too_large_for_a_frame_fails_alone(no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arion_lib.scheduler.processes.worker_handle.frame", only_small)
    with Scheduler(1) as scheduler:
        for _ in range(3):
            scheduler.submit(len, b"warm").result(20)
        good = [scheduler.submit(len, b"x" * n) for n in range(20)]
        bad = scheduler.submit(len, b"x" * (1 << 21))
        good += [scheduler.submit(len, b"x" * n) for n in range(20, 40)]
        assert [task.result(20) for task in good] == list(range(40))
        with pytest.raises(NotTransferableError, match="2 GiB"):
            bad.result(20)


def test_a_function_whose_first_call_was_too_large_can_be_called_again(
    no_leaks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arion_lib.scheduler.processes.worker_handle.frame", only_small)
    with Scheduler(1) as scheduler:
        with pytest.raises(NotTransferableError, match="2 GiB"):
            scheduler.submit(len, b"x" * (1 << 21)).result(20)
        assert scheduler.submit(len, b"x").result(20) == 1


def test_a_function_that_an_error_kept_from_a_worker_can_be_called_again(
    no_leaks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scheduler(1) as scheduler:
        with monkeypatch.context() as patched:
            patched.setattr("arion_lib.scheduler.processes.parcel.Sending.post", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                scheduler.submit(len, b"x").result(20)
        assert scheduler.submit(len, b"x").result(20) == 1


def large(size: int) -> bytes:
    return b"x" * size


@pytest.mark.posix("the worker is forked, so that it has the same limit")
def test_a_result_too_large_for_a_frame_fails_alone(no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def small_frame(message: Any) -> bytes:
        made: bytes = REAL(message)[0]
        if len(made) > 1 << 20:
            raise ValueError("unmarshallable object")
        return made

    monkeypatch.setattr("arion_lib.scheduler.processes.worker.small_frame", small_frame)
    with Scheduler(1, start_method="fork") as scheduler:
        bad = scheduler.submit(large, 1 << 21)
        assert scheduler.submit(len, b"xx").result(20) == 2
        with pytest.raises(NotTransferableError, match="cannot travel"):
            bad.result(20)


@pytest.mark.thorough
def test_an_argument_of_two_gigabytes_harms_nobody(no_leaks: None) -> None:
    with Scheduler(1) as scheduler:
        bad = scheduler.submit(len, b"x" * (2**31 + 10))
        assert scheduler.submit(len, b"xx").result(60) == 2
        with pytest.raises(NotTransferableError, match="2 GiB"):
            bad.result(60)
