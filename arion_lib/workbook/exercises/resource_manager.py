"""Exercises of notebook 2: repair a leak, give back what was borrowed, unwind, and write a shop's resources down.

Idea        Each exercise rebuilds one promise of the resource manager in three to fifteen lines; the last one uses it.
Invariant   Every case says what happened, in order, and which error came out: nothing is judged by looking at code.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/2_resource_manager.ipynb · tests/workbook/test_exercises.py
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from arion_lib.resources import Resources, Retry, resource
from arion_lib.resources.monitoring.events import Step
from arion_lib.resources.settle import error_text
from arion_lib.units import how_many
from arion_lib.workbook.checking.exercise import Answer, Case, Exercise, Wrong

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


def _using(faulty: str = "", error: BaseException | None = None, why: str = "") -> Case:
    """The case in which one step fails: "open first", "work", "close second" and so on."""
    came_from = error or OSError(faulty)

    def probe(answer: Answer) -> object:
        log: list[str] = []
        faults = {faulty: came_from}

        def work() -> None:
            log.append("work" + (": fails" if faulty == "work" else ""))
            _raise(faults.get("work"))

        raised = "nothing"

        def connect(name: str) -> _Connection:
            return _Connection(name, log, faults)

        try:
            answer(connect, work)
        except NotImplementedError:  # not written yet: the check says so
            raise
        except BaseException as came:  # noqa: BLE001 - which one comes out is the question
            raised = error_text(came)
        opened = [step.split()[1] for step in log if step.startswith("open") and not step.endswith("fails")]
        closed = [step.split()[1].rstrip(":") for step in log if step.startswith("close")]
        return {"steps": log, "left open": [name for name in opened if name not in closed], "raised": raised}

    return Case(
        f"both(connect, work), `{faulty}` raises {type(came_from).__name__}" if faulty else "nothing fails", probe, why
    )


BOTH = Exercise(
    id="2.1",
    name="both",
    stars=1,
    minutes=8,
    solution=both,
    cases=[
        _using(),
        _using(
            "open first", why="when `first` does not open there is nothing to close: `try` stands behind its opening"
        ),
        _using("open second"),
        _using("work"),
        _using("close second"),
        _using("close first"),
        _using("work", KeyboardInterrupt()),
    ],
    wrong=[
        Wrong(
            "when `work()` raises, the lines after it are not reached: put them into `finally`",
            answer=_without_finally_twice,
        ),
        Wrong(
            "`first` is open before any `try` begins: when `second` cannot open, it stays open",
            {"    try:\n        second = connect": "    second = connect", "        try:": "    try:\n        try:"},
        ),
        Wrong(
            "when `work()` raises, `second` is still open: it needs a `finally`, too",
            {
                "        try:\n            work()": "        work()",
                "        finally:\n            second": "        second",
            },
        ),
        Wrong(
            "an error in a `finally` skips the rest of it: each `close()` needs a `finally` of its own",
            answer=_one_finally,
        ),
        Wrong("what was opened last is closed first: it may use what was opened before it", answer=_opening_order),
        Wrong(
            "Ctrl-C is no `Exception`: `finally` closes, whatever ends the work",
            {
                "finally:\n            second.close()": "except Exception:\n"
                "            second.close()\n            raise\n        second.close()",
                "finally:\n        first.close()": "except Exception:\n"
                "        first.close()\n        raise\n    first.close()",
            },
        ),
        Wrong(
            "the error must come out again: `finally` lets it, a broad `except` keeps it",
            {"    finally:\n        first": "    except Exception:\n        pass\n    finally:\n        first"},
        ),
        Wrong(
            "the error must come out as it is: nobody who waits for an OSError catches another one",
            {
                "work()": "try:\n                work()\n"
                "            except Exception as error:\n                raise RuntimeError from error"
            },
        ),
    ],
)

# --- 2.2 borrowed(pool) ----------------------------------------------------------------------------------------------


def borrowed(pool: list[str]) -> Iterator[str]:
    connection = pool.pop()
    try:
        yield connection
    finally:
        pool.append(connection)


def _borrowing(pool: str, error: BaseException | None = None, why: str = "") -> Case:
    """The case that borrows once from a pool (a letter a connection), in a body that may raise."""

    def probe(answer: Answer) -> object:
        connections, seen = list(pool), []
        raised = "nothing"
        try:
            made = answer(connections)  # a generator, or what `contextmanager` has made of one already
            with made if hasattr(made, "__enter__") else contextmanager(lambda: made)() as connection:
                seen.append((connection, "".join(connections)))
                _raise(error)
        except NotImplementedError:  # not written yet: the check says so
            raise
        except BaseException as came:  # noqa: BLE001 - which one comes out is the question
            raised = error_text(came) if seen or type(came) is not IndexError else "IndexError"  # its text depends
        return {"in the body": seen, "pool afterwards": connections, "raised": raised}

    said = f", the body raises {type(error).__name__}" if error is not None else ""
    return Case(f"with borrowed({list(pool)}){said}", probe, why)


BORROWED = Exercise(
    id="2.2",
    name="borrowed",
    stars=1,
    minutes=8,
    solution=borrowed,
    cases=[
        _borrowing("", why="nothing was taken: let the error of `pop` come out, and give nothing back"),
        _borrowing("a", why="it is given back however the body ends, also when the body goes well"),
        _borrowing("ab"),
        _borrowing("a", ValueError("body")),
        _borrowing("a", KeyboardInterrupt()),
    ],
    wrong=[
        Wrong(
            "when the body raises, the lines after `yield` are not reached: put them into `finally`",
            {"    try:\n        yield": "    yield", "    finally:\n        pool": "    pool"},
        ),
        Wrong(
            "with `return` it is no generator: the body of `with` runs while a generator stands at `yield`",
            {"yield connection": "return connection"},
        ),
        Wrong(
            "the body's error must come out again: `finally` lets it, a broad `except` keeps it",
            {"    finally:\n        pool": "    except Exception:\n        pass\n    pool"},
        ),
        Wrong(
            "Ctrl-C is no `Exception`: `finally` gives back whatever ends the body",
            {
                "finally:\n        pool.append": "except Exception:\n"
                "        pool.append(connection)\n        raise\n    pool.append"
            },
        ),
        Wrong(
            "it is given back before the body uses it: another one could take it meanwhile",
            {
                "    try:": "    pool.append(connection)\n    try:",
                "finally:\n        pool.append(connection)": "finally:\n        pass",
            },
        ),
        Wrong(
            "take it out of the pool, or two bodies use one connection at a time",
            {"pool.pop()": "pool[0]", "pool.append(connection)": "pass"},
        ),
        Wrong(
            "what was never taken must not be given back: take it before `try`",
            {
                "connection = pool.pop()": 'connection = ""',
                "        yield": "        connection = pool.pop()\n        yield",
            },
        ),
        Wrong("take the last one: `pop()`", {"pool.pop()": "pool.pop(0)"}),
        Wrong(
            "put it back at the end, where it was: the next body gets the one that was used last",
            {"pool.append(": "pool.insert(0, "},
        ),
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


_NOTED = """if {}:
                error.add_note(f"also {{late!r}}")
            else:
                error = _in_line(error, late)"""


def _unwinding(plan: str, body: str = "") -> Case:
    """The case that unwinds exits (a: well, S: suppresses, s: so by a 1, X: raises, K: Ctrl-C, Q: sys.exit)."""

    def probe(answer: Answer) -> object:
        told: list[str] = []

        def leaving(kind: str, place: int) -> Exit:
            def leave(error: BaseException | None) -> object:
                told.append(f"{place}: {error!r}")
                _raise({"X": OSError(f"exit {place}"), "K": KeyboardInterrupt(), "Q": SystemExit(1)}.get(kind))
                return {"S": True, "s": 1}.get(kind)

            return leave

        exits = [leaving(kind, place) for place, kind in enumerate(plan, 1)]
        came = answer(exits, ValueError(body) if body else None)
        return {"told": told, "comes out": repr(came), "notes": getattr(came, "__notes__", [])}

    words = {
        "a": "goes well",
        "S": "returns True",
        "s": "returns 1",
        "X": "raises OSError",
        "K": "is hit by Ctrl-C",
        "Q": "calls sys.exit(1)",
    }
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
        _unwinding("aQ", "body"),
        _unwinding("SX"),
        _unwinding("XaX"),
        _unwinding("XaS", "body"),
        _unwinding("aSXa", "body"),
        _unwinding("XKX", "body"),
    ],
    wrong=[
        Wrong(
            "an error of an exit must not hide the one that travels: note it there",
            {"_in_line(error, late)": "late"},
        ),
        Wrong(
            "each exit is told the error that travels now, not the one the body raised",
            {"    for leave": "    body = error\n    for leave", "leave(error)": "leave(body)"},
        ),
        Wrong(
            "an exit that returns something true has dealt with the error: it ends there",
            {"if leave(error):\n                error = None": "leave(error)"},
        ),
        Wrong(
            "the error is dealt with, the resources are not: the other exits are still to come",
            {"error = None": "return None"},
        ),
        Wrong(
            "an error of an exit while another travels is lost: `add_note` keeps it",
            {"_in_line(error, late)": "error or late"},
        ),
        Wrong("the innermost exit comes first: go backwards", {"reversed(exits)": "exits"}),
        Wrong(
            "return the error that is left, do not raise it: the caller decides",
            {"    return error": "    if error is not None:\n        raise error"},
        ),
        Wrong(
            "the note shows what the late error is: `{late!r}`, with the `!r`",
            {"error = _in_line(error, late)": _NOTED.replace("!r", "").format("error")},
        ),
        Wrong(
            "Ctrl-C in an exit is no `Exception`: it must not keep the other exits from being called",
            {"except BaseException": "except Exception"},
        ),
        Wrong(
            "anything true means dealt with, as with `with`: ask `if leave(error)`",
            {"if leave(error):": "if leave(error) is True:"},
        ),
        Wrong(
            "Ctrl-C must not end as a note: what is no `Exception` travels before what is one",
            {"error = _in_line(error, late)": _NOTED.format("error")},
        ),
        Wrong(
            "not only Ctrl-C is no `Exception`: ask `isinstance(late, Exception)`",
            {"error = _in_line(error, late)": _NOTED.format("error and not isinstance(late, KeyboardInterrupt)")},
        ),
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


@contextmanager
def _unheard(log: str) -> Iterator[None]:
    """Let nothing of a log be seen meanwhile: what fails on purpose would stand above the report."""
    logger, handler = logging.getLogger(log), logging.NullHandler()
    logger.addHandler(handler)
    logger.propagate, before = False, logger.propagate
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


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
            "waits between them": any(e.seconds for e in managed.events() if e.step is Step.RETRYING),
        }

    fault = (
        f"{failing} fails {how_many(times, 'times')}"
        if failing
        else "the API hangs when it is closed"
        if hangs
        else "all goes well"
    )
    return Case(f"with shop(db, cache, api), {fault}", probe, within=partial(_unheard, "arion_lib.resources"))


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
        Wrong(
            "return it without entering it: at the end of your own `with` everything is closed again",
            {
                "return Resources(": "with Resources(",
                "=0.1),\n    )": "=0.1),\n    ) as opened:\n        return opened",
            },
        ),
        Wrong(
            "a release without a limit may hang for ever: give the API a `release_timeout`",
            {", release_timeout=0.1": ""},
        ),
        Wrong(
            "`timeout` limits the opening; what may hang here is the release: `release_timeout`",
            {"release_timeout=": "timeout="},
        ),
        Wrong(
            "one busy moment of the API ends the shop: give it a `retry`",
            {"retry=Retry(attempts=3, backoff=0), ": ""},
        ),
        Wrong(
            "`attempts` counts the first one too: three attempts are one and two more",
            {"attempts=3": "attempts=2"},
        ),
        Wrong("without a wait means `backoff=0`", {"backoff=0": "backoff=0.001"}),
        Wrong(
            "only the API is tried again: when the database does not open, the night is over",
            {"db=db": "db=resource(db, retry=Retry(attempts=3, backoff=0))"},
        ),
        Wrong(
            "the shop works without its cache: say `optional=True` for it", {"resource(cache, optional=True)": "cache"}
        ),
        Wrong(
            "a shop without its API must not open: only the cache is optional",
            {"release_timeout=0.1": "release_timeout=0.1, optional=True"},
        ),
        Wrong(
            "without `after`, resources open in the order in which they are written: the database first",
            {"        db=db,\n": "", "=0.1),": "=0.1),\n        db=db,"},
        ),
        Wrong(
            "without `after`, resources open in the order in which they are written: the cache before the API",
            {
                "        cache=resource(cache, optional=True),\n": "",
                "=0.1),": "=0.1),\n        cache=resource(cache, optional=True),",
            },
        ),
    ],
)

EXERCISES: tuple[Any, ...] = (BOTH, BORROWED, UNWIND, SHOP)
