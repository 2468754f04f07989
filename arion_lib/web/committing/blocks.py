"""A long body, block by block: while one batch of it is being committed the next is read, but no further.

Idea        The sender's connection is read as fast as its batches become durable: its TCP window is the back-pressure.
Invariant   At most one batch waits for its commit while another comes together; what is held follows a budget's share.
When wrong  A sender that hangs up, pauses too long or is refused keeps what is whole where it can go on behind it;
            otherwise a repetition would double that.
See         arion_lib/web/webhook.py · tests/web/test_webhook.py
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from arion_lib.pipeline.deliveries import BodyCheck, Delivery
from arion_lib.pipeline.ingest import Intake, Receipt
from arion_lib.web.bodies import Disconnected
from arion_lib.web.edge.patience import Draining, TooSlow
from arion_lib.web.group_commit import InOrder
from arion_lib.web.problems import Problem


async def commit_blocks(
    intake: Intake,
    first: bytes,
    blocks: AsyncIterator[bytes],
    commits: InOrder,
    share: Callable[[], int],
    *,
    resumable: bool,
) -> bool:
    """Commit the batches of a body, `first` its beginning; return whether the body was more than blanks.

    A batch is cut early once it holds more than `share()` bytes: when many long bodies come at once, memory follows
    their budget and not their number. `resumable`: the sender can go on behind what is stored.
    """
    try:
        held = bool(first.strip())
        if first:
            await commits.add(intake.feed(first))
        async for block in blocks:
            held = held or bool(block.strip())
            await commits.add(intake.feed(block) or (intake.cut() if intake.held > share() else None))
            if intake.broken:
                break
    except (Disconnected, TooSlow, Draining, Problem):
        await commits.add(intake.cut() if resumable else None)
        await commits.settle()
        raise
    finally:
        commits.abandon()
    await commits.add(intake.close())
    await commits.settle()
    return held


async def compared(known: Delivery, first: bytes, blocks: AsyncIterator[bytes]) -> Receipt:
    """Let the sender of a delivery that is complete already finish; raise `OtherBody` where it sends another body."""
    check = BodyCheck(known.fingerprint)
    check.feed(first)
    async for block in blocks:
        check.feed(block)
    check.close(whole=True)
    return Receipt(duplicates=known.done)
