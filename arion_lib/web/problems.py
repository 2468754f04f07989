"""Refusals that a sender can act on: what must be, what was got, what to do.

Idea        One exception is the refusal; its body is a problem document as RFC 9457 describes it.
Invariant   Every refusal of the webhook has a status, a sentence and the three parts of it as members.
When wrong  A refusal that needs more (how long to wait, where the error is) carries it as header or as further member.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_problems.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = b"application/problem+json"


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
