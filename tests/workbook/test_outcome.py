"""Whatever a reader's code does becomes a value."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator
from itertools import count

import pytest

from arion_lib.workbook.checking import outcome
from arion_lib.workbook.checking.outcome import Counted, Kind, Outcome, ReadAhead, first, run


def forever() -> None:
    while True:
        pass


def stubborn() -> None:
    end = threading.Event()
    while not end.is_set():
        try:
            forever()
        except BaseException:  # noqa: BLE001 - what a stubborn answer does, once
            end.set()


def raising(error: BaseException) -> None:
    raise error


def test_an_endless_loop_is_stopped_and_leaves_no_thread() -> None:
    before = threading.active_count()
    assert run(forever, seconds=0.05) == Outcome(Kind.TIME, 0.05)
    assert run(stubborn, seconds=0.05).kind is Kind.TIME
    assert threading.active_count() == before


@pytest.mark.parametrize("when", [1, 2])
def test_a_ctrl_c_in_a_check_ends_the_answer_and_settles(when: int, monkeypatch: pytest.MonkeyPatch) -> None:
    really, joins, settled = threading.Thread.join, itertools.count(1), []

    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        if next(joins) == when:
            raise KeyboardInterrupt
        really(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", join)
    monkeypatch.setattr(outcome, "settle", lambda: settled.append(True))
    with pytest.raises(KeyboardInterrupt):
        run(forever, seconds=0.05)
    monkeypatch.undo()
    assert settled
    for thread in threading.enumerate():
        if thread.name == "check":
            thread.join()


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), StopIteration(), RecursionError("deep")]
)
def test_an_exception_of_any_kind_is_an_outcome(error: BaseException) -> None:
    assert run(lambda: raising(error)).value == type(error).__name__


def test_a_function_is_named_by_its_own_name() -> None:
    def on_bad(number: int, line: bytes) -> None:
        raise AssertionError

    outcome = run(lambda: on_bad(1))  # type: ignore[call-arg]
    assert str(outcome) == "TypeError: on_bad() missing 1 required positional argument: 'line'"


def test_not_implemented_is_todo_from_anywhere_in_the_answer() -> None:
    assert run(lambda: [raising(NotImplementedError()) for _ in "a"]).kind is Kind.TODO


def test_the_readers_own_line_is_named() -> None:
    outcome = run(lambda: raising(ValueError("no\nsecond line")), own=__file__)
    assert str(outcome) == "ValueError: no   <- raise error"
    assert run(lambda: raising(ValueError("no")), own="another file").line == ""


def test_a_counted_source_refuses_more_than_enough_even_inside_except_exception() -> None:
    source = Counted(count(), at_most=2)

    def swallowing() -> list[int]:
        found = []
        for _ in range(9):
            try:
                found.append(next(source))
            except Exception:  # noqa: BLE001 - what a careless answer does
                break
        return found

    assert run(swallowing).kind is Kind.READ_AHEAD
    assert source.pulled == 2
    with pytest.raises(ReadAhead, match="pulled element 3 of the source where 2 are enough"):
        next(source)


def test_first_pulls_exactly_what_it_returns() -> None:
    source = Counted(count(), at_most=3)
    assert first(source, 3) == [0, 1, 2]


class Liar:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        raise RuntimeError


def test_a_lying_value_is_not_equal_and_its_repr_is_survived() -> None:
    assert not Outcome(Kind.VALUE, Liar()).same_as(Outcome(Kind.VALUE, Liar()))
    assert str(Outcome(Kind.VALUE, Liar())) == "<Liar whose repr raises RuntimeError>"


def test_an_answer_that_catches_everything_prints_nothing_below_its_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard, bad = list[str](), list[bytes]()
    monkeypatch.setattr(sys, "unraisablehook", lambda told: heard.append(type(told.exc_value).__name__))

    def answer(lines: Counted[bytes]) -> Iterator[int]:
        for line in lines:
            try:
                yield int(line)
            except:  # noqa: E722 - what many write first; it catches even that the generator is closed
                bad.append(line)

    def unclosed() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise OSError("the reader's own")

    assert run(lambda: next(answer(Counted([b"1"], at_most=1)))).value == 1
    assert heard == []
    assert run(lambda: next(unclosed())).value == 1
    assert heard == ["OSError"]  # control: what is not the check's own doing is heard
