"""`POST /webhook/{stream}`: events in, a 2xx once they are durable. The hot route, in plain ASGI.

Idea        A body that is there at once is one batch, which shares its transaction with whoever waits too; a longer one
            is read no faster than its batches are committed, so the sender's TCP window is the back-pressure.
Invariant   A 2xx is sent after the commit; of a delivery that is sent again, nothing counts twice, and another body
            under its id is not taken for it.
When wrong  A `Problem` document; where the body was not read to its end the connection is closed as well.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_webhook.py
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.decoder import Decoder
from arion_lib.pipeline.deliveries import Delivery, StaleDelivery, whole_delivery
from arion_lib.pipeline.formats.records import open_decoder
from arion_lib.pipeline.ingest import Cut, Intake, Receipt, again
from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.pipeline.store import Store
from arion_lib.web.bodies import SMALL, Body, Disconnected, inflated, inflated_whole, up_to_line
from arion_lib.web.committing.arriving import Arriving
from arion_lib.web.committing.blocks import commit_blocks, compared
from arion_lib.web.edge.answers import ONE, answer, read_to_end, refuse
from arion_lib.web.edge.patience import Patience
from arion_lib.web.edge.spool import Spool
from arion_lib.web.edge.verdict import judged
from arion_lib.web.group_commit import CommitsClosed, GroupCommit, InOrder, heard
from arion_lib.web.monitoring.figures import Figures
from arion_lib.web.problems import RETRY_AFTER, Problem, as_problem
from arion_lib.web.requests import Limits, Post, first_line, read_post
from arion_lib.web.signatures import HmacVerification, Verification
from arion_lib.web.streams import IdIn, Streams

BUDGET = 64 << 20
"""Bytes of body that all long bodies together may hold between two commits; each gets an equal share of it."""


class Webhook:
    """The ASGI application behind `/webhook/`. `streams`: what holds for each."""

    def __init__(
        self,
        store: Store,
        patience: Patience,
        *,
        streams: Streams = Streams(),  # noqa: B008  frozen
        limits: Limits = Limits(),  # noqa: B008  frozen
        cut: Cut = Cut(),  # noqa: B008  frozen
    ) -> None:
        self.figures = Figures()
        self.commits: GroupCommit | None = None  # set when the server starts
        self._store, self._patience = store, patience
        self.streams, self.limits, self._cut = streams, limits, cut
        self._spool = Spool(limits.max_spool, self.figures)
        self.arriving = Arriving()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one post."""
        figures, body = self.figures, None
        figures.in_flight += 1
        try:
            if figures.in_flight > self.limits.max_in_flight and not self._patience.make_room():
                self._refuse_more()
            post = read_post(scope, self.limits, self.streams)
            body = Body(self._patience.begin(receive), self.limits)
            receipt = await self._take(post, body)
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
            f"posts in flight must be <= {self.limits.max_in_flight}",
            f"{self.figures.in_flight}",
            f"try again in {RETRY_AFTER} s",
            headers={"retry-after": RETRY_AFTER},
        )

    async def _take(self, post: Post, body: Body) -> Receipt:
        verifier = post.target.rules.verifier
        verification = verifier.begin(post.headers) if verifier else None
        if post.target.rules.id_in is not None:
            return await self._take_named(post, body, verification, post.target.rules.id_in)
        whole = None if post.target.gzip else await body.gather()
        if whole is None:
            return await self._take_long(post, body, verification)
        if verification:
            verification.update(whole)
            verification.verify()
        with self.arriving.sole(post.target.stream, post.delivery):
            return await self._take_whole(post, whole)

    async def _take_named(
        self, post: Post, body: Body, verification: Verification | HmacVerification | None, id_in: IdIn
    ) -> Receipt:
        """Take a body that holds its delivery's id: all of it is read before anything of it counts."""
        most = self.limits.max_record
        whole = await body.whole(most)
        if verification:
            verification.update(whole)
            verification.verify()
        if post.target.gzip:
            whole = await inflated_whole(whole, replace(self.limits, max_inflated=most))
        post.delivery = id_in(whole if post.target.recipe else first_line(whole)[1])
        with self.arriving.sole(post.target.stream, post.delivery):
            return await self._take_whole(post, whole)

    # -- a small body

    async def _take_whole(self, post: Post, whole: bytes) -> Receipt:
        target = post.target
        recipe, rest = (target.recipe, whole) if target.recipe else first_line(whole)
        try:
            if (row := target.read_row(rest) if target.read_row else None) is not None:
                future = asyncio.get_running_loop().create_future()
                self._queue.submit_row(target.stream, row, whole_delivery(post.delivery, rest), future)
                await future
                self.figures.accepted += 1
                self.figures.take(target.stream, 1)
                return ONE
            return await self._take_records(self._intake(post, recipe, None), rest)
        except StaleDelivery as stale:
            return await self.go_on(post, recipe, rest, stale)

    async def go_on(self, post: Post, recipe: Recipe, rest: bytes, stale: StaleDelivery) -> Receipt:
        """Take a body whose delivery the store knows already: what is missing of it, or nothing."""
        if stale.known is None:
            raise stale
        if stale.known.complete:
            return self._again(again(stale.known, [rest]))
        return await self._take_records(self._intake(post, recipe, stale.known), rest)

    async def _take_records(self, intake: Intake, whole: bytes) -> Receipt:
        batches = [batch for batch in (intake.feed(whole), intake.close()) if batch is not None]
        # All of them are queued before any is waited for, so they share a transaction and stay in order.
        waiting = [heard(self._queue.submit(batch)) for batch in batches]
        for batch, one in zip(batches, waiting, strict=True):
            self._count(intake, batch, await one)
        return self._judged(intake, held=bool(whole.strip()))

    def _count(self, intake: Intake, batch: Batch, left_out: int) -> None:
        self.figures.count(batch, left_out)
        intake.receipt.leave_out(left_out)

    def _judged(self, intake: Intake, *, held: bool) -> Receipt:
        self.figures.duplicates += intake.skipped
        return judged(intake, held=held)

    def _again(self, receipt: Receipt) -> Receipt:
        """Answer a delivery that was taken in to its end before, whatever its records came to then."""
        self.figures.duplicates += receipt.duplicates
        return receipt

    # -- a long one

    async def _take_long(self, post: Post, body: Body, verification: Verification | HmacVerification | None) -> Receipt:
        if verification is None:
            with self.arriving.sole(post.target.stream, post.delivery):
                return await self._take_blocks(post, body.blocks())
        length = int(post.headers.get(b"content-length", b"0"))
        async with self._spool.verified(body, verification, length) as blocks:
            with self.arriving.sole(post.target.stream, post.delivery):
                return await self._take_blocks(post, blocks)

    async def _take_blocks(self, post: Post, blocks: AsyncIterator[bytes]) -> Receipt:
        if post.target.gzip:
            blocks = inflated(blocks, self.limits)
        known = await self._known(post)
        recipe, first = post.target.recipe, b""
        if recipe is None:
            recipe, first = first_line(await up_to_line(blocks))
        if known and known.complete:
            return self._again(await compared(known, first, blocks))
        intake = self._intake(post, recipe, known)
        self.figures.long += 1
        try:
            commits = InOrder(self._queue, partial(self._count, intake))
            held = await commit_blocks(
                intake, first, blocks, commits, lambda: BUDGET // self.figures.long, resumable=post.delivery is not None
            )
        finally:
            self.figures.long -= 1
        return self._judged(intake, held=held)

    async def _known(self, post: Post) -> Delivery | None:
        if post.delivery is None:
            return None
        return await asyncio.to_thread(self._store.done, post.target.stream, post.delivery)

    def _intake(self, post: Post, recipe: Recipe, known: Delivery | None) -> Intake:
        def decoder(kind: Any, skip: int) -> Decoder:
            return open_decoder(
                post.target.content_type, kind, path=recipe.items, max_record=self.limits.max_record, skip=skip
            )

        try:
            return Intake(
                post.target.stream,
                recipe,
                decoder,
                delivery=post.delivery,
                known=known,
                cut=self._cut,
                meta=post.target.rules.beside(post.delivery, post.headers),
            )
        except ValueError as error:
            raise Problem.of(400, "the configuration must fit the body", error, "see /docs") from error
