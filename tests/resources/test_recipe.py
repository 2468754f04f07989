"""What counts as a resource, and what its options are."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from arion_lib.resources import Resources, Retry, resource
from arion_lib.resources.recipe import Kind


class Both:
    def __enter__(self) -> str:
        return "both"

    def __exit__(self, *exc: object) -> None: ...

    async def __aenter__(self) -> str:
        return "both"

    async def __aexit__(self, *exc: object) -> None: ...


def generator() -> Iterator[int]:
    yield 1


async def agenerator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (contextlib.nullcontext(), Kind.SYNC | Kind.ASYNC),
        (contextlib.ExitStack(), Kind.SYNC),
        (contextlib.AsyncExitStack(), Kind.ASYNC),
        (Both, Kind.SYNC | Kind.ASYNC),
        (generator, Kind.SYNC),
        (agenerator, Kind.ASYNC),
        (contextlib.contextmanager(generator), Kind.UNKNOWN),
        (lambda: Both(), Kind.UNKNOWN),
    ],
)
def test_what_a_resource_is_is_told_before_it_is_opened(target: Any, kind: Kind) -> None:
    assert resource(target).kind == kind


def test_a_generator_can_be_opened_again_and_again() -> None:
    managed = Resources(a=generator)
    for _ in range(2):
        with managed as r:
            assert r.a == 1


@pytest.mark.parametrize("target", [3, None, object(), "text"])
def test_what_is_no_resource_is_refused_with_a_hint(target: object) -> None:
    with pytest.raises(TypeError, match=r"wrap it in contextlib\.closing"):
        resource(target)  # type: ignore[call-overload]


def test_a_recipe_of_a_recipe_is_refused() -> None:
    with pytest.raises(TypeError, match="not a recipe of one: pass generator itself"):
        resource(resource(generator))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"timeot": 3}, TypeError, "option must be one of after, .* got 'timeot'"),
        ({"timeout": 0}, ValueError, "timeout must be > 0 seconds"),
        ({"release_timeout": -1}, ValueError, "release_timeout must be > 0 seconds"),
        ({"timeout": 1, "thread_bound": True}, ValueError, "cannot be left behind"),
        ({"retry": 3}, TypeError, "retry must be a Retry, got 3"),
        ({"timeout": "3"}, TypeError, "timeout must be a number of seconds, got '3'"),
        ({"release_timeout": True}, TypeError, "release_timeout must be a number of seconds, got True"),
        ({"lazy": "no"}, TypeError, "lazy must be True or False, got 'no'"),
        ({"optional": 1}, TypeError, "optional must be True or False, got 1"),
        ({"thread_bound": None}, TypeError, "thread_bound must be True or False, got None"),
        ({"check": 3}, TypeError, "check must be a function of the open resource, got 3"),
        ({"after": 3}, TypeError, "after must be a name or a list of names, got 3"),
        ({"after": [generator]}, TypeError, "after must be a name or a list of names, got "),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        resource(generator, **options)


def test_a_class_may_declare_its_options_and_the_call_wins() -> None:
    class Database(Both):
        resource_options = {"after": ["config"], "timeout": 2.0}  # noqa: RUF012

    assert resource(Database()).needs == ("config",)
    assert (resource(Database()).timeout, resource(Database(), timeout=5).timeout) == (2.0, 5)


def test_only_parameters_without_a_default_are_given_resources() -> None:
    def session(db: str, retries: int = 3) -> Iterator[tuple[str, int]]:
        yield db, retries

    with Resources(db=Both(), session=session) as r:
        assert r.session == ("both", 3)


def test_retries_only_name_exceptions() -> None:
    with pytest.raises(TypeError, match="cancellation and Ctrl-C are never tried again"):
        Retry(on=(BaseException,))  # type: ignore[arg-type]
