"""One event a post, the short way: queued when its packet is read, answered when its transaction is through.

Idea        A post that came whole, is one plain event and asks for nothing special needs no coroutine to wait in.
Invariant   Nothing is refused here: a post is taken, or declined untouched. A 2xx is written after the commit.
When wrong  An error of the commit is answered as the long way answers it; a delivery that is known goes on there.
See         arion_lib/web/prompt.py (the connection's side) · tests/web/test_prompt.py
"""

from __future__ import annotations

from typing import TypeAlias

from arion_lib.pipeline.ingest import Receipt
from arion_lib.pipeline.stored import StaleDelivery
from arion_lib.web.answers import ONE_MESSAGES, answer, refuse
from arion_lib.web.bodies import SMALL
from arion_lib.web.group_commit import CommitsClosed, QueueFull
from arion_lib.web.problems import as_problem
from arion_lib.web.prompt import Encoded, Headers, Pending, Send, encoded
from arion_lib.web.requests import Post, read_prompt_post
from arion_lib.web.webhook import Webhook, one_record

Ticket: TypeAlias = tuple[Post, bytes]
"""A post that was taken, and its body."""


class PromptWebhook:
    """Takes posts for `webhook` the short way (a `prompt.Taker`)."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._figures = webhook.figures
        self._limits = webhook.limits
        self._one = encoded(*ONE_MESSAGES)

    def offer(self, url: bytes, headers: Headers, body: bytes, pending: Pending) -> Ticket | None:
        """Queue the post if it is a plain event, to be told to `pending`; decline it otherwise."""
        webhook, figures, limits = self._webhook, self._figures, self._limits
        commits = webhook.commits
        if commits is None or webhook.verifier or len(body) > min(SMALL, limits.max_body):
            return None
        post = read_prompt_post(url, headers, limits.max_record)
        if post is None or post.target.read_row is None or figures.in_flight >= limits.max_in_flight:
            return None
        target, delivery = post.target, post.delivery
        if post.target.gzip or (delivery is not None and (target.stream, delivery) in webhook.arriving):
            return None
        row = post.target.read_row(body)
        if row is None:
            return None
        try:
            commits.submit_row(target.stream, row, one_record(delivery, body), pending)
        except (QueueFull, CommitsClosed):
            return None
        if delivery is not None:
            webhook.arriving.add((target.stream, delivery))
        figures.in_flight += 1
        return post, body

    def accepted(self, ticket: Ticket) -> Encoded:
        """Count the event and return its answer."""
        figures = self._figures
        figures.accepted += 1
        figures.answers[200] += 1
        self._end(ticket)
        return self._one

    async def failed(self, ticket: Ticket, error: BaseException, send: Send) -> None:
        """Answer for an event that was not committed; one whose delivery is known goes on as the store says."""
        try:
            receipt = await self._go_on(ticket, error)
            self._figures.answers[200] += 1
            await answer(send, receipt)
        except Exception as reason:  # noqa: BLE001  the worker's boundary: each error is one sender's answer
            problem = as_problem(reason)
            self._figures.answers[problem.status] += 1
            await refuse(send, None, problem, unread=False)
        finally:
            self._end(ticket)

    async def _go_on(self, ticket: Ticket, error: BaseException) -> Receipt:
        post, body = ticket
        if isinstance(error, StaleDelivery) and post.target.recipe is not None:
            return await self._webhook.go_on(post, post.target.recipe, body, error)
        raise error

    def _end(self, ticket: Ticket) -> None:
        post, body = ticket
        self._figures.in_flight -= 1
        self._figures.bytes += len(body)
        if post.delivery is not None:
            self._webhook.arriving.discard((post.target.stream, post.delivery))
