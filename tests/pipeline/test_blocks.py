"""Blocks of whole records, counted exactly once over every queue and database, with workers really killed."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.blocks import Block, BlockCutter, publish_blocks, read_block, work
from arion_lib.pipeline.fingerprint import OtherBody
from arion_lib.pipeline.ingest import Intake
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.queued import Broker
from arion_lib.pipeline.recipe import Recipe
from arion_lib.pipeline.sample import read_chunks, write_sample
from arion_lib.pipeline.store import Store
from tests.pipeline.bodies import cuts, decode, line_bodies, single_bytes
from tests.pipeline.children import running
from tests.pipeline.databases import Database, database
from tests.pipeline.queues import Queue, queue

__all__ = ["database", "queue"]

pytestmark = pytest.mark.usefixtures("no_leaks")

BY_TYPE = Recipe(group_by=("type",), sum_field="amount")


def cut(body: bytes, chunks: list[bytes], size: int, max_record: int) -> list[Block]:
    cutter = BlockCutter("b", size, max_record)
    return [block for chunk in chunks for block in cutter.feed(chunk)] + cutter.close()


@given(line_bodies(), st.lists(st.integers(0, 10_000), max_size=8), st.integers(1, 200), st.integers(64, 100))
@settings(max_examples=100, deadline=None)
def test_blocks_do_not_depend_on_the_chunks_and_hold_the_records_of_the_body(
    body: bytes, points: list[int], size: int, max_record: int
) -> None:
    blocks = cut(body, [body], size, max_record)
    assert cut(body, cuts(body, points), size, max_record) == blocks
    assert cut(body, single_bytes(body), size, max_record) == blocks
    found, dead, count, _ = decode(NdjsonDecoder(max_record=max_record), [body])
    parts = [decode(NdjsonDecoder(max_record=max_record, offset=block.offset), [block.data]) for block in blocks]
    assert [record for records, _, _, _ in parts for record in records] == found
    assert sum(part[2] for part in parts) == count
    places = [(letter.offset, letter.reason) for _, letters, _, _ in parts for letter in letters]
    assert places == [(letter.offset, letter.reason) for letter in dead]


def test_blocks_have_the_size_asked_for_and_a_long_line_does_not_grow_them() -> None:
    lines = b"".join(b'{"n": %06d}\n' % n for n in range(10_000))
    body = lines + b"x" * 5_000_000 + b"\n" + lines
    blocks = cut(body, cuts(body, range(0, len(body), 65_536)), 10_000, 100_000)
    assert all(10_000 <= len(block.data) < 10_100 for block in blocks if b"x" not in block.data and block != blocks[-1])
    assert max(len(block.data) for block in blocks) <= 10_000 + 100_001 + 4
    assert [body.startswith(block.data[:100], block.offset) for block in blocks] == [True] * len(blocks)


@given(st.text(), st.integers(0, 2**60), st.integers(0, 2**60), st.binary())
def test_a_block_survives_as_a_message(body: str, number: int, offset: int, data: bytes) -> None:
    block = Block(body.encode(errors="replace").decode(), number, offset, data)
    assert read_block(block.encode()) == block


@pytest.mark.parametrize("message", [b"", b"{}", b"[1]\n", b'["a",1]\n', b"nope\n"])
def test_what_is_no_block_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"block must begin|Expected|malformed"):
        read_block(message)


@pytest.mark.parametrize("arguments", [("b", 0), ("b", 1, 63)])
def test_wrong_arguments_are_refused_when_it_is_built(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="must be >="):
        BlockCutter(*arguments)


def totals(store: Store, stream: str = "events") -> dict[str, tuple[int, Any]]:
    return {str(result.key[0]): (result.count, result.sum) for result in store.results(stream)}


def test_a_worker_killed_between_commit_and_ack_counts_nothing_twice(
    queue: Queue, database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "events"
    expected = write_sample(path, 6_000_000)
    with queue.open() as publisher:
        assert publish_blocks(read_chunks(path), publisher, "events", "body-1") > 20
    with database.open() as store:
        with running("block_child.py", queue.url, database.url, queue.claim_timeout) as worker:
            assert worker.line() == "committed"
            worker.kill()
        committed = sum(count for count, _ in totals(store).values())
        assert 0 < committed < expected.records - expected.malformed
        # A queue of its own, opened now: one that had been idle for longer than its claim time-out may be cut off.
        with queue.open() as broker:  # Redelivered, found to be done, and acked: only then it is empty.
            while (status := broker.status()).ready or status.claimed:
                work(broker, store, BY_TYPE, timeout=2 * queue.claim_timeout)
        assert totals(store) == expected.totals
        letters = store.dead_letters("events", limit=10_000)
        assert len(letters) == expected.malformed
        body = path.read_bytes()
        assert all(body.startswith(letter.letter.raw, letter.letter.offset) for letter in letters)


def test_without_the_blocks_name_in_the_transaction_a_killed_worker_counts_twice(
    queue: Queue, database: Database, tmp_path: Path
) -> None:
    body = b"".join(json.dumps({"type": "paid", "amount": n}).encode() + b"\n" for n in range(100))
    with database.open() as store:
        with queue.open() as broker:
            publish_blocks([body], broker, "events", "body-1")
            commit_without_a_name(broker, store)  # and is killed before the ack: the claim runs out
        with queue.open() as broker:
            assert commit_without_a_name(broker, store)
        assert totals(store) == {"paid": (200, 9_900)}  # the control: twice


def commit_without_a_name(broker: Broker, store: Store) -> bool:
    claim = broker.claim(timeout=10.0)
    assert claim is not None
    for message in claim.messages:
        intake = Intake(claim.stream, BY_TYPE, lambda kind, skip: NdjsonDecoder(kind, skip=skip))
        for batch in (intake.feed(read_block(message).data), intake.close()):
            if batch is not None:
                store.commit(batch)
    return True


def test_a_body_published_twice_is_counted_once(queue: Queue, database: Database, tmp_path: Path) -> None:
    path = tmp_path / "events"
    expected = write_sample(path, 1)
    with queue.open() as broker, database.open() as store:
        for size in (1_000, 65_536):  # other chunks, the same blocks
            publish_blocks(read_chunks(path, size), broker, "events", "body-1")
        while (status := broker.status()).ready or status.claimed:
            work(broker, store, BY_TYPE, timeout=2 * queue.claim_timeout)
        assert totals(store) == expected.totals


def test_another_body_published_under_the_same_name_is_refused_and_not_counted(
    queue: Queue, database: Database
) -> None:
    with queue.open() as broker, database.open() as store:
        for amount in (1, 2):
            publish_blocks([b'{"type": "paid", "amount": %d}\n' % amount], broker, "events", "body-1")
        with pytest.raises(OtherBody, match="must stand for one body"):
            work_for_ever(broker, store, queue.claim_timeout)
        assert totals(store) == {"paid": (1, 1)}


def test_a_message_that_is_no_block_does_not_hold_up_the_others(queue: Queue, database: Database) -> None:
    with queue.open() as broker, database.open() as store:
        broker.publish("events", [b"no block"])
        publish_blocks([b'{"type": "paid", "amount": 1}\n'], broker, "events", "body-1")
        with pytest.raises(ValueError, match="must begin with a line that names it"):
            work_for_ever(broker, store, queue.claim_timeout)
        while not totals(store):  # the good block was not in the same transaction
            with suppress(ValueError):
                work(broker, store, BY_TYPE, timeout=queue.claim_timeout)
        assert totals(store) == {"paid": (1, 1)}
        assert store.done("events", "body-1/0") is not None


def work_for_ever(broker: Broker, store: Store, timeout: float) -> None:
    while True:
        work(broker, store, BY_TYPE, timeout=timeout)
