"""Refusals that a sender can act on: what must be, what was got, what to do.

Idea        One exception is the refusal; its body is a problem document as RFC 9457 describes it. Errors are raised
            where they happen, as what they are, and become problems here; pages/refusals has the framework's do so.
Invariant   Every answer of 400 or more is a problem document with a status, a sentence and the sentence's three parts.
            What is wrong with the server itself (addresses, paths, SQL) is logged, never sent.
When wrong  An error that nobody foresaw is logged and answered 500.
See         https://www.rfc-editor.org/rfc/rfc9457 · tests/web/test_problems.py
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from arion_lib.pipeline.broker import BrokerError
from arion_lib.pipeline.deliveries import OtherBody, StaleDelivery
from arion_lib.pipeline.store import StoreBroken, StoreBusy, StoreDown, StoreError, StoreFull
from arion_lib.web.edge.patience import Draining, TooSlow
from arion_lib.web.group_commit import CommitsClosed, QueueFull
from arion_lib.web.signatures import SignatureError

log = logging.getLogger(__name__)

MEDIA_TYPE = b"application/problem+json"

RETRY_AFTER = "1"
"""Seconds after which a refused sender may try again."""


class Problem(Exception):
    """Stop here and answer with a problem document.

    `status` is the HTTP status, `must` the rule ("content-length must be <= 1000"), `got` what came instead and `do`
    what the sender can change. `headers` are sent with the answer; `members` become further members of the document.

    >>> Problem(413, "the body must be <= 10 bytes", "11 bytes", "send it in parts").detail
    'the body must be <= 10 bytes, got 11 bytes: send it in parts'
    """

    def __init__(
        self,
        status: int,
        must: str,
        got: str,
        do: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> None:
        super().__init__(f"{must}, got {got}: {do}")
        self.status = status
        self.must, self.got, self.do = must, got, do
        self.headers = dict(headers or {})
        self.members = members

    @classmethod
    def of(cls, status: int, must: str, error: Exception, do: str, **options: Any) -> Problem:
        """Make the problem that `error` means; one that says `rule, got value` itself is not said twice.

        `must` is the rule for an error that names none. `options` are the constructor's.

        >>> Problem.of(400, "the query must be understood", ValueError("limit must be > 0, got -1"), "see /docs").detail
        'limit must be > 0, got -1: see /docs'
        >>> Problem.of(400, "the body must be gzip", ValueError("another header"), "compress it").detail
        'the body must be gzip, got another header: compress it'
        """
        rule, got, value = str(error).partition(", got ")
        return cls(status, rule, value, do, **options) if got else cls(status, must, rule, do, **options)

    @property
    def detail(self) -> str:
        """The whole sentence."""
        return str(self)

    def body(self) -> bytes:
        """Return the problem document as JSON bytes.

        >>> Problem(401, "the signature must be valid", "another", "sign with the shared secret").body()[:54]
        b'{"type": "about:blank", "title": "Unauthorized", "stat'
        """
        document: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "must": self.must,
            "got": self.got,
            "do": self.do,
        }
        return json.dumps(document | self.members).encode()


def as_problem(error: Exception) -> Problem:
    """Say what an error means for the one who asked; what only the server's owner may know is logged."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, SignatureError):
        challenge = {"www-authenticate": 'Signature realm="webhook"'}
        return Problem(401, error.must, error.got, error.do, headers=challenge)
    if isinstance(error, TooSlow):
        return Problem(408, "the body must keep coming", str(error), "send it faster, or in several posts")
    if isinstance(error, Draining):
        must, retry = "the server must be there to the body's end", {"retry-after": RETRY_AFTER}
        return Problem(503, must, "its end", "send it again later", headers=retry)
    if isinstance(error, QueueFull):
        retry = {"retry-after": RETRY_AFTER}
        return Problem(429, str(error), "one more", f"try again in {RETRY_AFTER} s", headers=retry)
    if isinstance(error, OtherBody):
        must = "a webhook-id must come with the same body each time"
        return Problem(422, must, "another body than the first", "send a new event, or a mended one, under a new id")
    if isinstance(error, StaleDelivery):
        return Problem.of(409, "a delivery must be sent by one sender at a time", error, "send it again")
    if isinstance(error, (StoreError, BrokerError, CommitsClosed, OSError)):
        _note(error)
        must = "the queue must answer" if isinstance(error, BrokerError) else "the store must be able to write"
        return Problem(503, must, inside(error), "send it again later", headers={"retry-after": RETRY_AFTER})
    if isinstance(error, ValueError):
        return Problem.of(422, "the records must be storable", error, "mend the record it names")
    log.error("a request failed", exc_info=error)
    return Problem(500, "the server must not fail", "an error", "report it, with the server's log")


INSIDE: dict[type[Exception], str] = {
    StoreBusy: "a store that is locked",
    StoreFull: "a store without room",
    StoreDown: "a store that does not answer",
    StoreBroken: "a damaged store",
    StoreError: "an error of the store",
    BrokerError: "an error of the queue",
    CommitsClosed: "a server that starts or ends",
}


def inside(error: Exception) -> str:
    """Name an error of the server's own without its text, which may hold addresses, paths or SQL.

    >>> inside(StoreDown("postgresql://me@10.0.0.1/db does not answer"))
    'a store that does not answer'
    """
    return next((said for kind, said in INSIDE.items() if isinstance(error, kind)), "an error of the system")


class _Noted:
    """When an error of each kind was logged last: posts by the thousand fail alike while a database is away."""

    at: dict[type[Exception], float] = {}  # noqa: RUF012  one for the process, as its log is


def _note(error: Exception) -> None:
    now = time.monotonic()
    if now - _Noted.at.get(type(error), -1.0) >= 1.0:
        _Noted.at[type(error)] = now
        log.warning("%s (logged once a second at most): %s", type(error).__name__, error)
