"""One error is raised; none is lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.resources.settle import Failure, Phase, error_text, errors_of, parts, rank, settle

KINDS = (ValueError, OSError, KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit)
SWALLOWED = (asyncio.CancelledError, GeneratorExit)
failures = st.lists(
    st.builds(
        lambda phase, kind, n: Failure(phase, f"r{n}", kind(f"{kind.__name__} {n}")),
        st.sampled_from(Phase),
        st.sampled_from(KINDS),
        st.integers(0, 9),
    ),
    max_size=7,
)


@given(failures)
def test_every_error_can_be_found_on_the_one_that_is_raised(many: list[Failure]) -> None:
    raised = settle(many)
    if not many:
        assert raised is None
        return
    assert errors_of(raised) == tuple(many)  # type: ignore[arg-type]
    noted = "\n".join(getattr(raised, "__notes__", ()))
    inside = raised.exceptions if isinstance(raised, ExceptionGroup) else (raised,)
    assert all(failure.error in inside or str(failure) in noted for failure in many)


@given(failures)
def test_the_raised_error_is_the_first_in_line_and_never_wrapped_unless_all_are_releases(many: list[Failure]) -> None:
    raised = settle(many)
    if isinstance(raised, ExceptionGroup):
        assert len(raised.exceptions) > 1
        errors = [f for f in many if not isinstance(f.error, SWALLOWED)]
        assert all(f.phase is Phase.RELEASE and isinstance(f.error, Exception) for f in errors)
    elif many:
        assert raised is min(many, key=rank).error


def test_ctrl_c_comes_first_and_what_a_canceller_swallows_last() -> None:
    line = [  # as it must stand
        Failure(Phase.RELEASE, "r", KeyboardInterrupt()),
        Failure(Phase.RELEASE, "r", SystemExit(1)),
        Failure(Phase.RELEASE, "r", BaseException("of a framework")),
        Failure(Phase.BODY, None, ValueError()),
        Failure(Phase.ACQUIRE, "r", ValueError()),
        Failure(Phase.RELEASE, "r", ValueError()),
        Failure(Phase.BODY, None, asyncio.CancelledError()),
        Failure(Phase.RELEASE, "r", GeneratorExit()),
    ]
    assert [rank(failure) for failure in line] == [0, 0, 1, 2, 3, 4, 5, 5]


def test_releases_that_alone_failed_are_one_group_which_a_swallowed_end_rides_along_on() -> None:
    first, second, end = ValueError("1"), OSError("2"), GeneratorExit()
    failures = [
        Failure(Phase.RELEASE, "b", first),
        Failure(Phase.RELEASE, "g", end),
        Failure(Phase.RELEASE, "a", second),
    ]
    raised = settle(failures)
    assert isinstance(raised, ExceptionGroup)
    assert (raised.message, raised.exceptions) == ("2 resources failed to release: b, a", (first, second))
    assert raised.__notes__ == ["also while releasing 'g': GeneratorExit: "]
    assert errors_of(raised) == tuple(failures)
    assert settle(failures[:2]) is first, "one alone is not wrapped"


def test_failures_beside_a_body_that_failed_are_notes_and_never_a_group() -> None:
    body = ValueError("body")
    failures = [Failure(Phase.BODY, None, body), *(Failure(Phase.RELEASE, name, OSError(name)) for name in "ba")]
    assert settle(failures) is body
    assert body.__notes__ == [f"also while releasing {name!r}: OSError: {name}" for name in "ba"]


def test_what_an_inner_manager_carried_rides_along_on_the_outer_error() -> None:
    inner = Failure(Phase.RELEASE, "inner", OSError("late"))
    carrying = settle([Failure(Phase.BODY, None, ValueError("inside")), inner])
    assert carrying is not None
    raised = settle([Failure(Phase.BODY, None, KeyError("outer")), Failure(Phase.RELEASE, "outer", carrying)])
    assert raised is not None
    assert inner in errors_of(raised)


def test_an_error_has_itself_and_a_group_everything_in_it_as_parts() -> None:
    one, two, three = ValueError(), OSError(), KeyboardInterrupt()
    inner = ExceptionGroup("inner", [one, two])
    outer = BaseExceptionGroup("outer", [inner, three])
    assert list(parts(outer)) == [outer, inner, one, two, three]
    assert list(parts(one)) == [one]


class Mute(Exception):
    def __str__(self) -> str:
        raise OSError


def test_an_error_whose_text_raises_is_named() -> None:
    assert error_text(Mute()) == "Mute whose str raises OSError"
    assert str(Failure(Phase.ACQUIRE, "db", Mute())) == "while acquiring 'db': Mute whose str raises OSError"


class Sealed(Exception):
    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def test_an_error_that_takes_no_attributes_is_raised_all_the_same() -> None:
    sealed = Sealed()
    assert settle([Failure(Phase.BODY, None, sealed)]) is sealed


def test_an_error_of_somebody_else_lists_nothing() -> None:
    with pytest.raises(ValueError, match="x") as caught:
        raise ValueError("x")
    assert errors_of(caught.value) == ()
