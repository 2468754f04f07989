"""kill -9 of server, relay and consumer at random moments, while senders send: is anything lost or doubled?

Idea        Real processes on one store and one queue; after a random number of acknowledgements one of them is killed
            and started again. Senders repeat what was not acknowledged, as webhook senders do, to any server there is,
            signed and unsigned. In the end everybody's books are compared.
Invariant   An event acknowledged with 2xx is in the database exactly once and in the queue at least once, always under
            the same id.
When wrong  The report counts lost and doubled events and names them; its test fails when there is one.
See         notebooks/1_streaming_pipeline.ipynb · tests/chaos/test_kills.py

More rounds: `ARION_KILL_ROUNDS=1000 python -m arion_lib test --thorough tests/chaos`, 0.1 to 0.5 s a round.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from arion_lib.pipeline.broker import Claim
from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.queues.file_queue import FileBroker
from arion_lib.pipeline.store import Store, StoreBusy, open_store
from arion_lib.pipeline.stores.addresses import local_url
from arion_lib.web import serve
from tests.chaos.nursery import PATIENCE, Child, Nursery, Role
from tests.chaos.senders import Ledger, Senders

ROLES = ("server", "relay", "consumer")
"""One server, and the relay in a process of its own."""

PAIR = ("server", "second server", "consumer")
"""Two servers on one store, each with a relay inside."""

SECRET = "whsec_c2VjcmV0LW9mLXRoZS1raWxscy4="
STREAMS = ("events", "signed")
LATE = tuple(
    f"arion_lib.web.{name}" for name in ("application", "edge.server", "scheduling.samples", "scheduling.tasks")
)
"""What a server imports when it starts: most of a second, at each of its lives."""

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
    wrong_ids: int  # messages' ids that named two events, and events of which the messages had two
    wrong_sums: int  # groups whose count or sum is not exactly that of the acknowledged events
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, doubled or wrong."""
        return not self.mistakes

    @property
    def mistakes(self) -> dict[str, int]:
        """What is not as it was promised, by name; empty where all is well."""
        names = ("lost_rows", "doubled_rows", "lost_messages", "wrong_ids", "wrong_sums")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def __str__(self) -> str:
        kills = ", ".join(f"{count} of the {role}" for role, count in self.kills.items())
        return (
            f"{sum(self.kills.values())} kills ({kills}) in {self.seconds:.0f} s\n"
            f"acknowledged: {self.posts:,} posts with {self.events:,} events; "
            f"sent again: {self.repeated:,} posts, {self.resumed:,} of them resumed inside the body\n"
            f"database: {self.lost_rows} lost, {self.doubled_rows} doubled, {self.wrong_sums} wrong sums\n"
            f"queue: {self.lost_messages} lost, {self.wrong_ids} wrong ids, "
            f"{self.repeated_messages:,} delivered more than once"
        )


def consume(args: list[str]) -> int:
    """Claim blocks from queue `args[0]`, note the ids of their events durably in file `args[1]`, ack them; forever."""
    folder, notes = args
    with FileBroker(folder, claim_timeout=CLAIM_TIMEOUT) as broker, Path(notes).open("ab", buffering=0) as book:
        print("consuming", flush=True)  # noqa: T201  a role says that it is ready
        while True:
            claim = broker.claim(limit=1_000, timeout=60.0)
            if claim is not None:
                book.write(noted(claim))
                os.fsync(book.fileno())
                broker.ack(claim)


def noted(claim: Claim) -> bytes:
    """Return the line that a consumer notes: of each event its id and that of its message; sums left out.

    >>> noted(Claim("1", "s", [b'{"id": "e1"}', b'{"group": {"type": "a"}}'], 1, ["f-1.1", "f-1.2"]))
    b'[["e1", "f-1.1"]]\\n'
    """
    return json.dumps(events_of(claim)).encode() + b"\n"


def events_of(claim: Claim) -> list[tuple[str, str]]:
    """Return of each event of a claim its id and that of its message; sums left out."""
    events = zip(map(json.loads, claim.messages), claim.ids, strict=True)
    return [(event["id"], name) for event, name in events if "id" in event]


class Yard:
    """The data folder, and one process of each role on it and on the store."""

    def __init__(
        self, nursery: Nursery, folder: Path, store: str, server: Role = serve.run, broker: str | None = None
    ) -> None:
        self._nursery, self._folder, self._store, self._server = nursery, folder, store, server
        self._broker = ["--broker", broker] if broker else []
        self._lives = 0
        self.children: dict[str, Child] = {}
        (folder / "secret").write_text(SECRET, encoding="utf-8")
        secret = json.dumps(str(folder / "secret"))
        (folder / "arion.toml").write_text(f"[streams.signed]\nsecret_file = {secret}\n", encoding="utf-8")

    def start(self, role: str, *, relay: str = "none") -> Child:
        """Start one process; `relay` is where a server has its relay."""
        self._lives += 1
        data = ["--data", str(self._folder), "--store", self._store, *self._broker]
        serving = ["--port", "0", "--batch", BATCH, "--config", str(self._folder / "arion.toml"), "--relay", relay]
        starts: dict[str, tuple[Role, list[str]]] = {
            "relay": (serve.run, ["--relay", "only", *data]),
            "consumer": (consume, [str(self._folder / "queue"), str(self._folder / f"consumed-{self._lives}")]),
        }
        child = self._nursery.start(*starts.get(role, (self._server, [*serving, *data])))
        self.children[role] = child
        return child

    def consumed(self) -> Iterator[tuple[str, str]]:
        """Yield what consumers noted, an event's id and its message's; a line that a kill tore was not acked."""
        for book in sorted(self._folder.glob("consumed-*")):
            for line in book.read_bytes().splitlines():
                if line.endswith(b"]"):
                    yield from map(tuple, json.loads(line))


def kill_rounds(
    rounds: int,
    folder: Path,
    *,
    seed: int = 0,
    roles: tuple[str, ...] = ROLES,
    victims: tuple[str, ...] | None = None,
    store: str | None = None,
    most_acks: int = 30,
    server: Role = serve.run,
) -> Books:
    """Kill one process a round, after 1 to `most_acks` acknowledgements and at once; compare the books in the end.

    `folder` must be empty, and so must the database whose URL is `store` (None: SQLite in the folder). `roles` run,
    `victims` (None: all of them) are killed. `server` is what serves: another than ours shows what the comparison
    finds. Cost: 0.1 to 0.5 s a round, more where there is no fork.
    """
    started, draw = time.perf_counter(), random.Random(seed)
    url = store or local_url("sqlite", folder / "arion.db")
    servers = [role for role in roles if role.endswith("server")]
    relay = "none" if "relay" in roles else "inside"
    kills = Counter(dict.fromkeys(roles, 0))
    with ExitStack() as stack:
        yard = Yard(stack.enter_context(Nursery(*LATE)), folder, url, server)
        first = {role: yard.start(role, relay=relay) for role in roles}
        urls = [url_of(first[role]) for role in servers]
        senders = stack.enter_context(Senders(urls, seed, secret=SECRET))
        for _ in range(rounds):
            role = draw.choice(victims or roles)
            senders.wait_for_acks(draw.randint(1, most_acks))
            yard.children[role].kill()
            kills[role] += 1
            child = yard.start(role, relay=relay)
            if role in servers:
                senders.go_on_at(url_of(child), servers.index(role))
        ledger = senders.finish()
        for role in roles:
            yard.children[role].kill()
        delivered = list(yard.consumed()) + _left(url, folder)
    return compare(url, ledger, kills, delivered, time.perf_counter() - started)


def url_of(server: Child) -> str:
    """Return the URL at the head of the line that a server says it is ready with."""
    return server.said.split()[0]


def _left(url: str, folder: Path) -> list[tuple[str, str]]:
    """Publish what is left and take it out of the queue."""
    with open_store(url) as store, FileBroker(folder / "queue") as broker:
        _drain(Relay(store, broker))
        return list(_queued(broker))


def compare(
    url: str, ledger: Ledger, kills: Counter[str], delivered: list[tuple[str, str]], seconds: float = 0.0
) -> Books:
    """Compare what senders were told with what is in the store and what came through the queue."""
    with open_store(url) as store:
        rows = Counter(_stored(store))
        sums = {one.key[0]: (one.count, one.sum) for one in store.results("sums", limit=1_000)}
    messages, pairs = Counter(event for event, _ in delivered), set(delivered)
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
        wrong_ids=2 * len(pairs) - len({event for event, _ in pairs}) - len({name for _, name in pairs}),
        wrong_sums=sum(1 for key in sums.keys() | wanted.keys() if sums.get(key) != wanted.get(key)),
        seconds=seconds,
    )


def _drain(relay: Relay) -> None:
    """Publish what is left; a database's server may need a moment to see that the last relay is dead."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            relay.drain()
        except StoreBusy:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _stored(store: Store) -> Iterator[str]:
    for stream in STREAMS:
        after = 0
        while page := store.rows(stream, after, 10_000):
            yield from (json.loads(row.body)["id"] for row in page)
            after = page[-1].seq


def _queued(broker: FileBroker) -> Iterator[tuple[str, str]]:
    """Take out what is left, what the last consumer had claimed when it was killed as well."""
    while (status := broker.status()).ready or status.claimed:
        if (claim := broker.claim(limit=100_000, timeout=CLAIM_TIMEOUT)) is not None:
            yield from map(tuple, json.loads(noted(claim)))
            broker.ack(claim)
