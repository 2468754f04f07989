"""Webhook senders that keep books: what was acknowledged, and what had to be sent again.

Idea        A sender repeats a delivery, under the same id, until it is acknowledged; then it begins the next.
Invariant   An event enters the ledger when, and only when, a 2xx for its post was read.
When wrong  A server that is gone is left for another, or waited for; a refusal is tried again; anything else ends the
            run with its reason.
See         tests/chaos/kills.py
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from arion_lib.web.signatures import sign

PATIENCE = 60.0
"""Seconds after which a sender that gets nowhere has failed."""

LONG = 500
"""Events of a long body: about 550 KB, several batches of the server under test."""

PIECE, PAUSE = 1 << 16, 0.01
"""Bytes of a body that are sent at a time, and the seconds in between: a network, so that kills meet half a body."""


@dataclass(frozen=True, slots=True)
class Post:
    """One delivery: where to, under which id (None: unknown to the server, so never repeated), and what is in it."""

    target: str
    delivery: str | None
    body: bytes
    events: tuple[str, ...] = ()
    sums: tuple[tuple[str, int], ...] = ()
    secret: str | None = None  # it is signed with

    def headers(self) -> dict[str, str]:
        """Return what is sent with the body; a signature is of this very moment."""
        found = {"content-type": "application/x-ndjson", "content-length": str(len(self.body))}
        if self.delivery is not None:
            found["webhook-id"] = self.delivery
        if self.secret is not None:
            now = int(time.time())
            found["webhook-timestamp"] = str(now)
            found["webhook-signature"] = sign(self.secret, self.delivery or "", now, self.body)
        return found


@dataclass(slots=True)
class Ledger:
    """What senders know for certain."""

    posts: int = 0
    repeated: int = 0
    resumed: int = 0
    events: list[str] = field(default_factory=list)
    amounts: list[tuple[str, int]] = field(default_factory=list)

    def sums(self) -> dict[Any, tuple[int, int]]:
        """Return count and sum of each type that was acknowledged."""
        found: dict[Any, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for kind, amount in self.amounts:
            count, total = found[kind]
            found[kind] = (count + 1, total + amount)
        return dict(found)


class Senders:
    """Threads that post to the servers that `urls`, or `go_on_at`, name, to any of them at a time, until `finish`.

    With a `secret`, every second delivery that has an id is signed, to the stream "signed".
    """

    def __init__(self, urls: Sequence[str], seed: int, *, secret: str | None = None, threads: int = 6) -> None:
        self._lives = [(url, 0) for url in urls]  # of each server: where it is, and how often it came back
        self._secret = secret
        self._news = threading.Condition()
        self._ending = False
        self._ledger = Ledger()
        self._failure: Exception | None = None
        self._threads = [
            threading.Thread(target=self._send, args=(n, seed), name=f"sender-{n}") for n in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._news:
            self._ending = True
            if error is not None:
                self._failure = self._failure or RuntimeError("the run was ended")
            self._news.notify_all()
        for thread in self._threads:
            thread.join()

    def wait_for_acks(self, count: int) -> None:
        """Return once `count` more posts are acknowledged."""
        with self._news:
            aim = self._ledger.posts + count
            if not self._news.wait_for(lambda: self._ledger.posts >= aim or self._failure, PATIENCE):
                raise TimeoutError(f"{count} posts must be acknowledged within {PATIENCE:g} s, got fewer")
            if self._failure:
                raise self._failure

    def go_on_at(self, url: str, server: int = 0) -> None:
        """Say where a server is now."""
        with self._news:
            self._lives[server] = (url, self._lives[server][1] + 1)
            self._news.notify_all()

    def finish(self) -> Ledger:
        """Let every sender get its last post acknowledged; return the ledger."""
        self.__exit__(None, None, None)
        if self._failure:
            raise self._failure
        return self._ledger

    def _send(self, number: int, seed: int) -> None:
        draw, line = random.Random(seed * 1_000 + number), _Line()
        try:
            n = 0
            while not self._ending:
                post = make_post(draw, f"{number}-{n}")
                if self._secret and post.delivery and post.events and draw.random() < 0.5:
                    post = replace(post, target="/webhook/signed", secret=self._secret)
                self._deliver(line, post, draw)
                n += 1
        except Exception as error:  # noqa: BLE001  a thread's boundary: the run fails with it
            with self._news:
                self._failure = self._failure or error
                self._news.notify_all()
        finally:
            line.close()

    def _deliver(self, line: _Line, post: Post, draw: random.Random) -> None:
        tries = 0
        gone: set[tuple[str, int]] = set()
        while True:
            life = self._one_that_lives(gone, draw)
            if life is None:
                return None
            tries += 1
            try:
                status, answer = line.post(life[0], post)
            except (OSError, http.client.HTTPException):
                line.close()
                gone.add(life)
                status, answer = 0, {}
            if status == 200:
                return self._note(post, tries, answer)
            if status not in (0, 409, 429, 503):
                raise RuntimeError(f"a post must be acknowledged, got {status}: {answer}")
            if post.delivery is None:
                return None  # nobody knows whether it counted: it may be stored once, and is not claimed to be

    def _one_that_lives(self, gone: set[tuple[str, int]], draw: random.Random) -> tuple[str, int] | None:
        """Choose a server; where all of them are gone, wait until one is back. None: the run has failed."""
        with self._news:
            if not self._news.wait_for(lambda: set(self._lives) - gone or self._failure, PATIENCE):
                raise TimeoutError(f"a server must come back within {PATIENCE:g} s")
            return None if self._failure else draw.choice([life for life in self._lives if life not in gone])

    def _note(self, post: Post, tries: int, answer: dict[str, int]) -> None:
        with self._news:
            ledger = self._ledger
            ledger.posts += 1
            ledger.repeated += tries > 1
            ledger.resumed += bool(answer["accepted"] and answer["duplicates"])
            ledger.events += post.events
            ledger.amounts += post.sums
            self._news.notify_all()


class _Line:
    """One keep-alive connection, made again when it broke."""

    def __init__(self) -> None:
        self._connection: http.client.HTTPConnection | None = None
        self._url = ""

    def post(self, url: str, post: Post) -> tuple[int, dict[str, Any]]:
        if self._connection is None or self._url != url:
            self.close()
            parts = urlsplit(url)
            self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
            self._url = url
        self._connection.request("POST", post.target, pieces(post.body), post.headers())
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def pieces(body: bytes) -> Iterator[bytes]:
    """Yield the body in pieces, with a pause between two."""
    for start in range(0, len(body), PIECE):
        if start:
            time.sleep(PAUSE)
        yield body[start : start + PIECE]


def make_post(draw: random.Random, name: str) -> Post:
    """Make a delivery: mostly one event, now and then a few lines, a long body, or events to be summed."""
    kind = draw.choices(["one", "unnamed", "few", "long", "sums"], [50, 20, 15, 5, 10])[0]
    count = {"one": 1, "unnamed": 1, "few": draw.randint(2, 40), "long": LONG, "sums": draw.randint(1, 400)}[kind]
    note = "x" * (1_000 if kind == "long" else 100)
    events = [
        {"id": f"{name}-{n}", "type": f"t{draw.randint(0, 4)}", "amount": draw.randint(0, 10**12), "note": note}
        for n in range(count)
    ]
    body = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    if kind == "sums":
        sums = tuple((str(event["type"]), int(str(event["amount"]))) for event in events)
        return Post("/webhook/sums?group_by=type&sum_field=amount", name, body, sums=sums)
    ids = tuple(str(event["id"]) for event in events)
    return Post("/webhook/events", None if kind == "unnamed" else name, body, ids)
