"""Exceptions on their way: as themselves, with their causes, their data, and the place where it happened."""

from __future__ import annotations

import copyreg
import pickle
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.scheduler.calls.failures import TaskInterrupted, describe, pack_failure
from arion_lib.scheduler.errors import NotTransferableError, WorkerDiedError
from tests.scheduler import jobs
from tests.selection import examples


def fail_with(error: BaseException, cause: BaseException | None) -> NoReturn:
    raise error from cause


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        fail_with(error, cause)
    except BaseException as caught:  # noqa: BLE001
        return caught


def journey(error: BaseException) -> BaseException:
    return pack_failure(error, 4711).exception()


texts = st.text(max_size=20)
errors = st.one_of(
    st.builds(ValueError, texts),
    st.builds(KeyError, texts),
    st.builds(OSError, st.integers(1, 99), texts),
    st.builds(UnicodeDecodeError, st.just("utf-8"), st.binary(min_size=1), st.just(0), st.just(1), texts),
    st.builds(SystemExit, st.integers()),
    st.builds(WorkerDiedError, texts, st.integers(-64, 255)),
    st.builds(TaskInterrupted),
)


@settings(max_examples=examples(30))
@given(errors)
def test_an_exception_comes_back_as_itself(error: BaseException) -> None:
    back = journey(raised(error))
    assert type(back) is type(error)
    assert back.args == error.args
    assert str(back) == str(error)


@settings(max_examples=examples(30))
@given(st.lists(errors, min_size=1, max_size=5))
def test_its_causes_come_along(chain: list[BaseException]) -> None:
    link: BaseException | None = None
    for error in chain:
        link = raised(error, link)
    back: BaseException | None = journey(link)  # type: ignore[arg-type]
    for error in reversed(chain):
        assert type(back) is type(error)
        back = back.__cause__  # type: ignore[union-attr]
    assert back is None


def test_the_control_pickle_alone_loses_the_cause_and_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(copyreg.dispatch_table, ValueError, raising=False)  # distributed, once imported, keeps them
    back = pickle.loads(pickle.dumps(raised(ValueError("x"), KeyError("cause"))))
    assert back.__cause__ is None
    assert not hasattr(back, "__notes__")


def test_the_place_is_a_note() -> None:
    def deep() -> NoReturn:
        raise ValueError("here")

    try:
        deep()
    except ValueError as error:
        (note,) = journey(error).__notes__
    assert "4711" in note
    assert "in deep" in note
    assert 'raise ValueError("here")' in note


def test_attributes_come_along() -> None:
    error = ValueError("x")
    error.rows = [1, 2]  # type: ignore[attr-defined]
    error.add_note("of its own")
    back: Any = journey(raised(error))
    assert back.rows == [1, 2]
    assert back.__notes__[0] == "of its own"


@pytest.mark.parametrize(
    "error",
    [jobs.OddError("one", "two"), ValueError(jobs.Opaque())],
    ids=["its pickling loses an argument", "it holds what cannot travel"],
)
def test_one_that_cannot_travel_is_told_with_all_of_its_text(error: Exception) -> None:
    back = journey(raised(error))
    assert isinstance(back, NotTransferableError)
    assert f"{type(error).__name__}: {error}" in str(back)
    assert "raised" in back.__notes__[-1]


def test_one_whose_cause_cannot_travel_comes_without_it() -> None:
    back = journey(raised(ValueError("x"), jobs.OddError("one", "two")))
    assert type(back) is ValueError
    assert back.__cause__ is None


def test_one_that_cannot_be_had_here_is_told_with_its_text() -> None:
    failure = pack_failure(raised(jobs.StrangerError(-1)), 1)
    changed = failure._replace(data=failure.data.replace(pickle.dumps(-1)[2:-1], pickle.dumps(-1)[2:-1]))
    assert isinstance(changed.exception(), jobs.StrangerError)
    lost = failure._replace(data=b"not a pickle").exception()
    assert isinstance(lost, NotTransferableError)
    assert "StrangerError" in str(lost)


def test_one_that_cannot_be_printed_is_described_by_its_type() -> None:
    assert describe(jobs.RudeError()) == "RudeError"
    assert isinstance(journey(raised(jobs.RudeError())), jobs.RudeError)


def test_a_cycle_of_causes_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert journey(one).args == ("one",)


def test_a_group_comes_back_with_its_members() -> None:
    back = journey(raised(ExceptionGroup("several", [ValueError("a"), OSError(2, "b")])))
    assert isinstance(back, ExceptionGroup)
    assert [type(one) for one in back.exceptions] == [ValueError, FileNotFoundError]


def test_an_interruption_is_not_swallowed_by_except_exception() -> None:
    assert not issubclass(TaskInterrupted, Exception)
