"""How much travels to a worker at once."""

from __future__ import annotations

import copyreg
import pickle

import pytest

from arion_lib.lazy.barriers.chunks import AIM, LARGEST, Chunk, ChunkSize, Reply, Shipped, call_each


class TwoPart(Exception):
    """An exception that pickle cannot rebuild: it asks for two arguments and keeps one."""

    def __init__(self, a: str, b: str) -> None:
        super().__init__(a)


def test_short_calls_grow_the_chunk_and_long_calls_do_not() -> None:
    short, long = ChunkSize(), ChunkSize()
    for _ in range(10):
        short.learn(short.now, short.now * 14e-6)
        long.learn(long.now, long.now * 1.0)
    assert short.now == int(AIM / 14e-6)
    assert long.now == 1


def test_a_chunk_is_bounded_however_short_the_calls() -> None:
    size = ChunkSize()
    for _ in range(10):
        size.learn(size.now, 0.0)
    assert size.now == LARGEST


def test_calls_that_become_slow_shrink_the_chunk() -> None:
    size = ChunkSize()
    for _ in range(10):
        size.learn(size.now, size.now * 1e-6)
    size.learn(size.now, size.now * AIM)
    assert size.now == 1


def test_a_reply_holds_the_results_before_the_error() -> None:
    reply = call_each(Shipped(lambda x: 6 // x), Chunk([3, 2, 0, 1]))
    assert reply.results == [2, 3]
    assert isinstance(reply.error, ZeroDivisionError)


def test_an_error_keeps_type_and_cause_across_the_process_border() -> None:
    reply = pickle.loads(pickle.dumps(call_each(Shipped(lambda x: 6 // x), Chunk([0]))))
    assert isinstance(reply.error, ZeroDivisionError)
    assert "ZeroDivisionError" in str(reply.error.__cause__)


def test_an_error_that_cannot_travel_is_replaced_by_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    # distributed, once imported, has every exception pickled without its own __init__: this one then travels.
    monkeypatch.delitem(copyreg.dispatch_table, TwoPart, raising=False)

    def throw(x: object) -> object:
        raise TwoPart("a", "b")

    reply = call_each(Shipped(throw), Chunk([0]))
    assert type(reply.error) is RuntimeError
    assert str(reply.error) == "TwoPart: a"
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(TwoPart("a", "b")))


def test_a_result_that_cannot_travel_becomes_an_error_that_can() -> None:
    reply = pickle.loads(pickle.dumps(Reply([open], None, 0.0)))  # a built-in travels by name
    assert reply.results == [open]
    reply = pickle.loads(pickle.dumps(Reply([(x for x in [])], None, 0.0)))
    assert "a result must be picklable" in str(reply.error)
