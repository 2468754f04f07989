"""`POST /webhook/{stream}`: events in, a 2xx once they are durable. The hot route, in plain ASGI.

Idea        A body that is there at once is one batch, which shares its transaction with whoever waits too; a longer one
            is read no faster than its batches are committed, so the sender's TCP window is the back-pressure.
Invariant   A 2xx is sent after the commit; of a delivery that is sent again, nothing counts twice.
When wrong  A `Problem` document; where the body was not read to its end the connection is closed as well.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_webhook.py
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

from arion_lib.pipeline.batch import Batch, Delivery
from arion_lib.pipeline.ingest import Cut, Intake, Receipt
from arion_lib.pipeline.recipe import Recipe
from arion_lib.pipeline.records import open_decoder
from arion_lib.pipeline.stored import StaleDelivery, Store, StoreError
from arion_lib.pipeline.verdict import Decoder
from arion_lib.web.answers import ONE, answer, read_to_end, refuse
from arion_lib.web.bodies import SMALL, Body, Disconnected, inflated, spool, unspooled
from arion_lib.web.commits import CommitsClosed, GroupCommit, QueueFull
from arion_lib.web.figures import Figures
from arion_lib.web.patience import Patience, TooSlow
from arion_lib.web.problems import Problem
from arion_lib.web.requests import Limits, Post, read_post, recipe_of
from arion_lib.web.signatures import SignatureError, Verification, Verifier

log = logging.getLogger(__name__)

BUDGET = 64 << 20
"""Bytes of body that all long bodies together may hold between two commits; each gets an equal share of it."""

RETRY_AFTER = "1"
"""Seconds after which a refused sender may try again."""


class Webhook:
    """The ASGI application behind `/webhook/`. `verifier` None: bodies need no signature."""

    def __init__(
        self,
        store: Store,
        patience: Patience,
        *,
        verifier: Verifier | None = None,
        limits: Limits = Limits(),  # noqa: B008  frozen
        cut: Cut = Cut(),  # noqa: B008  frozen
    ) -> None:
        self.figures = Figures()
        self.commits: GroupCommit | None = None  # set when the server starts
        self._store, self._patience = store, patience
        self._verifier, self._limits, self._cut = verifier, limits, cut
        self._arriving: set[tuple[str, str]] = set()  # deliveries that are being received

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one post."""
        figures, body = self.figures, None
        figures.in_flight += 1
        try:
            if figures.in_flight > self._limits.max_in_flight:
                self._refuse_more()
            post = read_post(scope, self._limits)
            body = Body(self._patience.begin(receive), self._limits)
            receipt = await self._take(post, body)
            figures.count(receipt)
            figures.answers[200] += 1
            await answer(send, receipt)
        except Disconnected:
            figures.answers[499] += 1  # nobody is left to hear an answer
        except Exception as error:  # noqa: BLE001  the worker's boundary: each error is one sender's answer
            problem = as_problem(error)
            figures.answers[problem.status] += 1
            await refuse(send, receive, problem, unread=await self._unread(scope, receive, body))
        finally:
            figures.in_flight -= 1
            figures.bytes += body.received if body else 0

    async def _unread(self, scope: Any, receive: Any, body: Body | None) -> bool:
        """Say whether bytes of a refused body are to come; a short one is read, so that its connection can go on."""
        if body is not None and (body.finished or body.received):
            return not body.finished
        length = dict(scope["headers"]).get(b"content-length", b"")
        if not length.isdigit() or len(length) > 6 or int(length) > SMALL:
            return True
        return not await read_to_end(receive)

    @property
    def _queue(self) -> GroupCommit:
        if self.commits is None:
            raise CommitsClosed("the server must have started, got a post before: send it again")
        return self.commits

    def _refuse_more(self) -> None:
        raise Problem(
            429,
            f"posts in flight must be <= {self._limits.max_in_flight}",
            f"{self.figures.in_flight}",
            f"try again in {RETRY_AFTER} s",
            headers={"retry-after": RETRY_AFTER},
        )

    async def _take(self, post: Post, body: Body) -> Receipt:
        verification = self._verifier.begin(post.headers) if self._verifier else None
        if post.delivery is None:
            return await self._take_body(post, body, verification)
        with self._sole(post.target.stream, post.delivery):
            return await self._take_body(post, body, verification)

    async def _take_body(self, post: Post, body: Body, verification: Verification | None) -> Receipt:
        whole = None if post.target.gzip else await body.gather()
        if whole is None:
            return await self._take_long(post, body, verification)
        if verification:
            verification.update(whole)
            verification.verify()
        return await self._take_whole(post, whole)

    @contextlib.contextmanager
    def _sole(self, stream: str, delivery: str) -> Iterator[None]:
        """Keep a second sender of the same delivery out while the first is being received."""
        name = (stream, delivery)
        if name in self._arriving:
            raise Problem(
                409,
                "a delivery must be sent by one sender at a time",
                f"{delivery!r} twice",
                "wait for the answer to the first",
                headers={"retry-after": RETRY_AFTER},
            )
        self._arriving.add(name)
        try:
            yield
        finally:
            self._arriving.discard(name)

    # -- a small body

    async def _take_whole(self, post: Post, whole: bytes) -> Receipt:
        target = post.target
        recipe, rest = (target.recipe, whole) if target.recipe else first_line(whole)
        row = target.read_row(rest) if target.read_row else None
        try:
            if row is not None:
                await self._queue.submit_row(target.stream, row, post.delivery)
                return ONE
            return await self._take_records(self._intake(post, recipe, None), rest)
        except StaleDelivery as stale:
            if stale.known is None:
                raise
            if stale.known.complete:
                return Receipt(duplicates=stale.known.done)
            return await self._take_records(self._intake(post, recipe, stale.known), rest)

    async def _take_records(self, intake: Intake, whole: bytes) -> Receipt:
        batches = [intake.feed(whole), intake.close()]
        # All of them are queued before any is waited for, so they share a transaction and stay in order.
        waiting = [self._queue.submit(batch) for batch in batches if batch is not None]
        for one in waiting:
            await one
        return judged(intake)

    # -- a long one

    async def _take_long(self, post: Post, body: Body, verification: Verification | None) -> Receipt:
        if verification is None:
            return await self._take_blocks(post, body.blocks())
        with await spool(body, verification) as file:
            return await self._take_blocks(post, unspooled(file))

    async def _take_blocks(self, post: Post, blocks: AsyncIterator[bytes]) -> Receipt:
        if post.target.gzip:
            blocks = inflated(blocks, self._limits)
        known = await self._known(post)
        if known and known.complete:
            async for _ in blocks:  # the sender is let finish; nothing of it is looked at
                pass
            return Receipt(duplicates=known.done)
        recipe, first = post.target.recipe, b""
        if recipe is None:
            recipe, first = first_line(await anext(blocks, b""))
        intake = self._intake(post, recipe, known)
        self.figures.long += 1
        try:
            await self._commit_blocks(intake, first, blocks, resumable=post.delivery is not None)
        finally:
            self.figures.long -= 1
        return judged(intake)

    async def _commit_blocks(
        self, intake: Intake, first: bytes, blocks: AsyncIterator[bytes], *, resumable: bool
    ) -> None:
        """Commit batch after batch; while one is being committed the next is read, but no further."""
        commits = _InOrder(self._queue)
        try:
            if first:
                await commits.add(intake.feed(first))
            async for block in blocks:
                await commits.add(intake.feed(block) or self._cut_at_share(intake))
                if intake.broken:
                    break
        except (Disconnected, TooSlow, Problem):
            # What is whole is kept only where the sender can go on behind it; otherwise a repeat would double it.
            await commits.add(intake.cut() if resumable else None)
            await commits.settle()
            raise
        finally:
            commits.abandon()
        await commits.add(intake.close())
        await commits.settle()

    def _cut_at_share(self, intake: Intake) -> Batch | None:
        """Cut a batch early when many long bodies come at once, so that memory follows the budget, not their number."""
        return intake.cut() if intake.held > BUDGET // self.figures.long else None

    async def _known(self, post: Post) -> Delivery | None:
        if post.delivery is None:
            return None
        return await asyncio.to_thread(self._store.done, post.target.stream, post.delivery)

    def _intake(self, post: Post, recipe: Recipe, known: Delivery | None) -> Intake:
        def decoder(kind: Any, skip: int) -> Decoder:
            return open_decoder(
                post.target.content_type, kind, path=recipe.items, max_record=self._limits.max_record, skip=skip
            )

        try:
            return Intake(post.target.stream, recipe, decoder, delivery=post.delivery, known=known, cut=self._cut)
        except ValueError as error:
            raise Problem(400, "the configuration must fit the body", str(error), "see /docs") from error


class _InOrder:
    """At most one batch of a body waits for its commit; adding the next waits for it."""

    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits
        self._waiting: asyncio.Future[None] | None = None

    async def add(self, batch: Batch | None) -> None:
        """Wait for the batch before, then queue this one."""
        if batch is not None:
            await self.settle()
            self._waiting = self._commits.submit(batch)

    async def settle(self) -> None:
        """Wait until everything added is durable."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            await waiting

    def abandon(self) -> None:
        """Let the last batch end, whatever becomes of it: something else has gone wrong already."""
        if self._waiting is not None:
            self._waiting.add_done_callback(lambda future: future.cancelled() or future.exception())


def first_line(block: bytes) -> tuple[Recipe, bytes]:
    """Split a body whose first line is its recipe (`config=body`). Raises `Problem` 400.

    >>> first_line(b'{"group_by": ["type"]}\\n{"type": "a"}')
    (Recipe(fields=(), group_by=('type',), sum_field=None, path=None, dedupe=None), b'{"type": "a"}')
    """
    line, newline, rest = block.partition(b"\n")
    try:
        wishes = json.loads(line)
    except (ValueError, RecursionError):
        wishes = None
    if not newline or not isinstance(wishes, dict):
        raise Problem(
            400,
            "with config=body the first line must be a JSON object",
            repr(line[:80].decode("latin-1")),
            'send {"group_by": ["type"]} and a newline first, say',
        )
    return recipe_of(wishes), rest


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
    if receipt.dead and not (receipt.accepted or receipt.duplicates):
        raise Problem(
            422, "at least one record must be a JSON object", "none", "see /dead-letters for the reasons", **members
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
    if isinstance(error, StaleDelivery):
        return Problem(409, "a delivery must be sent by one sender at a time", str(error), "send it again")
    if isinstance(error, (StoreError, CommitsClosed, OSError)):
        retry = {"retry-after": RETRY_AFTER}
        return Problem(503, "the store must be able to write", str(error), "send it again later", headers=retry)
    if isinstance(error, ValueError):
        return Problem(422, "the records must be storable", str(error), "mend the record it names")
    log.error("a post failed", exc_info=error)
    return Problem(500, "the server must not fail", type(error).__name__, "report it, with the server's log")
