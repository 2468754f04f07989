"""Definitions are checked before anything is opened."""

from __future__ import annotations

from contextlib import AsyncExitStack, nullcontext

import pytest

from arion_lib.resources import resource
from arion_lib.resources.graph import GraphError
from arion_lib.resources.plan import plan


def names(definition: dict[str, object], outer: tuple[str, ...] = ()) -> list[str]:
    return [name for name, _ in plan(definition, outer).eager]


def test_lazy_ones_are_left_out_unless_an_eager_one_needs_them() -> None:
    lazy, needed = resource(nullcontext(), lazy=True), resource(nullcontext(), lazy=True)
    assert names({"lazy": lazy, "needed": needed, "api": resource(nullcontext(), after="needed")}) == ["needed", "api"]


def test_what_an_enclosing_manager_has_may_be_needed() -> None:
    api = resource(nullcontext(), after=["db"])
    assert names({"api": api}, outer=("db",)) == ["api"]
    with pytest.raises(GraphError, match="'api' needs 'db', which is not defined"):
        plan({"api": api})


def test_one_object_under_two_names_is_refused() -> None:
    shared = nullcontext()
    with pytest.raises(ValueError, match="listed once, got the same object as 'a' and 'b'"):
        plan({"a": shared, "b": shared})


def test_what_can_only_be_entered_with_async_with_is_named() -> None:
    checked = plan({"a": nullcontext(), "b": AsyncExitStack()})
    with pytest.raises(TypeError, match="b must be a synchronous resource in a `with` block, got the asynchronous"):
        checked.refuse_async()
    plan({"a": nullcontext()}).refuse_async()
