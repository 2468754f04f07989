"""Challenge 1's durable half: rows and outbox into SQLite, upserted groups, and the message queues.

Idea        Durable against durable: every contender waits for the disk (`synchronous=FULL`, fsync) as often as ours.
Invariant   A contender returns how many rows or messages it made durable, and all return the same.
When wrong  A server that does not answer is listed as absent; its contenders are left out.
See         tests/bench/test_pipeline_store.py
"""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from arion_lib.bench.compare import Comparison, at_least, at_most, compare
from arion_lib.bench.memory import compare_memory
from arion_lib.bench.ratios import Result
from arion_lib.bench.verdicts import Table
from arion_lib.pipeline.batch import Aggregate, Batch
from arion_lib.pipeline.broker import Broker, BrokerError, open_broker
from arion_lib.pipeline.files.sample import sample_events
from arion_lib.pipeline.queues.file_queue import FileBroker
from arion_lib.pipeline.stores.sqlite import SqliteStore

REDIS = "redis://127.0.0.1:6379/0"
RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/%2F"

_ROWS = 20_000  # a call
_MESSAGES = 100_000  # a call
_BLOCK = 1_000  # messages a publish
_SETTINGS = ("journal_mode = WAL", "synchronous = FULL", "cache_size = -4096", "journal_size_limit = 67108864")


def results(rounds: int) -> Iterator[Result]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory(prefix="arion-bench-") as name:
        folder = Path(name)
        yield rows_and_outbox(folder, 1_000, rounds)
        yield rows_and_outbox(folder, 10_000, rounds)
        yield upserts(folder, rounds)
        yield queues(folder, rounds)
        yield memory(folder)


def rows_and_outbox(folder: Path, batch: int, rounds: int, rows: int = _ROWS) -> Comparison:
    """Compare durable batches of rows with an outbox to the plain `executemany` of the same rows without one."""
    events = list(sample_events(rows))
    copies = [event + b" " for event in events]  # messages that are not the rows: the outbox holds their bytes
    with ExitStack() as stack:
        plain = stack.enter_context(_database(folder / f"plain{batch}.db"))
        plain.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body)")
        echoing = stack.enter_context(SqliteStore(folder / f"echo{batch}.db"))
        copying = stack.enter_context(SqliteStore(folder / f"copy{batch}.db"))
        alone = stack.enter_context(SqliteStore(folder / f"rows{batch}.db"))
        return compare(
            {
                "executemany, no outbox": partial(_executemany, plain, events, batch),
                "store: rows alone": partial(_commit, alone, events, None, batch),
                "store: rows + outbox": partial(_commit, echoing, events, events, batch),
                "store: rows + other messages": partial(_commit, copying, events, copies, batch),
            },
            baseline="executemany, no outbox",
            rounds=rounds,
            targets={"store: rows + outbox": at_least(0.8)},
            work=rows,
            unit="rows",
            title=f"SQLite, durable, {batch:,} rows of 700 bytes a batch",
        )


def upserts(folder: Path, rounds: int, groups: int = 1_000_000, batch: int = 1_000, calls: int = 20) -> Comparison:
    """Compare batches of partial sums upserted into `groups` groups to the same sums by plain SQL, exact or not."""
    with ExitStack() as stack:
        plain = stack.enter_context(_database(folder / "sums.db"))
        plain.execute("CREATE TABLE sums (key TEXT PRIMARY KEY, count, total) WITHOUT ROWID")
        store = stack.enter_context(SqliteStore(folder / "groups.db"))
        few = stack.enter_context(SqliteStore(folder / "few.db"))
        for start in range(0, groups, 50_000):  # they are there already: what is timed meets a large table
            keys = range(start, min(groups, start + 50_000))
            store.commit(Batch("s", groups={("user", key): Aggregate(1, sum=key) for key in keys}))
            with _transaction(plain):
                plain.executemany("INSERT INTO sums VALUES (?, 1, ?)", ((f'["user",{key}]', key) for key in keys))
        return compare(
            {
                "SQL upsert": partial(_sql_upserts, plain, _scattered(groups), batch, calls),
                f"store: {groups:,} groups": partial(_store_upserts, store, _scattered(groups), batch, calls),
                "store: 10 groups (10 a batch)": partial(_store_upserts, few, _scattered(10), batch, calls),
            },
            baseline="SQL upsert",
            rounds=rounds,
            work=batch * calls,
            unit="upserts",
            title=f"SQLite, durable, {batch:,} groups a batch",
        )


def queues(folder: Path, rounds: int, messages: int = _MESSAGES) -> Comparison:
    """Compare queues at publishing, claiming and acking the same messages of 100 bytes, 1,000 a publish."""
    blocks = [[b"%099d\n" % number for number in range(start, start + _BLOCK)] for start in range(0, messages, _BLOCK)]
    with ExitStack() as stack:
        file = stack.enter_context(FileBroker(folder / "queue"))
        table = stack.enter_context(_database(folder / "queue.db"))
        table.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, body, claimed)")
        redis, rabbit = stack.enter_context(_server(REDIS)), stack.enter_context(_server(RABBITMQ))
        return compare(
            {
                "file queue": partial(_through, file, blocks),
                "SQLite table": partial(_through_table, table, blocks),
                "Redis Streams, an entry a block (its own fsync policy)": redis and partial(_through, redis, blocks),
                "Redis Streams, an entry a message": redis and partial(_through_entries, redis, blocks),
                "RabbitMQ, a message a block": rabbit and partial(_through, rabbit, blocks),
            },
            baseline="SQLite table",
            rounds=rounds,
            work=messages,
            unit="messages",
            title="Queues: publish, claim and ack, 1,000 messages of 100 bytes a publish",
        )


def memory(folder: Path, groups: int = 1_000_000) -> Table:
    """Compare the peaks of upserting as many partial sums into few groups and into very many."""
    few, many = "store: 10 groups", f"store: {groups:,} groups"
    return compare_memory(
        {few: partial(_upsert_all, folder, groups, 10), many: partial(_upsert_all, folder, groups, groups)},
        targets={many: at_most(8e6, "B", of=few)},
        title=f"Peak memory of {groups:,} upserts, 2,000 a batch",
    )


# -- contenders


def _upsert_all(folder: Path, upserts: int, groups: int) -> None:
    with SqliteStore(folder / f"memory{groups}.db") as store:
        _store_upserts(store, _scattered(groups), 2_000, upserts // 2_000)


def _executemany(db: sqlite3.Connection, events: list[bytes], batch: int) -> int:
    for start in range(0, len(events), batch):
        with _transaction(db):
            texts = ((event.decode(),) for event in events[start : start + batch])
            db.executemany("INSERT INTO rows (body) VALUES (?)", texts)
    return len(events)


def _commit(store: SqliteStore, events: list[bytes], messages: list[bytes] | None, batch: int) -> int:
    for start in range(0, len(events), batch):
        rows = events[start : start + batch]
        outgoing = rows if messages is events else messages[start : start + batch] if messages else ()
        store.commit(Batch("bench", rows=rows, messages=outgoing))
    if messages:
        _forget(store)
    return len(events)


def _forget(store: SqliteStore) -> None:
    """Empty the outbox as a relay does, so that it is no longer in the last round than in the first."""
    with store._connections.transaction(durable=False) as db:
        db.execute("DELETE FROM pending")
        db.execute("DELETE FROM outbox")


def _sql_upserts(db: sqlite3.Connection, keys: Iterator[int], batch: int, calls: int) -> int:
    for _ in range(calls):
        some = itertools.islice(keys, batch)
        with _transaction(db):
            db.executemany(
                "INSERT INTO sums VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE SET"
                " count = count + excluded.count, total = total + excluded.total",
                ((f'["user",{key}]', key) for key in some),
            )
    return calls


def _store_upserts(store: SqliteStore, keys: Iterator[int], batch: int, calls: int) -> int:
    for _ in range(calls):
        some = itertools.islice(keys, batch)
        store.commit(Batch("s", groups={("user", key): Aggregate(1, sum=key) for key in some}))
    return calls


def _scattered(groups: int) -> Iterator[int]:
    """Walk through all groups in large steps, so that hardly two of a batch are neighbours."""
    return (number * 7_919 % groups for number in itertools.count())


def _through(broker: Broker, blocks: list[list[bytes]]) -> int:
    for block in blocks:
        broker.publish("bench", block)
    count = 0
    while claim := broker.claim():
        count += len(claim.messages)
        broker.ack(claim)
    return count


def _through_table(db: sqlite3.Connection, blocks: list[list[bytes]]) -> int:
    """Use a table as a queue, with the file queue's promises: publishing waits for the disk, claim and ack do not."""
    for block in blocks:
        with _transaction(db):
            db.executemany("INSERT INTO queue (body) VALUES (?)", ((message,) for message in block))
    count = 0
    db.execute("PRAGMA synchronous = NORMAL")
    claim = (
        "UPDATE queue SET claimed = 1 WHERE id IN (SELECT id FROM queue WHERE claimed IS NULL ORDER BY id LIMIT ?)"
        " RETURNING id, body"
    )
    while found := db.execute(claim, (_BLOCK,)).fetchall():
        with _transaction(db):
            db.executemany("DELETE FROM queue WHERE id = ?", ((key,) for key, _ in found))
        count += len(found)
    db.execute("PRAGMA synchronous = FULL")
    return count


def _through_entries(broker: Any, blocks: list[list[bytes]]) -> int:
    """Use Redis Streams as most programs do: an entry a message, pipelined."""
    client, key = broker._client, f"{broker._key}:entries"
    client.xgroup_create(key, "bench", id="0", mkstream=True)
    for block in blocks:
        with client.pipeline(transaction=False) as pipe:
            for message in block:
                pipe.xadd(key, {"body": message})
            pipe.execute()
    count = 0
    while found := client.xreadgroup("bench", "me", {key: ">"}, count=_BLOCK):
        ids = [entry for entry, _ in found[0][1]]
        with client.pipeline(transaction=False) as pipe:
            pipe.xack(key, "bench", *ids).xdel(key, *ids).execute()
        count += len(ids)
    client.delete(key)
    return count


# -- places


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for setting in _SETTINGS:
            db.execute(f"PRAGMA {setting}")
        yield db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    yield
    db.execute("COMMIT")


@contextmanager
def _server(url: str) -> Iterator[Any]:
    """Open a queue of its own on a server, and delete it afterwards; None when the server does not answer."""
    name = f"arion-bench-{uuid.uuid4().hex[:12]}"
    try:
        broker: Any = open_broker(f"{url}#{name}")
        broker.ping()
    except BrokerError:
        yield None
        return
    with broker:
        try:
            yield broker
        finally:
            _delete(broker)


def _delete(broker: Any) -> None:
    if type(broker).__name__ == "RedisBroker":
        broker._client.delete(broker._key, broker._dead)
    else:
        with broker._usable() as channel:
            channel.queue_delete(broker._queue)
            channel.queue_delete(broker._dead)
