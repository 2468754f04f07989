"""Tasks among the arguments of calls that stay in this process."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler.calls.substitute import _fill, filled_in, tasks_in


class Handle:
    """Stands for a task."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def result(self) -> Any:
        return self.value

    def __repr__(self) -> str:
        return f"Handle({self.value})"


class Call:
    """Stands for a task that is about to run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._call = (args, kwargs)
        self._more = self
        self.needs = tasks_in((args, kwargs), Handle)


handles = st.builds(Handle, st.integers(0, 9))
nested = st.recursive(
    st.integers() | st.text(max_size=2) | handles,
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


def oracle(value: Any) -> Any:
    """The same, by looking at everything."""
    if isinstance(value, Handle):
        return value.value
    if isinstance(value, list):
        return [oracle(one) for one in value]
    if isinstance(value, tuple):
        return tuple(oracle(one) for one in value)
    if isinstance(value, dict):
        return {key: oracle(one) for key, one in value.items()}
    return value


@given(nested, nested)
def test_tasks_at_any_depth_are_replaced_by_their_results(one: Any, two: Any) -> None:
    call = Call(one, extra=two)
    assert filled_in(call) == ((oracle(one),), {"extra": oracle(two)})  # type: ignore[arg-type]


@given(nested)
def test_each_task_is_found_once(value: Any) -> None:
    found = tasks_in([value, value], Handle)
    assert len(found) == len({id(one) for one in found})
    assert (found == []) == ("Handle" not in repr(value))


def test_without_tasks_the_arguments_are_handed_over_as_they_are() -> None:
    shared = [1, 2]
    (args, kwargs) = filled_in(Call(shared, key=shared))  # type: ignore[arg-type]
    assert args[0] is shared
    assert kwargs["key"] is shared


def test_only_containers_that_hold_a_task_are_copied() -> None:
    task, plain = Handle(5), [1]
    args, _ = filled_in(Call([task, plain]))  # type: ignore[arg-type]
    assert args == ([5, [1]],)
    assert _fill(task, {id(task): 5}) == 5


def test_a_task_inside_another_object_is_not_found() -> None:
    class Box:
        def __init__(self, inside: Any) -> None:
            self.inside = inside

    class Row(tuple[Any, ...]):
        __slots__ = ()

    assert tasks_in([Box(Handle(1)), Row((Handle(2),))], Handle) == []
