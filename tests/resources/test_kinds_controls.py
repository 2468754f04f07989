"""The controls of `test_kinds`: each of its tests fails when the fault that it was written for is put in again."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from arion_lib.resources import plan, recipe, settle
from arion_lib.resources.carriers import by_thread
from arion_lib.resources.entry import Entry
from arion_lib.resources.making import first_use
from arion_lib.resources.monitoring.events import Journal
from arion_lib.resources.scopes import Scope
from arion_lib.resources.tasks import TaskEntry
from arion_lib.resources.unwinding import Unwinding
from tests.resources import test_kinds as kinds
from tests.with_fault import fails_with

Fault = tuple[Any, str, str]

UNSPEAKABLE = partial(
    kinds.test_an_error_that_cannot_be_told_keeps_nothing_open_and_comes_out_as_itself, "sync", "close"
)
LIMITED = kinds.test_a_limit_that_an_async_block_cannot_keep_is_refused_before_anything_is_opened
CONTROLS: dict[str, tuple[list[Fault], Callable[[], object]]] = {
    "telling of an error raises": (
        [(settle.error_text, "except Exception as e", "except NotImplementedError as e")],
        partial(UNSPEAKABLE, kinds.Unspeakable()),
    ),
    "a note is added to an error that takes none": (
        [(settle._carry, "with contextlib.suppress(Exception):", "if True:")],
        partial(UNSPEAKABLE, kinds.Frozen()),
    ),
    "logging leaves the unwinding": (
        [(Journal.log, "with contextlib.suppress(Exception):", "if True:")],
        partial(kinds.test_a_log_filter_that_raises_keeps_nothing_open, "sync"),
    ),
    "a thread waits longer than it can": (
        [
            (
                by_thread._capped,
                "min(max(0.0, deadline - clock()), threading.TIMEOUT_MAX)",
                "max(0.0, deadline - clock())",
            )
        ],
        partial(kinds.test_a_release_may_have_no_limit_or_one_that_no_clock_can_wait_for, "sync", 1e11),
    ),
    "what two need is opened for each": (
        [
            (Scope.lazily, "elif at not in seen:", "else:"),
            (first_use.open_once, "if not block.missing(name):", "if False:"),
        ],
        partial(kinds.test_a_lazy_diamond_opens_its_bottom_once, "sync"),
    ),
    "a limit is ignored": (
        [
            (plan.Plan.refuse_limits, "if name := self.limited:", 'if name := "":'),
            (TaskEntry._attempt, "if not asynchronous and recipe.limited:", "if False:"),
        ],
        partial(LIMITED, {"timeout": 1}),
    ),
    "what was given up is tried again": (
        [(by_thread.Carrier.give_up, "self.stop.set()", "pass")],
        kinds.test_an_optional_resource_past_its_deadline_is_not_tried_again_in_its_thread,
    ),
    "what was added is released with the others": (
        [(Entry.release_order, "order[under].append(name)", "pass")],
        partial(kinds.test_what_was_added_in_the_block_is_released_before_what_was_open_already, "async parallel"),
    ),
    "a translated error is not known again": (
        [(Unwinding.failed, "if error.__cause__ is known.error and", "if False and")],
        partial(kinds.test_an_error_raised_from_the_one_it_was_told_takes_its_place, "sync"),
    ),
    "an instance is asked what its class should say": (
        [
            (recipe._declared, "not hasattr(type(target),", "not hasattr(target,"),
            (recipe._opener, "if hasattr(type(target),", "if hasattr(target,"),
        ],
        kinds.test_a_test_double_is_entered_itself,
    ),
    "a definition is added before it is judged": (
        [(Scope._define, "plan({**", "self.extra = {**self.extra, name: recipe}\n    plan({**")],
        partial(kinds.test_a_refused_addition_does_not_poison_the_block, "sync"),
    ),
    "the first class's name is every class's": (
        [(recipe.Recipe.__get__, "if len(self.name) > 1:", "if False:")],
        kinds.test_a_recipe_that_two_classes_share_is_read_under_each_ones_own_name,
    ),
    "a factory is taken for an object": (
        [(plan._refuse_twice, "one = recipe if recipe.itself is None else recipe.itself", "one = recipe.make")],
        kinds.test_a_class_or_a_function_may_stand_under_two_names_but_no_open_object,
    ),
}


@pytest.mark.parametrize(("faults", "test"), CONTROLS.values(), ids=CONTROLS)
def test_a_test_fails_with_its_fault_in_place(faults: list[Fault], test: Callable[[], object]) -> None:
    fails_with(faults, test)


def test_one_lock_for_all_first_uses_would_hold_up_the_others() -> None:
    one_lock, got_it = threading.Lock(), []
    with one_lock:  # while a slow resource is opened
        other = threading.Thread(target=lambda: got_it.append(one_lock.acquire(blocking=False)))
        other.start()
        other.join()
    assert got_it == [False]


def test_a_walk_that_calls_itself_ends_at_the_stack() -> None:
    needs: dict[int, int] = {number: number - 1 for number in range(1, 5_000)}

    def walk(number: int) -> int:
        return walk(needs[number]) if number in needs else number

    with pytest.raises(RecursionError):
        walk(4_999)


def test_a_limit_of_each_attempt_would_be_tried_again() -> None:
    attempts: list[int] = []

    async def main() -> None:
        for _ in range(3):
            attempts.append(1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()

    asyncio.run(main())
    assert len(attempts) == 3


def test_what_lives_in_another_loop_does_not_end_while_this_one_waits_for_it() -> None:
    leave, ended = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        await leave.wait()
        ended.set()

    async def release() -> None:
        leave.set()
        await asyncio.wait_for(ended.wait(), 0.01)

    one, two = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        task = one.create_task(live())
        with pytest.raises(TimeoutError):
            two.run_until_complete(release())
        one.run_until_complete(task)
    finally:
        one.close()
        two.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_of_a_fork_would_wait_for_threads_that_it_has_not() -> None:
    release, released = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: release.wait() and released.set())
    thread.start()
    if (child := os.fork()) == 0:
        release.set()
        os._exit(released.wait(0.05))
    assert os.waitpid(child, 0)[1] == 0, "released, in the child"
    release.set()
    assert released.wait(60)
    thread.join()


@pytest.mark.skipif(getattr(sys.flags, "thread_inherit_context", 0), reason="here threads inherit it")
def test_a_bare_thread_loses_the_callers_context() -> None:
    colour, seen = contextvars.ContextVar("colour", default="none"), []
    colour.set("red")
    bare = threading.Thread(target=lambda: seen.append(colour.get()))
    carried = threading.Thread(target=contextvars.copy_context().run, args=(lambda: seen.append(colour.get()),))
    for thread in (bare, carried):
        thread.start()
        thread.join()
    assert seen == ["none", "red"]
