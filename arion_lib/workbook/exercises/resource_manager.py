"""Exercises of notebook 2: repair a leak, give back what was borrowed, unwind, and write a shop's resources down.

Idea        Each exercise rebuilds one promise of the resource manager in three to fifteen lines; the last one uses it.
Invariant   Every case says what happened, in order, and which error came out: nothing is judged by looking at code.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/2_resource_manager.ipynb · tests/workbook/test_exercises.py
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from arion_lib.resources import Resources, Retry, resource
from arion_lib.resources.settle import error_text
from arion_lib.workbook.exercise import Answer, Case, Exercise, Wrong

Work = Callable[[], object]

# --- 2.1 both(connect, work) -----------------------------------------------------------------------------------------


class _Connection:
    """A connection whose steps are written down, and fail where they are told to."""

    def __init__(self, name: str, log: list[str], faults: dict[str, BaseException]) -> None:
        self.name, self.log, self.faults = name, log, faults
        self._step("open")

    def close(self) -> None:
        self._step("close")

    def _step(self, what: str) -> None:
        error = self.faults.get(f"{what} {self.name}")
        self.log.append(f"{what} {self.name}" + (": fails" if error else ""))
        _raise(error)


Connect = Callable[[str], _Connection]


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


def both(connect: Connect, work: Work) -> None:
    first = connect("first")
    try:
        second = connect("second")
        try:
            work()
        finally:
            second.close()
    finally:
        first.close()


def _without_finally_twice(connect: Connect, work: Work) -> None:
    first, second = connect("first"), connect("second")
    work()
    second.close()
    first.close()


def _opens_both_first(connect: Connect, work: Work) -> None:
    first, second = connect("first"), connect("second")
    try:
        work()
    finally:
        try:
            second.close()
        finally:
            first.close()


def _one_finally(connect: Connect, work: Work) -> None:
    first, second = connect("first"), None
    try:
        second = connect("second")
        work()
    finally:
        if second is not None:
            second.close()
        first.close()


def _opening_order(connect: Connect, work: Work) -> None:
    first = connect("first")
    try:
        second = connect("second")
    except BaseException:
        first.close()
        raise
    try:
        work()
    finally:
        try:
            first.close()
        finally:
            second.close()


def _only_errors(connect: Connect, work: Work) -> None:
    first = connect("first")
    try:
        second = connect("second")
        try:
            work()
        except Exception:
            second.close()
            raise
        second.close()
    except Exception:
        first.close()
        raise
    first.close()


def _hides_the_error(connect: Connect, work: Work) -> None:
    with suppress(Exception):
        both(connect, work)


def _using(faulty: str = "", error: BaseException | None = None) -> Case:
    """The case in which one step fails: "open first", "work", "close second" and so on."""
    came_from = error or OSError(faulty)

    def probe(answer: Answer) -> object:
        log: list[str] = []
        faults = {faulty: came_from}

        def work() -> None:
            log.append("work" + (": fails" if faulty == "work" else ""))
            _raise(faults.get("work"))

        raised = "nothing"
        try:
            answer(lambda name: _Connection(name, log, faults), work)
        except NotImplementedError:  # not written yet: the check says so
            raise
        except BaseException as came:  # noqa: BLE001 - which one comes out is the question
            raised = error_text(came)
        opened = [step.split()[1] for step in log if step.startswith("open") and not step.endswith("fails")]
        closed = [step.split()[1].rstrip(":") for step in log if step.startswith("close")]
        return {"steps": log, "left open": [name for name in opened if name not in closed], "raised": raised}

    return Case(
        f"both(connect, work), `{faulty}` raises {type(came_from).__name__}" if faulty else "nothing fails", probe
    )


BOTH = Exercise(
    id="2.1",
    name="both",
    stars=1,
    minutes=8,
    solution=both,
    cases=[
        _using(),
        _using("open first"),
        _using("open second"),
        _using("work"),
        _using("close second"),
        _using("close first"),
        _using("work", KeyboardInterrupt()),
    ],
    wrong=[
        Wrong(
            _without_finally_twice, "when `work()` raises, the lines after it are not reached: put them into `finally`"
        ),
        Wrong(_opens_both_first, "`first` is open before any `try` begins: when `second` cannot open, it stays open"),
        Wrong(
            _one_finally, "an error in a `finally` skips the rest of it: each `close()` needs a `finally` of its own"
        ),
        Wrong(_opening_order, "what was opened last is closed first: it may use what was opened before it"),
        Wrong(_only_errors, "Ctrl-C is no `Exception`: `finally` closes, whatever ends the work"),
        Wrong(_hides_the_error, "the error must come out again: `finally` lets it, a broad `except` keeps it"),
    ],
)

# --- 2.2 borrowed(pool) ----------------------------------------------------------------------------------------------


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


def _at_the_front(pool: list[str]) -> Iterator[str]:
    connection = pool.pop()
    try:
        yield connection
    finally:
        pool.insert(0, connection)


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
            raised = error_text(came)
        return {"in the body": seen, "pool afterwards": connections, "raised": raised}

    said = f", the body raises {type(error).__name__}" if error is not None else ""
    return Case(f"with borrowed({list(pool)}){said}", probe)


BORROWED = Exercise(
    id="2.2",
    name="borrowed",
    stars=1,
    minutes=8,
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
        Wrong(_at_the_front, "put it back at the end, where it was: the next body gets the one that was used last"),
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
            error = _in_line(error, late)
    return error


def _in_line(error: BaseException | None, late: BaseException) -> BaseException:
    """The one that travels on: what is no `Exception` before what is one, the earlier before the later."""
    if error is None:
        return late
    if isinstance(error, Exception) and not isinstance(late, Exception):
        error, late = late, error
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
            error = _in_line(error, late)
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
            error = _in_line(error, late)
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


def _misses_ctrl_c(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    for leave in reversed(exits):
        try:
            if leave(error):
                error = None
        except Exception as late:  # noqa: BLE001 - the mistake: Ctrl-C ends the loop
            error = _in_line(error, late)
    return error


def _asks_for_true_itself(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    return unwind([_strict(leave) for leave in exits], error)


def _strict(leave: Exit) -> Exit:
    def call(error: BaseException | None) -> bool:
        return leave(error) is True

    return call


def _ctrl_c_is_noted(exits: Sequence[Exit], error: BaseException | None) -> BaseException | None:
    for leave in reversed(exits):
        try:
            if leave(error):
                error = None
        except BaseException as late:  # noqa: BLE001 - the mistake is below
            if error is None:
                error = late
            else:
                error.add_note(f"also {late!r}")
    return error


def _unwinding(plan: str, body: str = "") -> Case:
    """The case that unwinds exits (a: well, S: suppresses, s: says so by a 1, X: raises, K: Ctrl-C)."""

    def probe(answer: Answer) -> object:
        told: list[str] = []

        def leaving(kind: str, place: int) -> Exit:
            def leave(error: BaseException | None) -> object:
                told.append(f"{place}: {error!r}")
                _raise({"X": OSError(f"exit {place}"), "K": KeyboardInterrupt()}.get(kind))
                return {"S": True, "s": 1}.get(kind)

            return leave

        exits = [leaving(kind, place) for place, kind in enumerate(plan, 1)]
        came = answer(exits, ValueError(body) if body else None)
        return {"told": told, "comes out": repr(came), "notes": getattr(came, "__notes__", [])}

    words = {"a": "goes well", "S": "returns True", "s": "returns 1", "X": "raises OSError", "K": "is hit by Ctrl-C"}
    said = ", ".join(f"exit {place} {words[kind]}" for place, kind in enumerate(plan, 1)) or "no exits"
    return Case(f"{said}; the body {'raised ValueError' if body else 'went well'}", probe)


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
        _unwinding("as", "body"),
        _unwinding("aX", "body"),
        _unwinding("aK"),
        _unwinding("aK", "body"),
        _unwinding("SX"),
        _unwinding("XaX"),
        _unwinding("XaS", "body"),
        _unwinding("aSXa", "body"),
        _unwinding("XKX", "body"),
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
        Wrong(
            _misses_ctrl_c, "Ctrl-C in an exit is no `Exception`: it must not keep the other exits from being called"
        ),
        Wrong(_asks_for_true_itself, "anything true means dealt with, as with `with`: ask `if leave(error)`"),
        Wrong(_ctrl_c_is_noted, "Ctrl-C must not end as a note: what is no `Exception` travels before what is one"),
    ],
)

# --- 2.4 shop(db, cache, api) ----------------------------------------------------------------------------------------

Opener = Callable[[], Iterator[str]]


def shop(db: Opener, cache: Opener, api: Opener) -> Resources:
    return Resources(
        db=db,
        cache=resource(cache, optional=True),
        api=resource(api, retry=Retry(attempts=3, backoff=0), release_timeout=0.1),
    )


def _without_a_limit(db: Opener, cache: Opener, api: Opener) -> Resources:
    return Resources(db=db, cache=resource(cache, optional=True), api=resource(api, retry=Retry(attempts=3, backoff=0)))


def _limits_the_opening(db: Opener, cache: Opener, api: Opener) -> Resources:
    tries = Retry(attempts=3, backoff=0)
    return Resources(db=db, cache=resource(cache, optional=True), api=resource(api, retry=tries, timeout=0.1))


def _without_a_retry(db: Opener, cache: Opener, api: Opener) -> Resources:
    return Resources(db=db, cache=resource(cache, optional=True), api=resource(api, release_timeout=0.1))


def _two_tries(db: Opener, cache: Opener, api: Opener) -> Resources:
    again = resource(api, retry=Retry(attempts=2, backoff=0), release_timeout=0.1)
    return Resources(db=db, cache=resource(cache, optional=True), api=again)


def _cache_required(db: Opener, cache: Opener, api: Opener) -> Resources:
    return Resources(db=db, cache=cache, api=resource(api, retry=Retry(attempts=3, backoff=0), release_timeout=0.1))


def _all_optional(db: Opener, cache: Opener, api: Opener) -> Resources:
    again = resource(api, retry=Retry(attempts=3, backoff=0), release_timeout=0.1, optional=True)
    return Resources(db=db, cache=resource(cache, optional=True), api=again)


def _api_first(db: Opener, cache: Opener, api: Opener) -> Resources:
    again = resource(api, retry=Retry(attempts=3, backoff=0), release_timeout=0.1)
    return Resources(api=again, cache=resource(cache, optional=True), db=db)


def _shopping(failing: str = "", times: int = 3, hangs: bool = False) -> Case:
    """The case in which one of them fails to open so many times, or the API hangs when it is closed."""

    def probe(answer: Answer) -> object:
        steps: list[str] = []
        left = {failing: times}
        caller, over = threading.get_ident(), threading.Event()

        def opener(name: str) -> Opener:
            def opened() -> Iterator[str]:
                if left.get(name, 0) > 0:
                    left[name] -= 1
                    steps.append(f"open {name}: fails")
                    raise OSError(f"no {name}")
                steps.append(f"open {name}")
                yield name
                steps.append(f"close {name}")
                if hangs and name == "api" and threading.get_ident() != caller:
                    # In the caller's own thread nobody could leave it behind: there it does not hang.
                    steps.extend([] if over.wait(3) else ["close api: hung for 3 s"])

            return opened

        managed, raised = answer(*(opener(name) for name in ("db", "cache", "api"))), "nothing"
        try:
            with managed as opened:
                steps.append("use " + ", ".join(name for name in ("db", "cache", "api") if name in opened))
        except Exception as error:  # noqa: BLE001 - which one comes out is the question
            raised = error_text(error)
        finally:
            over.set()
        return {
            "steps": steps,
            "raised": raised,
            "api, failed attempts": managed.snapshot()["api"].failures.get("attempt", 0),
        }

    fault = (
        f"{failing} fails {times} times" if failing else "the API hangs when it is closed" if hangs else "all goes well"
    )
    return Case(f"with shop(db, cache, api), {fault}", probe)


SHOP = Exercise(
    id="2.4",
    name="shop",
    stars=2,
    minutes=12,
    solution=shop,
    cases=[
        _shopping(),
        _shopping("cache", 1),
        _shopping("db", 1),
        _shopping("api", 2),
        _shopping("api", 3),
        _shopping(hangs=True),
    ],
    wrong=[
        Wrong(_without_a_limit, "a release without a limit may hang for ever: give the API a `release_timeout`"),
        Wrong(
            _limits_the_opening, "`timeout` limits the opening; what may hang here is the release: `release_timeout`"
        ),
        Wrong(_without_a_retry, "one busy moment of the API ends the shop: give it a `retry`"),
        Wrong(_two_tries, "`attempts` counts the first one too: three attempts are one and two more"),
        Wrong(_cache_required, "the shop works without its cache: say `optional=True` for it"),
        Wrong(_all_optional, "a shop without its API must not open: only the cache is optional"),
        Wrong(_api_first, "without `after`, resources open in the order in which they are written: the database first"),
    ],
)

EXERCISES: tuple[Any, ...] = (BOTH, BORROWED, UNWIND, SHOP)
