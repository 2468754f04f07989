"""A durable message queue that is a folder: one file a block of messages, claimed by renaming it.

Idea        A rename happens or does not, whoever is killed: writing aside publishes, a new name claims.
Invariant   A file in `ready` is whole and on disk; it is in `ready`, `claimed` or `dead`, or was acked.
When wrong  A killed consumer's file goes back when its deadline passes; a damaged file goes to `dead`.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_broker.py
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import logging
import os
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from arion_lib.pipeline.broker import BrokerError, BrokerStatus, Claim
from arion_lib.pipeline.queues import messages as blocks
from arion_lib.pipeline.queues.closing import Closing
from arion_lib.pipeline.queues.durable import explained, make_folder, move, read, remove, sync_folder, write_durably
from arion_lib.pipeline.stores.addresses import checked_stream, local_path

log = logging.getLogger(__name__)

_LISTED = 8_192  # names kept of a listing: a folder of 100,000 blocks is listed 12 times to drain it, not 100,000
_SHORTEST_WAIT, _LONGEST_WAIT = 0.001, 0.05  # seconds between looks for blocks that another process published
_ABANDONED = 3_600.0  # seconds after which a file that was never finished is taken away


class FileBroker(Closing):
    """A `Broker` in a folder of a local disk, shared by any number of threads and processes.

    Parameters
    ----------
    path
        The folder, or its `file:` URL; made when missing. `dead` inside it holds what was put aside, for a person.
    claim_timeout
        Seconds after which a claim that was not acked is delivered again. They are counted on the wall clock, the one
        clock that processes share and that goes on through a restart; a clock that is put back ends a claim early.
    max_attempts
        Deliveries after which a block that was never acked goes to `dead`; None: never.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        claim_timeout: float = 30.0,
        max_attempts: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if claim_timeout <= 0:
            raise ValueError(f"claim_timeout must be > 0 seconds, got {claim_timeout}")
        if max_attempts is not None and max_attempts < 1:
            raise ValueError(f"max_attempts must be >= 1 or None, got {max_attempts}")
        self.path = local_path(path)
        self._timeout = claim_timeout
        self._max_attempts = max_attempts
        self._clock = clock
        self._me = f"{os.getpid():x}{secrets.token_hex(4)}"
        self._last = 0  # the newest name's time: names only ever grow, also when the clock goes back
        self._naming = threading.Lock()
        self._taking = threading.Lock()
        self._listed: deque[str] = deque()
        self._next_look = -1.0
        self._arrivals = 0
        self._arrived = threading.Condition()
        self._closed = False
        self._new, self._ready, self._claimed, self._dead = (
            self.path / name for name in ("new", "ready", "claimed", "dead")
        )
        with explained(f"cannot use the folder {self.path}"):
            for folder in (self._new, self._ready, self._claimed, self._dead):
                make_folder(folder)
            self._sweep()
            self._last = max((int(name[:20]) for name in filter(_NAME.fullmatch, os.listdir(self._ready))), default=0)  # noqa: PTH208

    def __repr__(self) -> str:
        return f"FileBroker({str(self.path)!r})"

    def publish(
        self,
        stream: str,
        messages: Sequence[bytes],
        ids: Sequence[str] | None = None,
        metas: Sequence[str | None] = (),
    ) -> None:
        """Write the messages aside, onto the disk, and rename them into the queue; see `Broker.publish`."""
        self._must_be_open()
        names = blocks.new_ids(len(messages)) if ids is None else ids
        block = blocks.encode_file(checked_stream(stream), messages, names, metas)
        if not messages:
            return
        name = f"{self._stamp():020d}-{self._me}-{_tag(stream)}-{len(messages)}.0"
        aside = self._new / name
        try:
            with explained(f"cannot publish to {self.path}"):
                write_durably(aside, block)
                move(aside, self._ready / name)
                sync_folder(self._ready)
        except BaseException:
            with contextlib.suppress(OSError):  # what is wrong with the folder is raised already
                remove(aside)
            raise
        with self._arrived:
            self._arrivals += 1
            self._arrived.notify_all()

    def claim(self, limit: int = 1, timeout: float | None = 0.0) -> Claim | None:
        """Borrow the oldest block, joined with the next ones of its stream up to `limit`; see `Broker.claim`."""
        if limit < 1:
            raise ValueError(f"limit must be >= 1, got {limit}")
        until = None if timeout is None else time.monotonic() + timeout
        pause = _SHORTEST_WAIT
        while True:
            arrivals = self._arrivals
            self._must_be_open()
            claim = self._take(limit)
            if claim is not None:
                return claim
            if until is not None:
                pause = min(pause, until - time.monotonic())
                if pause <= 0:
                    return None
            with self._arrived:  # our own publishes wake us at once, those of other processes are looked for
                self._arrived.wait_for(lambda seen=arrivals: self._arrivals != seen, pause)  # type: ignore[misc]
            pause = min(2 * pause, _LONGEST_WAIT)

    def ack(self, claim: Claim) -> bool:
        """Delete the claimed blocks; False when one of them had gone back."""
        with explained(f"cannot ack in {self.path}"):
            gone = [remove(self._claimed / name) for name in claim.id.split("/")]
        return all(gone)

    def nack(self, claim: Claim) -> bool:
        """Give the blocks back, or aside after `max_attempts`; False when one of them had gone back already."""
        with explained(f"cannot nack in {self.path}"):
            given = [self._give_back(name) for name in claim.id.split("/")]
        with self._taking:
            self._listed.clear()  # they are older than what was listed
        with self._arrived:
            self._arrivals += 1
            self._arrived.notify_all()
        return all(given)

    def status(self) -> BrokerStatus:
        """Count blocks and messages by the names of their files; cost: a listing of each folder."""
        with explained(f"cannot list {self.path}"):
            ready, claimed, dead = map(_names, (self._ready, self._claimed, self._dead))
        return BrokerStatus(len(ready), len(claimed), len(dead), sum(name.messages for name in ready + claimed))

    def ping(self) -> None:
        """Raise a `BrokerError` unless a file can be written to the disk, renamed and deleted."""
        self._must_be_open()
        aside = self._new / f"{self._stamp():020d}-{self._me}-ping"
        with explained(f"cannot use the folder {self.path}"):
            try:
                write_durably(aside, b"ping")
                move(aside, aside.with_suffix(".pong"))
            finally:
                remove(aside)
                remove(aside.with_suffix(".pong"))

    def close(self) -> None:
        """Wake whoever waits in `claim` with an error; no file is open between calls."""
        self._closed = True
        with self._arrived:
            self._arrivals += 1
            self._arrived.notify_all()

    # -- how

    def _must_be_open(self) -> None:
        if self._closed:
            raise BrokerError("the queue is closed; open a new one")

    def _stamp(self) -> int:
        with self._naming:
            self._last = max(self._last + 1, int(self._clock() * 1e9))
            return self._last

    def _take(self, limit: int) -> Claim | None:
        with self._taking, explained(f"cannot claim from {self.path}"):
            if self._clock() >= self._next_look or self._clock() < self._next_look - self._timeout:
                self._redeliver()
            while (name := self._next_name()) is not None:
                claim = self._grab(name)
                if claim is not None:
                    return self._joined(claim, limit)
        return None

    def _next_name(self) -> str | None:
        if not self._listed:
            self._listed.extend(_oldest(self._ready))
            if not self._listed and self._redeliver():
                self._listed.extend(_oldest(self._ready))
        return self._listed.popleft() if self._listed else None

    def _joined(self, claim: Claim, limit: int) -> Claim:
        ids, messages, names = [claim.id], list(claim.messages), list(claim.ids)
        metas = list(claim.metas or [None] * len(messages))
        while self._listed and len(messages) < limit:
            following = _Name.parse(self._listed[0])
            if following is None or following.tag != _tag(claim.stream) or len(messages) + following.messages > limit:
                break
            more = self._grab(self._listed.popleft())
            if more is not None:
                ids.append(more.id)
                messages += more.messages
                names += more.ids
                metas += more.metas or [None] * len(more.messages)
        if len(ids) == 1:
            return claim
        return Claim("/".join(ids), claim.stream, messages, claim.attempt, names, metas if any(metas) else ())

    def _grab(self, name: str) -> Claim | None:
        """Claim one file, or None when another consumer was quicker or the file is damaged."""
        parsed = _Name.parse(name)
        if parsed is None:
            return None
        deadline = int((self._clock() + self._timeout) * 1_000)
        claimed = f"{parsed.base}.{parsed.attempts + 1}.{deadline}.{int(self._timeout * 1_000)}.{self._me}"
        try:
            os.replace(self._ready / name, self._claimed / claimed)  # noqa: PTH105 - the hot path
        except FileNotFoundError:  # another consumer was quicker
            return None
        except PermissionError:
            if os.name != "nt":
                raise
            return None  # Windows says so while another consumer renames it
        try:
            block = read(self._claimed / claimed)  # it is ours: not to read it would leave it until its time-out
        except FileNotFoundError:  # this consumer slept past the time-out: it has been redelivered
            return None
        try:
            stream, messages, ids, metas = blocks.decode_file(block)
            named = ids or blocks.numbered(parsed.base, len(messages))
            return Claim(claimed, stream, messages, parsed.attempts + 1, named, metas)
        except (ValueError, KeyError) as error:
            log.warning("put the damaged block %s aside into %s: %s", name, self._dead, error)
            move(self._claimed / claimed, self._dead / name)
            return None

    def _redeliver(self) -> bool:
        """Give back each claim whose deadline has passed; True when there was one."""
        now = self._clock()
        self._next_look = now + min(1.0, self._timeout / 8)
        expired = [name for name in os.listdir(self._claimed) if _expired(name, now)]  # noqa: PTH208 - names suffice
        given = [name for name in expired if self._give_back(name)]
        if given:
            self._listed.clear()  # they are older than what was listed
        return bool(given)

    def _give_back(self, name: str) -> bool:
        claimed = _Name.parse(name)
        if claimed is None:
            return False
        spent = self._max_attempts is not None and claimed.attempts >= self._max_attempts
        folder = self._dead if spent else self._ready
        try:
            move(self._claimed / name, folder / f"{claimed.base}.{claimed.attempts}")
        except FileNotFoundError:  # acked, or given back, by another
            return False
        if spent:
            log.warning("put %s aside into %s after %d attempts", claimed.base, self._dead, claimed.attempts)
        return True

    def _sweep(self) -> None:
        """Take away what producers left unfinished when they were killed."""
        for entry in os.scandir(self._new):
            with contextlib.suppress(OSError):  # another process sweeps too
                if entry.stat().st_mtime < time.time() - _ABANDONED:
                    remove(Path(entry.path))


class _Name(NamedTuple):
    """What a file's name says: `<time>-<producer>-<stream tag>-<messages>.<attempts>`, and when it is claimed
    `.<deadline>.<claim time-out>.<consumer>` (milliseconds)."""

    base: str
    tag: str
    messages: int
    attempts: int
    deadline: float  # seconds since 1970; 0.0 when not claimed
    timeout: float

    @classmethod
    def parse(cls, name: str) -> _Name | None:
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        base, tag, count, attempts, deadline, timeout = found.groups()
        return cls(base, tag, int(count), int(attempts), int(deadline or 0) / 1_000, int(timeout or 0) / 1_000)


_NAME = re.compile(r"(\d{20}-[0-9a-f]+-([0-9a-f]{8}|[0-9a-f]{32})-(\d+))\.(\d+)(?:\.(\d+)\.(\d+)\.[0-9a-f]+)?")


def _tag(stream: str) -> str:
    return hashlib.blake2b(stream.encode(), digest_size=16).hexdigest()


def _expired(name: str, now: float) -> bool:
    """Return whether the claim has ended: past its deadline, or the clock was put back since it began."""
    claim = _Name.parse(name)
    return claim is not None and (now >= claim.deadline or claim.deadline - now > claim.timeout + 1.0)


def _oldest(folder: Path) -> list[str]:
    """Return the names of the oldest blocks; a file of somebody else, such as `.DS_Store`, is no block."""
    return heapq.nsmallest(_LISTED, filter(_NAME.fullmatch, os.listdir(folder)))  # noqa: PTH208 - names suffice


def _names(folder: Path) -> list[_Name]:
    names = map(_Name.parse, os.listdir(folder))  # noqa: PTH208 - names suffice, and there may be many
    return [name for name in names if name is not None]
