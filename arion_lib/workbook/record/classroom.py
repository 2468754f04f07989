"""The learner's side of a class: events go to the teacher's board, if the learner said where that is.

Idea        A thread of its own posts what `progress.note` says, each event with an id, again and again until it is
            taken: the board counts it once. A cell never waits for the network.
Invariant   Without `ARION_CLASS` or `join_class` nothing leaves this machine, and joining is said aloud.
When wrong  A board that does not answer costs nothing but the events past `MOST_WAITING`, the oldest first. The next
            check or prediction says so, and says it when something else than a board answers.
See         arion_lib/web/classroom (the board) · tests/web/test_classroom.py
"""

from __future__ import annotations

import http.client
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
from pathlib import Path
from urllib.parse import urlsplit

ADDRESS, NICKNAME = "ARION_CLASS", "ARION_NICKNAME"
MOST_WAITING = 1_000
LONGEST = 60
"""Characters of a nickname that the board shows."""

PATIENCE = 5.0
"""Seconds that the board gets to answer, and that lie between two tries."""

KNOCK = 2.0
"""Seconds that `join_class` waits to see the board."""

UNFIT = (400, 413, 422)
"""What a board answers to an event that it will never take."""

IDENTITY = ".learner"
"""The file in a learner's folder by which the board knows two people of one nickname apart, and one after a restart."""

_lock = threading.Lock()
_member: list[Member] = []
_mine = secrets.token_hex(4)


class Member:
    """A learner in a class: events given to `tell` reach the board at `address` in the background.

    `me` tells this learner from another one of the same nickname. `trouble`: why the board takes nothing at present.
    """

    def __init__(self, address: str, nickname: str, me: str = "") -> None:
        self.address, self.nickname, self.me, self.trouble = address.rstrip("/"), nickname, me, ""
        self._said = ""
        self._waiting: queue.Queue[str] = queue.Queue(MOST_WAITING)
        threading.Thread(target=self._post, name="class", daemon=True).start()

    def tell(self, event: Mapping[str, object]) -> None:
        """Send an event; returns at once."""
        body = json.dumps({"id": uuid.uuid4().hex, "learner": self.nickname, "me": self.me, **event})
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

    def news(self) -> str:
        """Return what is wrong with the board, once; an empty text when nothing new is."""
        trouble, before = self.trouble, self._said
        self._said = trouble
        return trouble if trouble != before else ""

    def knock(self) -> None:
        """Look whether a board is there, for `KNOCK` seconds at most."""
        self._asked(urllib.request.Request(self.address), KNOCK, b"<title>The class</title>")

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
        return self._asked(request, PATIENCE, b'"accepted"')

    def _asked(self, request: urllib.request.Request, seconds: float, sign: bytes) -> bool:
        """Ask the board; return whether it answered as one does, and keep what is wrong if it did not."""
        try:
            with _direct.open(request, timeout=seconds) as answer:
                self.trouble = "" if sign in answer.read(1 << 16) else self._no_board("answers something else")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in UNFIT:
                return True
            known = error.code < 500 and error.code != 429
            self.trouble = self._no_board(f"answers {error.code}") if known else self._silent(f"answers {error.code}")
        except (OSError, http.client.HTTPException) as error:
            self.trouble = self._silent(str(getattr(error, "reason", "") or error))
        return not self.trouble

    def _no_board(self, why: str) -> str:
        return f"{self.address} is no class's board (it {why}): ask the teacher for the address"

    def _silent(self, why: str) -> str:
        return (
            f"the class's board at {self.address} does not answer ({why}): go on working, what you do is sent when it "
            "does. If a browser here does not show that address either, ask the teacher"
        )


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the board is in this room: past any proxy


def join_class(address: str, nickname: str = "") -> None:
    """Send what you check and predict from now on to the teacher's board at `address`; say so.

    `nickname`: how the board calls you; left out, it makes one up. Raises `ValueError` for what is no address.
    """
    member = _join(address, nickname)
    member.knock()
    _say(member)


def _join(address: str, nickname: str) -> Member:
    address = _understood(address)
    me = _identity()
    member = Member(address, _shown(nickname) or f"learner-{me[:4]}", me)
    with _lock:
        _member[:] = [member]
    print(f"your checks and predictions go to {member.address}, as {member.nickname!r}")
    return member


def _understood(address: str) -> str:
    """Return the address with its scheme; raise `ValueError` for what is none.

    >>> _understood("192.168.1.20:8765"), _understood(" http://board.local:8765/ ")
    ('http://192.168.1.20:8765', 'http://board.local:8765/')
    """
    full = address.strip() if "://" in address else f"http://{address.strip()}"
    try:
        parts = urlsplit(full)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or "." in parts.hostname)
    except ValueError:  # a port that is no number
        good = False
    if not good or any(character.isspace() for character in full):
        raise ValueError(f'address must be like "http://192.168.1.20:8765", got {address!r}: the teacher has it')
    return full


def _shown(nickname: str) -> str:
    """Return the nickname as the board takes it: on one line, not too long, and of characters that can be sent."""
    return " ".join(nickname.encode("utf-8", "replace").decode().split())[:LONGEST]


def give_identity(folder: Path) -> None:
    """Let the notebooks in `folder` be one learner to the board, restarted or not."""
    with suppress(OSError), (folder / IDENTITY).open("x", encoding="utf-8") as file:
        file.write(secrets.token_hex(4))


def _identity() -> str:
    """Return what tells this learner from others: of the folder where `give_identity` was, else of this process."""
    with suppress(OSError, ValueError):
        return (Path.cwd() / IDENTITY).read_text("utf-8").strip()[:LONGEST] or _mine
    return _mine


def tell(event: Mapping[str, object]) -> None:
    """Hand an event to the class that was joined, by `join_class` or by the environment; else do nothing."""
    if not _member and (address := os.environ.get(ADDRESS)):
        try:
            _join(address, os.environ.get(NICKNAME, ""))
        except ValueError as error:
            if address not in _refused:
                _refused.append(address)
                print(f"not in a class, as {ADDRESS} is wrong: {error}")
    with _lock:
        member = _member[0] if _member else None
    if member is not None:
        _say(member)
        member.tell(event)


_refused: list[str] = []


def _say(member: Member) -> None:
    if news := member.news():
        print(news)
