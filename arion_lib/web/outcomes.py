"""What a post comes to: a receipt, or the problem that an error means for its sender.

Idea        Errors of body, store and server are raised where they happen and put into a sender's words in one place.
Invariant   Whatever is raised while a post is taken has an answer; a 2xx is only ever a receipt.
When wrong  An error that nobody foresaw is logged and answered 500.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_webhook.py
"""

from __future__ import annotations

import logging
from typing import Any

from arion_lib.pipeline.fingerprint import OtherBody
from arion_lib.pipeline.ingest import Intake, Receipt
from arion_lib.pipeline.stored import StaleDelivery, StoreError
from arion_lib.web.commits import CommitsClosed, QueueFull
from arion_lib.web.patience import TooSlow
from arion_lib.web.problems import Problem
from arion_lib.web.signatures import SignatureError

log = logging.getLogger(__name__)

RETRY_AFTER = "1"
"""Seconds after which a refused sender may try again."""


def judged(intake: Intake) -> Receipt:
    """Return the receipt of a body that was read to its end, or raise the `Problem` 422 that says where it broke."""
    receipt, broken = intake.receipt, intake.broken
    members: dict[str, Any] = {"accepted": receipt.accepted, "duplicates": receipt.duplicates, "dead": receipt.dead}
    if broken is not None:
        raise Problem(
            422,
            "the body must be JSON to its end",
            f"{broken.reason} in record {broken.record} at byte {broken.offset}",
            "mend it from there; what came before is stored",
            **members,
            record=broken.record,
            offset=broken.offset,
        )
    if not intake.records:
        raise Problem(400, "the body must hold at least one event", "none", "send JSON, or lines of it")
    if intake.first_dead and not (receipt.accepted or receipt.duplicates):
        first = intake.first_dead
        raise Problem(
            422,
            "at least one record must be fit to be stored",
            f"{receipt.dead} dead letter{'s' if receipt.dead > 1 else ''}, the first: {first.reason} in record "
            f"{first.record}",
            "see /dead-letters for each record's reason",
            **members,
            record=first.record,
            offset=first.offset,
        )
    return receipt


def as_problem(error: Exception) -> Problem:
    """Say what an error of a post means for its sender."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, SignatureError):
        challenge = {"www-authenticate": 'Signature realm="webhook"'}
        return Problem(401, error.must, error.got, error.do, headers=challenge)
    if isinstance(error, TooSlow):
        return Problem(408, "the body must keep coming", str(error), "send it faster, or in several posts")
    if isinstance(error, QueueFull):
        retry = {"retry-after": RETRY_AFTER}
        return Problem(429, str(error), "one more", f"try again in {RETRY_AFTER} s", headers=retry)
    if isinstance(error, OtherBody):
        must = "a webhook-id must come with the same body each time"
        return Problem(422, must, "another body than the first", "send a new event, or a mended one, under a new id")
    if isinstance(error, StaleDelivery):
        return Problem.of(409, "a delivery must be sent by one sender at a time", error, "send it again")
    if isinstance(error, (StoreError, CommitsClosed, OSError)):
        retry = {"retry-after": RETRY_AFTER}
        return Problem.of(503, "the store must be able to write", error, "send it again later", headers=retry)
    if isinstance(error, ValueError):
        return Problem.of(422, "the records must be storable", error, "mend the record it names")
    log.error("a post failed", exc_info=error)
    return Problem(500, "the server must not fail", type(error).__name__, "report it, with the server's log")
