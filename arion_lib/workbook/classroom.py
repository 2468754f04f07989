"""The learner's side of a class: events go to the teacher's board, if the learner said where that is.

Idea        A thread of its own posts what `progress.note` says, each event with an id, again and again until it is
            taken: the board counts it once. A cell never waits for the network.
Invariant   Without `ARION_CLASS` or `join_class` nothing leaves this machine, and joining is said aloud.
When wrong  A board that does not answer costs nothing but the events past `MOST_WAITING`, the oldest first.
See         arion_lib/web/classroom (the board) · tests/web/test_classroom.py
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from contextlib import suppress

ADDRESS, NICKNAME = "ARION_CLASS", "ARION_NICKNAME"
MOST_WAITING = 1_000
PATIENCE = 5.0
"""Seconds that the board gets to answer, and that lie between two tries."""

_lock = threading.Lock()
_member: list[Member] = []


class Member:
    """A learner in a class: events given to `tell` reach the board at `address` in the background."""

    def __init__(self, address: str, nickname: str) -> None:
        self.address, self.nickname = address.rstrip("/"), nickname
        self._waiting: queue.Queue[str] = queue.Queue(MOST_WAITING)
        threading.Thread(target=self._post, name="class", daemon=True).start()

    def tell(self, event: Mapping[str, object]) -> None:
        """Send an event; returns at once."""
        body = json.dumps({"id": uuid.uuid4().hex, "learner": self.nickname, **event})
        while True:
            try:
                self._waiting.put_nowait(body)
            except queue.Full:
                with suppress(queue.Empty):
                    self._waiting.get_nowait()
                    self._waiting.task_done()
            else:
                return

    def flush(self) -> None:
        """Wait until every event was taken by the board."""
        self._waiting.join()

    def _post(self) -> None:
        pause = threading.Event()
        while True:
            body = self._waiting.get()
            while not self._taken(body):
                pause.wait(PATIENCE)
            self._waiting.task_done()

    def _taken(self, body: str) -> bool:
        """Post the event; return whether it need not be sent again: it was taken, or it never will be."""
        headers = {"Content-Type": "application/json", "Webhook-Id": json.loads(body)["id"]}  # counts once by it
        request = urllib.request.Request(f"{self.address}/webhook/class", body.encode(), headers)
        try:
            with _direct.open(request, timeout=PATIENCE):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return error.code < 500 and error.code != 429
        except OSError:
            return False


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the board is in this room: past any proxy


def join_class(address: str, nickname: str = "") -> None:
    """Send what you check and predict from now on to the teacher's board at `address`; say so.

    `nickname`: how the board calls you; left out, it makes one up. Raises `ValueError` for what is no address.
    """
    if not address.startswith(("http://", "https://")):
        raise ValueError(f'address must be like "http://192.168.1.20:8765", got {address!r}: the teacher has it')
    member = Member(address, nickname.strip() or f"learner-{secrets.token_hex(2)}")
    with _lock:
        _member[:] = [member]
    print(f"your checks and predictions go to {member.address}, as {member.nickname!r}")


def tell(event: Mapping[str, object]) -> None:
    """Hand an event to the class that was joined, by `join_class` or by the environment; else do nothing."""
    if not _member and (address := os.environ.get(ADDRESS)):
        with suppress(ValueError):
            join_class(address, os.environ.get(NICKNAME, ""))
    with _lock:
        member = _member[0] if _member else None
    if member is not None:
        member.tell(event)
