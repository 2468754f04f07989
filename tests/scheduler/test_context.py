"""Context variables on their way."""

from __future__ import annotations

import contextvars
import sys
import threading
from contextvars import ContextVar
from decimal import getcontext
from types import ModuleType
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.calls import context, values
from arion_lib.scheduler.calls.context import context_of, place_of, portable, variable_at
from arion_lib.scheduler.calls.values import decode, encode
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

OWN: ContextVar[int] = ContextVar("OWN")


def test_an_importable_variable_is_found_by_its_place() -> None:
    place = place_of(jobs.MARK)
    assert place is not None
    assert variable_at(place) is jobs.MARK
    assert variable_at("no_such_module:X") is None
    assert variable_at("os:path") is None


def test_a_variable_of_a_notebook_has_no_place() -> None:
    assert place_of(ContextVar("of a cell")) is None


def test_a_context_is_rebuilt_from_its_pairs() -> None:
    context = contextvars.Context()
    context.run(OWN.set, 5)
    context.run(jobs.MARK.set, "x")
    again = context_of(portable(context))
    assert dict(again.items()) == dict(context.items())


def test_what_describes_this_process_stays_here() -> None:
    context = contextvars.Context()
    context.run(getcontext)
    assert "decimal_context" not in {variable.name for variable, _ in portable(context)}


def test_a_value_that_cannot_travel_stays_behind(no_leaks: None) -> None:
    def look() -> str:
        return jobs.MARK.get()

    def with_lock() -> str:
        jobs.MARK.set("kept")
        LOCK.set(threading.Lock())
        with Scheduler(1) as scheduler:
            result: str = scheduler.submit(look).result(PATIENCE)
        return result

    assert contextvars.Context().run(with_lock) == "kept"


LOCK: ContextVar[object] = ContextVar("LOCK")


def test_a_variable_of_a_notebook_arrives_at_a_function_of_it(no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook: Any = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    exec(  # noqa: S102
        "from contextvars import ContextVar\nwho = ContextVar('who')\ndef greet(): return who.get('nobody')",
        vars(notebook),
    )

    def submit() -> list[str]:
        with Scheduler(1) as scheduler:
            results = [scheduler.submit(notebook.greet).result(PATIENCE)]
            notebook.who.set("you")
            return [*results, scheduler.submit(notebook.greet).result(PATIENCE)]

    assert contextvars.Context().run(submit) == ["nobody", "you"]


@pytest.mark.parametrize("lane", ["processes", "threads"])
def test_what_one_task_sets_is_unseen_by_the_next(no_leaks: None, lane: str) -> None:
    with Scheduler(1, threads=1) as scheduler:
        submitter = scheduler.with_options(lane=lane)
        assert [submitter.submit(jobs.set_mark, "left").result(PATIENCE) for _ in range(3)] == ["unset"] * 3


def test_variables_that_a_program_makes_anew_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MOST_VARIABLES", 20)
    made = [ContextVar[int](f"made{number}") for number in range(100)]
    for variable in made:
        assert context.place_of(variable) is None
        assert decode(encode([variable], "value"))[0] is variable
    assert len(context._PLACES) <= 20
    assert len(values._TOKENS) <= 21
    assert len(values._VARIABLES) <= 21


class Packed:
    """A value that arrives as a text, and whose pickling waits, the first time, until another thread lets it go on."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.begun.is_set():
            self.begun.set()
            assert self.go.wait(PATIENCE)
        return str, ("here",)


def test_no_call_goes_without_its_context_while_another_thread_packs_that(no_leaks: None) -> None:
    value = Packed()

    def submit(scheduler: Scheduler) -> str:
        jobs.MARK.set(value)  # type: ignore[arg-type]
        return scheduler.submit(jobs.mark).result(PATIENCE)

    first: list[str] = []
    with Scheduler(1) as scheduler:
        thread = threading.Thread(target=lambda: first.append(contextvars.Context().run(submit, scheduler)))
        thread.start()
        try:
            assert value.begun.wait(PATIENCE)
            assert contextvars.Context().run(submit, scheduler) == "here"
        finally:
            value.go.set()
            thread.join()
    assert first == ["here"]


class Forgotten(dict[Any, Any]):
    """What is known of variables; another thread forgets it all just after something was added."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.clear()


def test_a_variable_is_found_though_another_thread_forgets_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_PLACES", Forgotten())
    monkeypatch.setattr(values, "_TOKENS", Forgotten())
    monkeypatch.setattr(values, "_VARIABLES", Forgotten())
    place = place_of(jobs.MARK)
    assert place is not None
    assert variable_at(place) is jobs.MARK
    assert decode(encode([jobs.MARK], "value")) == [jobs.MARK]
