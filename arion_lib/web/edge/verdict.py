"""What the sender of a body is told that was read to its end: a receipt, or where and why it broke.

Idea        One place says which bodies are a 2xx; what was stored of the others is said beside the refusal.
Invariant   A 2xx means that every record is stored, known, or a dead letter that is kept whole.
When wrong  A `Problem` with what was accepted, and the first bad record's number, place and reason.
See         tests/web/test_webhook.py
"""

from __future__ import annotations

from typing import Any

from arion_lib.pipeline.ingest import Intake, Receipt
from arion_lib.web.problems import Problem


def judged(intake: Intake, *, held: bool) -> Receipt:
    """Return the receipt of a body that was read to its end, or raise the `Problem` that says where it broke.

    `held`: the body was more than blanks. One that holds no record then is an empty batch, which is nobody's error.
    """
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
    if receipt.too_long:
        raise Problem(
            413,
            "a record must be <= --max-line bytes",
            f"{receipt.too_long} that {'are' if receipt.too_long > 1 else 'is'} longer",
            "send smaller ones, or start the service with a larger --max-line; the others are stored",
            **members,
        )
    if not intake.records and not held:
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
