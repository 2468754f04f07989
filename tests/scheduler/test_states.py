"""The nine states and the event of a change."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from arion_lib.scheduler.states import Event, State


def test_five_of_the_nine_states_are_final() -> None:
    assert len(State) == 9
    assert {str(state) for state in State if state.final} == {
        "succeeded",
        "failed",
        "cancelled",
        "timed out",
        "quarantined",
    }


@pytest.mark.parametrize("state", State, ids=str)
def test_a_state_is_pickled_as_the_same_object(state: State) -> None:
    assert pickle.loads(pickle.dumps(state)) is state


def test_an_event_is_frozen_and_survives_pickling() -> None:
    event = Event(1.5, 7, "resize", State.FAILED, attempt=2, worker=3, error="ValueError: no")
    assert pickle.loads(pickle.dumps(event)) == event
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.time = 2.0  # type: ignore[misc]


def test_an_event_reads_as_a_sentence() -> None:
    assert str(Event(0.0, 1, "resize", State.READY)) == "resize ready"
    failed = Event(0.0, 1, "resize", State.FAILED, attempt=2, worker=3, error="ValueError: no")
    assert str(failed) == "resize failed on worker 3 (attempt 2): ValueError: no"
