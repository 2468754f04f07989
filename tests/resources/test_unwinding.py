"""The one place that decides about closing: driven here by hand, with nothing that opens or closes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.resources.entry import Entry, Lease
from arion_lib.resources.monitoring.events import Journal
from arion_lib.resources.monitoring.metrics import Meter
from arion_lib.resources.plan import plan
from arion_lib.resources.settle import Phase
from arion_lib.resources.unwinding import Ended, Unwinding

Answers = Callable[[Lease, BaseException | None], tuple[BaseException | None, BaseException | None]]


def holding(names: Sequence[str]) -> Entry:
    """An entry in which resources of these names are open, in that order."""
    entry = Entry(plan({}), {name: Meter() for name in names}, Journal("test"), 1)
    for name in names:
        entry.opened(Lease(name, None, name, 0.0), 0.0, 1)
    return entry


def well(lease: Lease, told: BaseException | None) -> tuple[None, None]:
    return None, None


def in_turn(steps: Any, answers: Answers = well) -> list[tuple[str, BaseException | None]]:
    """A driver that closes each resource where it stands."""
    seen: list[tuple[str, BaseException | None]] = []
    ended: Ended | None = None
    while (step := sent(steps, ended)) is not None:
        lease, told = step
        seen.append((lease.name, told))
        ended = (lease, 0.0, *answers(lease, told))
    return seen


def beside(steps: Any, choose: Callable[[list[str]], str]) -> list[tuple[str, str]]:
    """A driver that begins every release somewhere else, and says which one ends next."""
    seen: list[tuple[str, str]] = []
    running: dict[str, Lease] = {}
    ended: Ended | None = None
    while True:
        try:
            step = steps.send(ended)
        except StopIteration:
            return seen
        if step is None:
            name = choose(sorted(running))
            seen.append(("ended", name))
            ended = running.pop(name), 0.0, None, None
        else:
            running[step[0].name] = step[0]
            seen.append(("began", step[0].name))
            ended = None


def sent(steps: Any, ended: Ended | None) -> Any:
    try:
        return steps.send(ended)
    except StopIteration:
        return None


def test_without_an_order_the_last_opened_goes_first() -> None:
    assert [name for name, _ in in_turn(Unwinding().releases(holding("abc")))] == ["c", "b", "a"]


def test_an_error_of_one_release_is_told_to_those_after_it_and_stops_none() -> None:
    late = OSError("b")
    unwinding = Unwinding()
    seen = in_turn(unwinding.releases(holding("abc")), lambda lease, told: (None, late if lease.name == "b" else None))
    assert seen == [("c", None), ("b", None), ("a", late)]
    assert unwinding.outcome() is late


def test_an_error_that_one_release_suppresses_is_not_told_to_the_next() -> None:
    body = ValueError("body")
    unwinding = Unwinding()
    unwinding.failed(Phase.BODY, None, body)
    seen = in_turn(unwinding.releases(holding("abc")), lambda lease, told: (told if lease.name == "b" else None, None))
    assert seen == [("c", body), ("b", body), ("a", None)]
    assert unwinding.outcome() is None


@st.composite
def orders(draw: st.DrawFn) -> dict[str, list[str]]:
    names = [f"r{number}" for number in range(draw(st.integers(0, 8)))]
    return {name: [user for user in names[at + 1 :] if draw(st.booleans())] for at, name in enumerate(names)}


def users_first(seen: list[tuple[str, str]], order: Mapping[str, Sequence[str]]) -> bool:
    at = {step: place for place, step in enumerate(seen)}
    return all(at["ended", user] < at["began", name] for name, users in order.items() for user in users)


@given(orders(), st.data())
def test_each_is_released_once_and_after_its_users_however_long_each_takes(
    order: dict[str, list[str]], data: st.DataObject
) -> None:
    entry = holding(list(order))
    seen = beside(Unwinding().releases(entry, order), lambda names: data.draw(st.sampled_from(names)))
    assert sorted(name for what, name in seen if what == "began") == sorted(order)
    assert users_first(seen, order)
    assert not entry.leases


def test_what_waits_for_nothing_begins_at_once() -> None:
    order = {"db": ["shop"], "cache": [], "shop": []}
    seen = beside(Unwinding().releases(holding(list(order)), order), min)
    assert sorted(seen[:2]) == [("began", "cache"), ("began", "shop")]
    assert seen[2:] == [("ended", "cache"), ("ended", "shop"), ("began", "db"), ("ended", "db")]


def test_without_the_order_a_user_would_be_released_after_what_it_uses() -> None:
    order = {"db": ["shop"], "shop": []}
    seen = beside(Unwinding().releases(holding(["shop", "db"]), {"shop": [], "db": []}), min)
    with pytest.raises(AssertionError):
        assert users_first(seen, order)


def test_a_suppressed_error_is_neither_told_nor_raised() -> None:
    unwinding, error = Unwinding(), ValueError("body")
    unwinding.failed(Phase.BODY, None, error)
    assert unwinding.told() is error
    unwinding.suppress(error)
    assert (unwinding.told(), unwinding.outcome()) == (None, None)


def test_an_error_that_is_only_raised_again_counts_once() -> None:
    unwinding, error = Unwinding(), ValueError("body")
    unwinding.failed(Phase.BODY, None, error)
    unwinding.failed(Phase.RELEASE, "db", error)
    assert len(unwinding.failures) == 1
