"""Options: valid or refused where they are written; declared on a function or chosen at submit."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler import Options, Scheduler, task
from arion_lib.scheduler.bounds import checks
from arion_lib.scheduler.options import LANES, PLAIN, declared
from tests.scheduler import jobs

WRONG: list[tuple[str, Any]] = [
    ("priority", 1.0),
    ("priority", True),
    ("priority", "high"),
    ("retries", -1),
    ("retries", 1.5),
    ("retries", None),
    ("backoff", -0.1),
    ("backoff", math.inf),
    ("backoff", math.nan),
    ("backoff", "1"),
    ("delay", -1),
    ("delay", math.inf),
    ("delay", "1"),
    ("timeout", 0),
    ("timeout", -1.0),
    ("timeout", math.nan),
    ("timeout", "soon"),
    ("deadline", 0),
    ("deadline", "now"),
    ("lane", "gpu"),
    ("if_dependency_fails", "ignore"),
    ("after", [3]),
    ("after", 3),
    ("retry_on", "ValueError"),
    ("retry_on", 3),
    ("retry_on", [ValueError, int]),
    ("tags", 5),
    ("tags", [5]),
    ("name", 7),
    ("key", 7),
    ("at", 5.0),
    ("at", datetime(2026, 11, 30)),  # without a time zone
    ("deadline", math.inf),
    ("prioritty", 3),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda x: str(x))
def test_a_wrong_option_is_refused_by_its_name_before_any_task_exists(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        PLAIN.but(**{name: value})
    with pytest.raises((TypeError, ValueError), match=name):
        task(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [*((n, v) for n, v in WRONG if n != "prioritty"), ("retry_on", [ValueError])],
    ids=lambda x: str(x),
)
def test_an_options_that_exists_is_valid(name: str, value: Any) -> None:
    """Made directly, without `but`, which turns lists and single values into what the class says."""
    with pytest.raises((TypeError, ValueError), match=name):
        Options(**{name: value})


@given(
    priority=st.integers(),
    retries=st.integers(0, 100),
    backoff=st.floats(0, 1e6),
    timeout=st.none() | st.floats(min_value=1e-9, max_value=1e9),
    deadline=st.none() | st.integers(1, 10**6),
    lane=st.none() | st.sampled_from(LANES),
    tags=st.frozensets(st.text(max_size=3), max_size=3),
)
def test_any_right_options_are_taken_as_they_are(**options: Any) -> None:
    made = PLAIN.but(**options)
    assert {name: getattr(made, name) for name in options} == options
    assert made == Options(**options)
    assert Options() == PLAIN


def test_a_single_tag_exception_or_task_need_no_container() -> None:
    assert PLAIN.but(tags="nightly").tags == frozenset({"nightly"})
    assert PLAIN.but(tags=["a", "b"]).tags == frozenset({"a", "b"})
    assert PLAIN.but(retry_on=OSError).retry_on == (OSError,)


def test_a_declaration_leaves_the_function_what_it_was() -> None:
    @task(priority=3, retries=2)
    def double(x: int) -> int:
        return 2 * x

    assert double(2) == 4
    assert (declared(double).priority, declared(double).retries) == (3, 2)
    assert declared(jobs.add) is PLAIN


def test_a_function_cannot_be_declared_to_come_after_a_task(no_leaks: None) -> None:
    with Scheduler(1) as scheduler:
        done = scheduler.submit(jobs.add)
        with pytest.raises(TypeError, match="after"):
            task(after=done)


def test_what_is_chosen_at_submit_wins_over_the_declaration(no_leaks: None) -> None:
    @task(lane="threads", name="declared", retries=5, priority=1)
    def here() -> str:
        return "here"

    with Scheduler(1) as scheduler:
        plain = scheduler.submit(here)
        assert (plain.options.retries, plain.lane, plain.name) == (5, "threads", "declared")
        chosen = scheduler.with_options(retries=0, name="chosen").submit(here)
        assert (chosen.options.retries, chosen.lane, chosen.name) == (0, "threads", "chosen")
        assert chosen.options.priority == 1
        twice = scheduler.with_options(priority=2).with_options(tags="x").submit(here)
        assert (twice.options.priority, twice.options.tags) == (2, frozenset("x"))
        with pytest.raises(TypeError, match="prioritty"):
            scheduler.with_options(prioritty=1)


def test_options_are_frozen() -> None:
    with pytest.raises(AttributeError):
        PLAIN.priority = 3  # type: ignore[misc]


def test_more_workers_than_windows_can_wait_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """`select` takes 512 sockets there: past that the supervisor could not even sleep."""
    monkeypatch.setattr(checks.sys, "platform", "win32")
    checks.check_workers(checks.MOST_ON_WINDOWS)
    with pytest.raises(ValueError, match=r"workers must be <= \d+, got 501: .*512"):
        checks.check_workers(501)
    assert 2 * checks.MOST_ON_WINDOWS < 512  # while they are replaced there may be twice as many
