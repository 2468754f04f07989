"""kill -9 of server, relay and consumer at random moments, while senders send: is anything lost or doubled?

Idea        Real processes on one data folder; after a random number of acknowledgements one of them is killed and
            started again. Senders repeat what was not acknowledged, as webhook senders do. In the end everybody's books
            are compared.
Invariant   An event acknowledged with 2xx is in the database exactly once and in the queue at least once.
When wrong  The report counts lost and doubled events; the command exits with 1 when there is one.
See         notebooks/1_streaming_pipeline.ipynb · tests/bench/test_pipeline_kills.py
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from arion_lib.bench._nursery import Child, Nursery, Role
from arion_lib.bench._senders import Ledger, Senders
from arion_lib.pipeline.broker import FileBroker
from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.store import SqliteStore
from arion_lib.web import serve

ROLES = ("server", "relay", "consumer")

BATCH = "64k"
"""Body bytes of a transaction: small, so that a kill often falls between two batches of one body."""

CLAIM_TIMEOUT = 1.0
"""Seconds until the claim of a killed consumer is delivered again."""


@dataclass(frozen=True, slots=True)
class Books:
    """What was found in the end, compared with what senders were told."""

    kills: dict[str, int]
    posts: int  # acknowledged
    events: int  # in them
    repeated: int  # posts sent more than once
    resumed: int  # bodies of which a part was stored already when they were sent again
    lost_rows: int  # acknowledged events that are not in the database
    doubled_rows: int
    lost_messages: int  # acknowledged events of which no message is in the queue, or came to a consumer
    repeated_messages: int  # more than one message: allowed, a consumer knows them by their id
    wrong_sums: int  # groups whose count or sum is not exactly that of the acknowledged events
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, doubled or wrong."""
        return not (self.lost_rows or self.doubled_rows or self.lost_messages or self.wrong_sums)

    def __str__(self) -> str:
        kills = ", ".join(f"{self.kills.get(role, 0)} of the {role}" for role in ROLES)
        return (
            f"{sum(self.kills.values())} kills ({kills}) in {self.seconds:.0f} s\n"
            f"acknowledged: {self.posts:,} posts with {self.events:,} events; "
            f"sent again: {self.repeated:,} posts, {self.resumed:,} of them resumed inside the body\n"
            f"database: {self.lost_rows} lost, {self.doubled_rows} doubled, {self.wrong_sums} wrong sums\n"
            f"queue: {self.lost_messages} lost, {self.repeated_messages:,} delivered more than once"
        )


def consume(args: list[str]) -> int:
    """Claim blocks from queue `args[0]`, note the ids of their events durably in file `args[1]`, ack them; forever."""
    folder, notes = args
    with FileBroker(folder, claim_timeout=CLAIM_TIMEOUT) as broker, Path(notes).open("ab", buffering=0) as book:
        print("consuming", flush=True)
        while True:
            claim = broker.claim(limit=1_000, timeout=60.0)
            if claim is not None:
                book.write(noted(claim.messages))
                os.fsync(book.fileno())
                broker.ack(claim)


def noted(messages: object) -> bytes:
    """Return the line that a consumer notes: the ids of the events, sums left out.

    >>> noted([b'{"id": "e1"}', b'{"group": {"type": "a"}}'])
    b'["e1"]\\n'
    """
    events = [json.loads(message) for message in messages]  # type: ignore[attr-defined]
    return json.dumps([event["id"] for event in events if "id" in event]).encode() + b"\n"


class Yard:
    """The data folder, and one process of each role on it."""

    def __init__(self, nursery: Nursery, folder: Path, server: Role = serve.run) -> None:
        self._nursery, self._folder, self._server = nursery, folder, server
        self._lives = 0
        self.children: dict[str, Child] = {}

    def start(self, role: str) -> Child:
        """Start one process."""
        self._lives += 1
        data = ["--data", str(self._folder)]
        starts: dict[str, tuple[Role, list[str]]] = {
            "server": (self._server, ["--port", "0", "--relay", "none", "--batch", BATCH, *data]),
            "relay": (serve.run, ["--relay", "only", *data]),
            "consumer": (consume, [str(self._folder / "queue"), str(self._folder / f"consumed-{self._lives}")]),
        }
        child = self._nursery.start(*starts[role])
        self.children[role] = child
        return child

    def consumed(self) -> Iterator[str]:
        """Yield the ids that consumers noted; a line that a kill tore was not acked."""
        for book in sorted(self._folder.glob("consumed-*")):
            for line in book.read_bytes().splitlines():
                if line.endswith(b"]"):
                    yield from json.loads(line)


def kill_rounds(
    rounds: int,
    folder: Path,
    *,
    seed: int = 0,
    roles: tuple[str, ...] = ROLES,
    most_acks: int = 30,
    server: Role = serve.run,
) -> Books:
    """Kill one process a round, after 1 to `most_acks` acknowledgements and at once; compare the books in the end.

    `folder` must be empty. `server` is what serves: another than ours shows what the comparison finds. Cost: 0.1 to
    0.5 s a round, more where there is no fork.
    """
    started, draw = time.perf_counter(), random.Random(seed)
    kills: Counter[str] = Counter()
    with ExitStack() as stack:
        yard = Yard(stack.enter_context(Nursery()), folder, server)
        first = yard.start("server")
        for role in ("relay", "consumer"):
            yard.start(role)
        senders = stack.enter_context(Senders(url_of(first), seed))
        for _ in range(rounds):
            role = draw.choice(roles)
            senders.wait_for_acks(draw.randint(1, most_acks))
            yard.children[role].kill()
            kills[role] += 1
            child = yard.start(role)
            if role == "server":
                senders.go_on_at(url_of(child))
        ledger = senders.finish()
        for role in ROLES:
            yard.children[role].kill()
        consumed = Counter(yard.consumed())
    return _compare(folder, ledger, kills, consumed, started)


def url_of(server: Child) -> str:
    """Return the URL at the head of the line that a server says it is ready with."""
    return server.said.split()[0]


def _compare(folder: Path, ledger: Ledger, kills: Counter[str], consumed: Counter[str], started: float) -> Books:
    with SqliteStore(folder / "arion.db") as store, FileBroker(folder / "queue") as broker:
        Relay(store, broker).drain()
        messages = consumed + Counter(_queued(broker))
        rows = Counter(_stored(store))
        sums = {one.key[0]: (one.count, one.sum) for one in store.results("sums", limit=1_000)}
    wanted = ledger.sums()
    return Books(
        dict(kills),
        ledger.posts,
        len(ledger.events),
        ledger.repeated,
        ledger.resumed,
        lost_rows=sum(1 for event in ledger.events if not rows[event]),
        doubled_rows=sum(1 for count in rows.values() if count > 1),
        lost_messages=sum(1 for event in ledger.events if not messages[event]),
        repeated_messages=sum(1 for count in messages.values() if count > 1),
        wrong_sums=sum(1 for key in sums.keys() | wanted.keys() if sums.get(key) != wanted.get(key)),
        seconds=time.perf_counter() - started,
    )


def _stored(store: SqliteStore) -> Iterator[str]:
    after = 0
    while page := store.rows("events", after, 10_000):
        yield from (json.loads(row.body)["id"] for row in page)
        after = page[-1].seq


def _queued(broker: FileBroker) -> Iterator[str]:
    while (claim := broker.claim(limit=100_000, timeout=2 * CLAIM_TIMEOUT)) is not None:
        yield from json.loads(noted(claim.messages))
        broker.ack(claim)


def run(args: list[str]) -> int:
    """Kill and compare; print the books and return 1 when something is lost, doubled or wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib bench pipeline_kills",
        description="kill -9 the webhook's server, relay and consumer at random moments and compare the books.",
        epilog="example: python -m arion_lib bench pipeline_kills --kills 1000",
    )
    parser.add_argument("--kills", type=int, default=100, help="rounds (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which process is killed when (default: %(default)s)")
    chosen = parser.parse_args(args)
    with tempfile.TemporaryDirectory(prefix="arion-kills-") as folder:
        books = kill_rounds(chosen.kills, Path(folder), seed=chosen.seed)
    print(books)
    return 0 if books.ok else 1
