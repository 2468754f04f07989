"""The relay loses nothing: not when the queue is down, not when it is killed, not when a publish fails half-way."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.broker import Broker, BrokerDown, MessageTooLarge, open_broker
from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.queues.file_queue import FileBroker
from arion_lib.pipeline.queues.frames import TornBlock
from arion_lib.pipeline.queues.pauses import pause_after
from arion_lib.pipeline.store import StoreBusy, open_store
from arion_lib.pipeline.stores.addresses import local_url
from arion_lib.pipeline.stores.sqlite import SqliteStore
from tests.pipeline.children import running
from tests.pipeline.databases import Database, database
from tests.pipeline.queues import Queue, queue

__all__ = ["database", "queue"]  # the fixtures

PATIENCE = 30.0
ROUNDS = int(os.environ.get("ARION_KILL_ROUNDS", "6"))


class Flaky(FileBroker):
    """A queue that can be taken down; it tells when somebody tried in vain."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.down = threading.Event()
        self.refused = threading.Semaphore(0)
        self.accept = 10**9  # publishes before it goes down by itself

    def publish(self, stream: str, messages: Sequence[bytes], ids: Sequence[str] | None = None) -> None:
        if self.accept == 0:
            self.down.set()
        if self.down.is_set():
            self.refused.release()
            raise BrokerDown("the queue is down")
        self.accept -= 1
        super().publish(stream, messages, ids)


def fill(store: SqliteStore, first: int, count: int, stream: str = "orders") -> list[bytes]:
    """Commit `count` entries of two messages."""
    messages = []
    for number in range(first, first + count):
        pair = [b"%d a" % number, b"%d b" % number]
        store.commit(Batch(stream, messages=pair))
        messages += pair
    return messages


def received(queue: Broker, count: int) -> list[bytes]:
    """Claim and ack until `count` messages came."""
    messages: list[bytes] = []
    while len(messages) < count:
        claim = queue.claim(limit=1_000, timeout=PATIENCE)
        assert claim is not None, f"only {len(messages)} of {count} messages came"
        messages += claim.messages
        queue.ack(claim)
    return messages


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "store.db") as store:
        yield store


@pytest.fixture
def flaky(tmp_path: Path) -> Iterator[Flaky]:
    with Flaky(tmp_path / "queue") as queue:
        yield queue


def test_what_a_transaction_left_is_in_the_queue_in_order_and_gone_from_the_outbox(
    no_leaks: None, database: Database, queue: Queue
) -> None:
    with database.open() as store, queue.open() as broker:
        relay = Relay(store, broker)
        expected = fill(store, 0, 5)  # type: ignore[arg-type]
        assert relay.drain() == 10
        assert relay.drain() == 0
        assert received(broker, 10) == expected
        assert store.outbox() == []
        assert broker.claim() is None


def test_small_commits_of_a_stream_leave_as_one_block_and_streams_stay_apart(store: SqliteStore, flaky: Flaky) -> None:
    for stream in ("a", "a", "a", "b", "a"):
        fill(store, 0, 1, stream)
    Relay(store, flaky).drain()
    claims = [flaky.claim() for _ in range(3)]
    assert [(claim.stream, len(claim.messages)) for claim in claims if claim] == [("a", 6), ("b", 2), ("a", 2)]


def test_a_commit_wakes_the_relay_that_sleeps(no_leaks: None, store: SqliteStore, flaky: Flaky) -> None:
    with Relay(store, flaky, poll=3_600.0):
        for number in range(5):
            expected = fill(store, number, 1)
            assert received(flaky, 2) == expected


def test_a_relay_with_nothing_to_do_looks_once_for_each_commit_and_does_not_spin(
    store: SqliteStore, flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []
    look = Relay._round
    monkeypatch.setattr(Relay, "_round", lambda relay: rounds.append(len(rounds)) or look(relay))
    with Relay(store, flaky, poll=3_600.0):
        for number in range(5):
            expected = fill(store, number, 1)
            assert received(flaky, 2) == expected
    assert len(rounds) <= 1 + 2 * 5  # at the start; then at most one that publishes and one that finds no more


def test_commits_of_another_process_are_found_by_looking(tmp_path: Path, store: SqliteStore, flaky: Flaky) -> None:
    with Relay(store, flaky, poll=0.01), SqliteStore(tmp_path / "store.db") as other:
        expected = fill(other, 0, 1)
        assert received(flaky, 2) == expected


def test_a_queue_that_is_down_at_the_start_gets_everything_when_it_is_up(
    no_leaks: None, store: SqliteStore, flaky: Flaky
) -> None:
    flaky.down.set()
    expected = fill(store, 0, 3)
    with Relay(store, flaky, first_pause=0.001, longest_pause=0.01) as relay:
        for _ in range(3):
            assert flaky.refused.acquire(timeout=PATIENCE)
        status = relay.status()
        assert (status.running, status.published, status.waiting_messages) == (True, 0, 6)
        assert status.last_error == "BrokerDown: the queue is down"
        assert status.failures >= 2
        expected += fill(store, 3, 2)  # the store goes on meanwhile
        flaky.down.clear()
        assert received(flaky, 10) == expected
    assert relay.status().failures == 0
    assert relay.status().waiting_seconds == 0.0


def test_a_queue_that_goes_down_half_way_gets_the_rest_later_and_nothing_twice(
    store: SqliteStore, flaky: Flaky
) -> None:
    expected = []
    for number in range(6):
        expected += fill(store, number, 1, stream=f"s{number % 2}")
    flaky.accept = 2
    with pytest.raises(BrokerDown):
        Relay(store, flaky).drain()
    assert len(store.outbox()) == 4, "what the queue has is marked, the rest waits"
    flaky.down.clear()
    flaky.accept = 100
    Relay(store, flaky).drain()
    assert received(flaky, 12) == expected
    assert flaky.claim() is None


def test_a_naive_relay_that_marks_first_loses_what_was_not_published(store: SqliteStore, flaky: Flaky) -> None:
    expected = fill(store, 0, 4)
    flaky.accept = 0
    with contextlib.suppress(BrokerDown):
        for entry in store.outbox():
            store.mark_published([entry.seq])
            flaky.publish(entry.stream, entry.messages)
    flaky.down.clear()
    flaky.accept = 100
    Relay(store, flaky).drain()
    status = flaky.status()
    assert status.messages != len(expected)


def test_commits_do_not_hurry_the_attempts_while_the_queue_is_down(store: SqliteStore, flaky: Flaky) -> None:
    flaky.down.set()
    with Relay(store, flaky, first_pause=3_600.0, longest_pause=3_600.0) as relay:
        fill(store, 0, 1)
        assert flaky.refused.acquire(timeout=PATIENCE)
        fill(store, 1, 20)
        assert not flaky.refused.acquire(timeout=0.05)
        assert relay.stop(PATIENCE), "stopping does not wait for the pause"


def test_a_store_that_is_busy_for_a_moment_does_not_end_the_relay(
    store: SqliteStore, flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fill(store, 0, 2)
    real, busy = store.mark_published, iter([StoreBusy("locked"), StoreBusy("locked")])

    def mark(seqs: Iterable[int]) -> None:
        for error in busy:
            raise error
        real(seqs)

    monkeypatch.setattr(store, "mark_published", mark)
    with Relay(store, flaky, first_pause=0.001, longest_pause=0.01):
        came = received(flaky, 12)
    assert came == expected * 3, "published again: at least once, and in order each time"
    assert store.outbox() == []


def test_published_entries_are_cleared_away_unless_they_are_kept(store: SqliteStore, flaky: Flaky) -> None:
    def entries() -> int:
        with store._connections.reading() as db:
            return int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])

    fill(store, 0, 3)
    Relay(store, flaky, keep_published=None).drain()
    assert entries() == 3
    fill(store, 3, 3)
    Relay(store, flaky, keep_published=3_600.0).drain()
    assert entries() == 6
    fill(store, 6, 1)
    Relay(store, flaky).drain()
    assert entries() == 0


def test_kill_9_of_the_relay_at_random_moments_publishes_every_message_at_least_once(
    no_leaks: None, tmp_path: Path, store: SqliteStore
) -> None:
    draw = random.Random(99)
    queue_url = local_url("file", tmp_path / "queue")
    expected: list[bytes] = []
    total = repeated = 0
    for number in range(ROUNDS):
        expected += fill(store, number * 40, 40)
        with running("relay_child.py", local_url("sqlite", tmp_path / "store.db"), queue_url) as child:
            for _ in range(draw.randint(1, 20)):
                child.line()
            child.kill()
    with open_broker(queue_url) as broker:
        Relay(store, broker).drain()
        counts: Counter[bytes] = Counter()
        while claim := broker.claim(limit=1_000):
            counts.update(claim.messages)
            broker.ack(claim)
    total, repeated = sum(counts.values()), sum(counts.values()) - len(counts)
    assert set(counts) == set(expected)
    assert total == len(expected) + repeated
    assert repeated <= ROUNDS * 4, "a crash repeats one reading of the outbox at most: 2 entries of 2 messages"


def test_a_relay_starts_once_and_stops_twice(no_leaks: None, store: SqliteStore, flaky: Flaky) -> None:
    relay = Relay(store, flaky)
    relay.start()
    with pytest.raises(RuntimeError, match="the relay is running; stop it before it is started again"):
        relay.start()
    assert relay.stop()
    assert relay.stop()
    assert not relay.status().running
    expected = fill(store, 0, 1)
    relay.start()
    assert received(flaky, 2) == expected
    assert relay.stop()


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"poll": 0}, {"first_pause": 0}, {"first_pause": 9.0}])
def test_nonsense_is_refused_when_the_relay_is_made(store: SqliteStore, flaky: Flaky, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="limit must be >= 1, poll > 0 and 0 < first_pause <= longest_pause"):
        Relay(store, flaky, **wrong)  # type: ignore[arg-type]


def test_pauses_grow_are_bounded_and_differ_between_relays() -> None:
    pauses = [[pause_after(n, 0.05, 5.0, random.Random(seed).random) for n in range(1, 2_000)] for seed in range(5)]
    for one in pauses:
        assert all(0.0 < pause <= 5.0 for pause in one)
    assert len({one[10] for one in pauses}) == 5


def test_the_relay_counts_every_message_that_it_published(store: SqliteStore, flaky: Flaky) -> None:
    relay = Relay(store, flaky)
    for first in (0, 3, 6):
        messages = fill(store, first, 3)
        assert relay.drain() == len(messages)
    assert relay.status().published == 3 * len(messages)


@pytest.mark.parametrize("limit", [1_000, 2])
def test_a_drain_counts_all_streams_of_all_its_rounds(store: SqliteStore, flaky: Flaky, limit: int) -> None:
    messages = [message for first in range(3) for stream in "ab" for message in fill(store, first, 1, stream)]
    assert Relay(store, flaky, limit=limit).drain() == len(messages)


def test_a_relay_that_stands_by_does_not_spin(
    store: SqliteStore, flaky: Flaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, rounds = threading.Event(), list[int]()
    look, standing_by = Relay._round, list[Relay]()

    def noted(relay: Relay) -> int:
        published = look(relay)
        if relay in standing_by:
            rounds.append(published)
            looked.set()
        return published

    monkeypatch.setattr(Relay, "_round", noted)
    with SqliteStore(tmp_path / "store.db") as other, Relay(store, flaky, poll=3_600.0):
        fill(store, 0, 1)
        received(flaky, 2)  # the first one leads
        second = Relay(other, flaky, poll=3_600.0)
        standing_by.append(second)
        with second:
            assert looked.wait(PATIENCE)
            assert second.status().standby
            for number in range(5):
                fill(store, number, 1)
                received(flaky, 2)
    assert rounds == [0]


def test_after_a_few_messages_a_relay_lingers_for_more(store: SqliteStore, flaky: Flaky) -> None:
    with Relay(store, flaky, poll=3_600.0, linger=3_600.0) as relay:
        fill(store, 0, 1)
        received(flaky, 2)
        fill(store, 1, 4)
        assert flaky.claim(timeout=0.2) is None
        assert relay.status().waiting_messages >= 8
    with Relay(store, flaky, poll=3_600.0):  # the control
        assert len(received(flaky, 8)) == 8


def test_no_error_ends_the_thread_that_publishes(no_leaks: None, store: SqliteStore, flaky: Flaky) -> None:
    expected = fill(store, 0, 2)
    errors = iter([TornBlock("a bit has changed"), MemoryError(), AssertionError("a bug")])
    real = flaky.publish

    def publish(stream: str, messages: Sequence[bytes], ids: Sequence[str] | None = None) -> None:
        for error in errors:
            raise error
        real(stream, messages, ids)

    flaky.publish = publish  # type: ignore[method-assign]
    with Relay(store, flaky, first_pause=0.001, longest_pause=0.01) as relay:
        assert received(flaky, 4) == expected
        assert relay.status().running


def test_two_servers_on_one_store_publish_everything_once(no_leaks: None, database: Database, tmp_path: Path) -> None:
    with (
        database.open() as one,
        database.open() as other,
        FileBroker(tmp_path / "queue") as broker,
        Relay(one, broker, poll=0.01) as first,
        Relay(other, broker, poll=0.01) as second,
    ):
        expected: list[bytes] = []
        for number in range(20):
            expected += fill((one, other)[number % 2], number, 1)  # type: ignore[arg-type]
        assert Counter(received(broker, 40)) == Counter(expected)
        assert {first.status().standby, second.status().standby} == {True, False}
        assert first.stop()
        expected = fill(one, 20, 1)  # type: ignore[arg-type]
        assert received(broker, 2) == expected, "the one that stood by goes on"
        assert broker.claim() is None


def test_without_the_lease_two_servers_publish_things_twice(store: SqliteStore, flaky: Flaky) -> None:
    expected = fill(store, 0, 3)
    for entry in (entries := store.outbox()) + entries:  # the control: both read before one marks
        flaky.publish(entry.stream, entry.messages)
    assert len(received(flaky, 12)) == 2 * len(expected)


def test_the_lease_of_a_killed_relay_is_free_at_once(no_leaks: None, tmp_path: Path, store: SqliteStore) -> None:
    fill(store, 0, 40)
    queue_url = local_url("file", tmp_path / "queue")
    with running("relay_child.py", local_url("sqlite", tmp_path / "store.db"), queue_url) as child:
        child.line()
        assert store.lease() is None
        with open_broker(queue_url) as broker, pytest.raises(StoreBusy, match="another relay publishes this outbox"):
            Relay(store, broker).drain()
        child.kill()
    lease = store.lease()
    assert lease is not None
    lease.close()


@pytest.mark.postgres
def test_a_lease_that_was_given_back_is_free_before_the_server_hears_of_the_connections_end(
    postgres_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(postgres_schema) as store:
        lease: Any = store.lease()
        really = lease._db.close
        monkeypatch.setattr(lease._db, "close", lambda: None)
        lease.close()
        again = store.lease()
        really()
        assert again is not None
        again.close()


def test_a_lease_that_the_server_forgot_is_taken_again(no_leaks: None, postgres_schema: str, flaky: Flaky) -> None:
    import psycopg

    with open_store(postgres_schema) as store, Relay(store, flaky, poll=0.01, first_pause=0.01) as relay:
        assert received(flaky, len(fill(store, 0, 1)))  # type: ignore[arg-type]
        with psycopg.connect(postgres_schema, autocommit=True) as admin:
            holder = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            mine = f"{holder} AND objid = 'outbox'::regclass::oid"
            assert admin.execute(mine.encode()).fetchall() == [(True,)]
        expected = fill(store, 1, 1)  # type: ignore[arg-type]
        assert received(flaky, 2) == expected
        assert not relay.status().standby


def test_a_message_has_the_same_id_however_often_and_in_whatever_company_it_is_published(
    database: Database, tmp_path: Path
) -> None:
    with database.open() as store, FileBroker(tmp_path / "queue") as broker:
        fill(store, 0, 3)  # type: ignore[arg-type]
        relay = Relay(store, broker, limit=2)
        real, store.mark_published = store.mark_published, lambda _: None  # type: ignore[assignment, method-assign]
        assert relay._round() == 4
        store.mark_published = real  # type: ignore[method-assign]
        assert Relay(store, broker).status().waiting_messages == 6
        relay._end_lease()
        Relay(store, broker).drain()
        named: list[tuple[str, bytes]] = []
        while claim := broker.claim():
            named += zip(claim.ids, claim.messages, strict=True)
            broker.ack(claim)
        assert len(named) == 10
        assert len(set(named)) == len({name for name, _ in named}) == len({message for _, message in named}) == 6


def test_what_no_publish_takes_is_put_aside_and_holds_nothing_up(store: SqliteStore, tmp_path: Path) -> None:
    class Narrow(FileBroker):
        def publish(self, stream: str, messages: Sequence[bytes], ids: Sequence[str] | None = None) -> None:
            if sum(map(len, messages)) > 100:
                raise MessageTooLarge("the queue takes 100 bytes")
            super().publish(stream, messages, ids)

    small = [b'{"n":%d}' % number for number in range(50)]
    with Narrow(tmp_path / "queue") as broker:
        store.commit(Batch("orders", messages=[*small, b"x" * 101, b'{"last":1}']))
        store.commit(Batch("others", messages=[b"{}"]))
        Relay(store, broker).drain()
        assert Counter(received(broker, 52)) == Counter([*small, b'{"last":1}', b"{}"])
        (letter,) = store.dead_letters("orders")
        assert letter.letter.raw == b"x" * 101
        assert "cannot be published: the queue takes 100 bytes" in letter.letter.reason
        assert store.outbox() == []


def test_a_large_entry_travels_in_blocks_that_any_queue_takes(store: SqliteStore, flaky: Flaky) -> None:
    messages = [b'"%s"' % (b"x" * 300_000)] * 12
    store.commit(Batch("s", messages=messages))
    Relay(store, flaky).drain()
    sizes = []
    while claim := flaky.claim():
        sizes.append(len(claim.messages))
        flaky.ack(claim)
    assert sizes == [3, 3, 3, 3]


@pytest.mark.parametrize("harm", ["rows deleted", "block damaged"])
def test_messages_that_are_gone_are_told_and_hold_nothing_up(database: Database, tmp_path: Path, harm: str) -> None:
    rows = [b'{"id":1}', b'{"id":2}']
    with database.open() as store, FileBroker(tmp_path / "queue") as broker:
        store.commit(Batch("s", rows, messages=rows if harm == "rows deleted" else [b"1", b"2"]))
        store.commit(Batch("s", messages=[b"3"]))
        with store._connections.transaction() as db:
            db.execute(
                "DELETE FROM rows" if harm == "rows deleted" else "UPDATE outbox SET block = 'torn' WHERE seq = 1"
            )
        Relay(store, broker).drain()
        assert received(broker, 1) == [b"3"]
        (letter,) = store.dead_letters("s")
        assert letter.letter.reason.startswith("gone or damaged: 2 messages of outbox entry ")
        assert store.outbox() == []


def test_a_record_printed_over_lines_is_a_message_on_one(store: SqliteStore, flaky: Flaky) -> None:
    rows = [b'{\r\n  "id": 1.10\n}', b"{}"]
    store.commit(Batch("s", rows, messages=rows))
    Relay(store, flaky).drain()
    assert received(flaky, 2) == [b'{    "id": 1.10 }', b"{}"]
