"""The fast path leaves steps out and changes nothing: the same random blocks are run with it and without it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from arion_lib.resources import Resources, resource, tasks, threads
from arion_lib.resources.settle import errors_of
from arion_lib.resources.unwinding import Unwinding
from tests.resources.probes import Probe
from tests.resources.test_random_graphs import once, thousands_of_expected_failures_are_not_logged  # noqa: F401  a fixture

SEEDS = range(300)


@contextlib.contextmanager
def the_long_way() -> Iterator[None]:
    """Switch the fast path off."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "close_in_turn", lambda *_: None)
        patch.setattr(tasks, "aclose_in_turn", lambda *_: None)
        yield


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The blocks whose unwinding was asked what to close next."""
    asked: list[str] = []
    releases = Unwinding.releases

    def counted(self: Unwinding, entry: Any, order: Any = None) -> Any:
        asked.append(entry.label)
        return releases(self, entry, order)

    monkeypatch.setattr(Unwinding, "releases", counted)
    return asked


def told(error: BaseException | None) -> tuple[str, list[tuple[Any, Any, str]]]:
    """What is to be compared of an outcome."""
    failures = errors_of(error) if error is not None else ()
    return type(error).__name__, [(f.phase, f.resource, type(f.error).__name__) for f in failures]


def ended(seed: int, mode: str) -> Any:
    story, outcome = once(seed, mode)
    return story.steps, told(outcome), [type(error).__name__ for error in story.raised]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_block_ends_alike_with_the_fast_path_and_without_it(mode: str) -> None:
    by_it = [ended(seed, mode) for seed in SEEDS]
    with the_long_way():
        assert [ended(seed, mode) for seed in SEEDS] == by_it
    assert len({outcome[0] for _, outcome, _ in by_it}) > 3  # blocks that end well, and that fail in several ways


def test_a_fast_path_that_tells_no_error_would_end_otherwise() -> None:
    by_it = [ended(seed, "sync") for seed in SEEDS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Unwinding, "told", lambda self: None)
        assert [ended(seed, "sync") for seed in SEEDS] != by_it


def test_where_nothing_fails_nothing_is_decided(decided: list[str]) -> None:
    log: list[Any] = []
    with Resources(a=Probe("a", log), b=Probe("b", log), label="well"):
        pass
    assert [(what, name) for what, name, _ in log] == [("open", "a"), ("open", "b"), ("close", "b"), ("close", "a")]
    assert decided == []


def test_the_first_error_leaves_the_fast_path_and_is_told_to_those_that_are_left(decided: list[str]) -> None:
    log: list[Any] = []
    late = OSError("late")
    with (
        pytest.raises(OSError, match="late"),
        Resources(a=Probe("a", log), b=Probe("b", log, on_close=late), c=Probe("c", log), label="ill"),
    ):
        pass
    assert log[-3:] == [("close", "c", None), ("close", "b", None), ("close", "a", late)]
    assert decided == ["ill"]


def test_a_resource_with_a_deadline_is_released_in_its_turn(decided: list[str]) -> None:
    log: list[Any] = []
    limited = resource(Probe("b", log), release_timeout=30)
    with Resources(a=Probe("a", log), b=limited, c=Probe("c", log), label="limited"):
        pass
    assert [name for what, name, _ in log if what == "close"] == ["c", "b", "a"]
    assert decided == ["limited"]


def test_a_release_that_waits_is_awaited_in_its_turn(decided: list[str]) -> None:
    log: list[str] = []

    @contextlib.asynccontextmanager
    async def waits(name: str) -> Any:
        yield name
        await asyncio.sleep(0)
        log.append(name)

    async def main() -> None:
        async with Resources(a=lambda: waits("a"), b=lambda: waits("b"), label="waiting"):
            pass

    asyncio.run(main())
    assert log == ["b", "a"]
    assert decided == ["waiting"]
