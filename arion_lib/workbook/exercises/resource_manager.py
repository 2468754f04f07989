"""Exercises of notebook 2: give back what was borrowed, close everything, and unwind so that the first error is kept.

Idea        Each exercise rebuilds one promise of the resource manager in three to ten lines.
Invariant   Every case says what happened, in order, and which error came out: nothing is judged by looking at code.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/2_resource_manager.ipynb · tests/workbook/test_exercises.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from arion_lib.workbook.exercise import Answer, Case, Exercise, Wrong

# --- 2.1 borrowed(pool) ----------------------------------------------------------------------------------------------


def borrowed(pool: list[str]) -> Iterator[str]:
    connection = pool.pop()
    try:
        yield connection
    finally:
        pool.append(connection)


def _without_finally(pool: list[str]) -> Iterator[str]:
    connection = pool.pop()
    yield connection
    pool.append(connection)


def _swallows(pool: list[str]) -> Iterator[str]:
    connection = pool.pop()
    with suppress(Exception):
        yield connection
    pool.append(connection)


def _only_exceptions(pool: list[str]) -> Iterator[str]:
    connection = pool.pop()
    try:
        yield connection
    except Exception:
        pool.append(connection)
        raise
    pool.append(connection)


def _gives_back_at_once(pool: list[str]) -> Iterator[str]:
    connection = pool.pop()
    pool.append(connection)
    yield connection


def _never_takes(pool: list[str]) -> Iterator[str]:
    yield pool[0]


def _takes_inside_try(pool: list[str]) -> Iterator[str]:
    connection = ""
    try:
        connection = pool.pop()
        yield connection
    finally:
        pool.append(connection)


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


def _borrowing(pool: str, error: BaseException | None = None) -> Case:
    """The case that borrows once from a pool (a letter a connection), in a body that may raise."""

    def probe(answer: Answer) -> object:
        connections, seen = list(pool), []
        raised = "nothing"
        try:
            with contextmanager(answer)(connections) as connection:
                seen.append((connection, "".join(connections)))
                _raise(error)
        except NotImplementedError:  # not written yet: the check says so
            raise
        except BaseException as came:  # noqa: BLE001 - which one comes out is the question
            raised = type(came).__name__
        return {"in the body": seen, "pool afterwards": sorted(connections), "raised": raised}

    said = f", the body raises {type(error).__name__}" if error is not None else ""
    return Case(f"with borrowed({list(pool)}){said}", probe)


BORROWED = Exercise(
    id="2.1",
    name="borrowed",
    stars=1,
    minutes=10,
    solution=borrowed,
    cases=[
        _borrowing(""),
        _borrowing("a"),
        _borrowing("ab"),
        _borrowing("a", ValueError("body")),
        _borrowing("a", KeyboardInterrupt()),
    ],
    wrong=[
        Wrong(
            _without_finally, "when the body raises, the lines after `yield` are not reached: put them into `finally`"
        ),
        Wrong(_swallows, "the body's error must come out again: `finally` lets it, a broad `except` keeps it"),
        Wrong(_only_exceptions, "Ctrl-C is no `Exception`: `finally` gives back whatever ends the body"),
        Wrong(_gives_back_at_once, "it is given back before the body uses it: another one could take it meanwhile"),
        Wrong(_never_takes, "take it out of the pool, or two bodies use one connection at a time"),
        Wrong(_takes_inside_try, "what was never taken must not be given back: take it before `try`"),
    ],
)

# --- 2.2 close_all(closers) ------------------------------------------------------------------------------------------

Closer = Callable[[], object]


def close_all(closers: Sequence[Closer]) -> list[BaseException]:
    errors: list[BaseException] = []
    for close in reversed(closers):
        try:
            close()
        except BaseException as error:  # noqa: BLE001 - each of the others is still to be closed
            errors.append(error)
    return errors


def _in_opening_order(closers: Sequence[Closer]) -> list[BaseException]:
    return close_all(closers[::-1])


def _stops(closers: Sequence[Closer]) -> list[BaseException]:
    try:
        for close in reversed(closers):
            close()
    except BaseException as error:  # noqa: BLE001 - the mistake
        return [error]
    return []


def _lets_it_out(closers: Sequence[Closer]) -> list[BaseException]:
    for close in reversed(closers):
        close()
    return []


def _misses_ctrl_c(closers: Sequence[Closer]) -> list[BaseException]:
    errors: list[BaseException] = []
    for close in reversed(closers):
        try:
            close()
        except Exception as error:  # noqa: BLE001 - the mistake
            errors.append(error)
    return errors


def _only_the_last(closers: Sequence[Closer]) -> list[BaseException]:
    return close_all(closers)[-1:]


def _silent(closers: Sequence[Closer]) -> list[BaseException]:
    close_all(closers)
    return []


def _tries_again(closers: Sequence[Closer]) -> list[BaseException]:
    errors = close_all(closers)
    return errors + (close_all(closers) if errors else [])


def _closing(names: str, **faults: BaseException) -> Case:
    def probe(answer: Answer) -> object:
        log: list[str] = []

        def closer(name: str) -> Closer:
            def close() -> None:
                log.append(name)
                if name in faults:
                    raise faults[name]

            return close

        errors = answer([closer(name) for name in names])
        return {"closed": "".join(log), "errors": [repr(error) for error in errors]}

    said = "".join(f", {name} raises {error!r}" for name, error in faults.items())
    return Case(f"opened {', '.join(names) or 'nothing'}{said}", probe)


CLOSE_ALL = Exercise(
    id="2.2",
    name="close_all",
    stars=2,
    minutes=15,
    solution=close_all,
    cases=[
        _closing(""),
        _closing("a"),
        _closing("ab"),
        _closing("ab", b=ValueError("b")),
        _closing("abc", b=ValueError("b"), c=OSError("c")),
        _closing("ab", b=KeyboardInterrupt()),
    ],
    wrong=[
        Wrong(_in_opening_order, "what was opened last may use what was opened first: close in reverse order"),
        Wrong(_stops, "the first error ends the loop: `try` belongs inside it, around one `close()`"),
        Wrong(_lets_it_out, "an error that gets out leaves the rest open: catch it, keep it, go on"),
        Wrong(_misses_ctrl_c, "Ctrl-C in a close is no `Exception`, and it leaves the rest open"),
        Wrong(_only_the_last, "every error counts: return all of them"),
        Wrong(_silent, "the errors are lost: return them"),
        Wrong(_tries_again, "each close is attempted exactly once: a second one may close what is not yours any more"),
    ],
)

# --- 2.3 unwind(exits, error) ----------------------------------------------------------------------------------------

Exit = Callable[[BaseException | None], object]


def unwind(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    for leave in reversed(exits):
        try:
            if leave(error):
                error = None
        except BaseException as late:  # noqa: BLE001 - each of the others is still to be left
            if error is None:
                error = late
            else:
                error.add_note(f"also {late!r}")
    return error


def _late_replaces(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    for leave in reversed(exits):
        try:
            if leave(error):
                error = None
        except BaseException as late:  # noqa: BLE001 - the mistake is below
            error = late
    return error


def _told_the_bodys(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    body, suppressed = error, False
    for leave in reversed(exits):
        try:
            suppressed = bool(leave(body)) or suppressed
        except BaseException as late:  # noqa: BLE001 - the mistake is elsewhere
            if error is None:
                error = late
            else:
                error.add_note(f"also {late!r}")
    return None if suppressed else error


def _never_suppresses(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    return unwind([_deaf(leave) for leave in exits], error)


def _deaf(leave: Exit) -> Exit:
    def call(error: BaseException | None) -> None:
        leave(error)

    return call


def _stops_when_dealt_with(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    for leave in reversed(exits):
        try:
            if leave(error):
                return None
        except BaseException as late:  # noqa: BLE001 - the mistake is above
            if error is None:
                error = late
            else:
                error.add_note(f"also {late!r}")
    return error


def _drops_the_late(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    for leave in reversed(exits):
        try:
            if leave(error):
                error = None
        except BaseException as late:  # noqa: BLE001 - the mistake is below
            error = error or late
    return error


def _forwards(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    return unwind(exits[::-1], error)


def _unwinding(plan: str, body: str = "") -> Case:
    """The case that unwinds exits (a: well, S: suppresses, X: raises) with the body's error, if any."""

    def probe(answer: Answer) -> object:
        told: list[str] = []

        def leaving(kind: str, place: int) -> Exit:
            def leave(error: BaseException | None) -> bool:
                told.append(f"{place}: {error!r}")
                if kind == "X":
                    raise OSError(f"exit {place}")
                return kind == "S"

            return leave

        exits = [leaving(kind, place) for place, kind in enumerate(plan, 1)]
        came = answer(exits, ValueError(body) if body else None)
        return {"told": told, "comes out": repr(came), "notes": getattr(came, "__notes__", [])}

    words = {"a": "goes well", "S": "suppresses", "X": "raises"}
    said = ", ".join(f"exit {place} {words[kind]}" for place, kind in enumerate(plan, 1)) or "no exits"
    return Case(f"{said}; the body {'raised' if body else 'went well'}", probe)


UNWIND = Exercise(
    id="2.3",
    name="unwind",
    stars=3,
    minutes=20,
    solution=unwind,
    cases=[
        _unwinding(""),
        _unwinding("", "body"),
        _unwinding("aa"),
        _unwinding("aa", "body"),
        _unwinding("aX"),
        _unwinding("aS", "body"),
        _unwinding("aX", "body"),
        _unwinding("SX"),
        _unwinding("XaX"),
        _unwinding("XaS", "body"),
        _unwinding("aSXa", "body"),
    ],
    wrong=[
        Wrong(_late_replaces, "an error of an exit must not hide the one that travels: note it there"),
        Wrong(_told_the_bodys, "each exit is told the error that travels now, not the one the body raised"),
        Wrong(_never_suppresses, "an exit that returns something true has dealt with the error: it ends there"),
        Wrong(
            _stops_when_dealt_with, "the error is dealt with, the resources are not: the other exits are still to come"
        ),
        Wrong(_drops_the_late, "an error of an exit while another travels is lost: `add_note` keeps it"),
        Wrong(_forwards, "the innermost exit comes first: go backwards"),
    ],
)

EXERCISES: tuple[Any, ...] = (BORROWED, CLOSE_ALL, UNWIND)
