"""Whether events can be taken and sent on: tried, and hardly remembered.

Idea        A load balancer asks; store, queue, relay and the committing thread are each tried once. A ping may find
            room where a batch does not: for a few seconds the last transaction's word counts, too.
Invariant   `down` (503) means that events cannot be taken; what only delays their sending on is `degraded` (200).
When wrong  A check says which kind of error it met, without the server's addresses, paths or SQL.
See         tests/web/test_pipeline_pages.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel

from arion_lib.pipeline.store import StoreError
from arion_lib.units import how_many
from arion_lib.web.problems import inside
from arion_lib.web.service import PipelineService

log = logging.getLogger(__name__)

LAG = 30.0
"""Seconds that a message may wait in the outbox before `/health` calls the relay late."""


class Check(BaseModel):
    """One thing that was tried."""

    ok: bool
    detail: str


class Health(BaseModel):
    """Whether events can be taken (`ok`, `degraded`: taken but not sent on) or not (`down`)."""

    status: Literal["ok", "degraded", "down"]
    store: Check
    broker: Check
    relay: Check

    @property
    def http_status(self) -> int:
        """The answer's status: 503 where events cannot be taken."""
        return 503 if self.status == "down" else 200


def health_of(service: PipelineService) -> Health:
    """Try the store, the queue and the relay, now."""
    store, broker, relay = _check(service.store.ping), _broker(service), _relay(service)
    commits = service.webhook.commits
    if store.ok and commits and commits.failure():
        store = Check(ok=False, detail="the thread that commits has ended: start the server again")
    elif store.ok and commits and commits.full:
        store = Check(ok=False, detail="the last transaction found no room: make some")
    state: Literal["ok", "degraded"] = "ok" if broker.ok and relay.ok else "degraded"
    return Health(status=state if store.ok else "down", store=store, broker=broker, relay=relay)


def _check(attempt: Callable[[], object]) -> Check:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001  whatever it is, it is not well
        log.warning("a check of /health failed: %s", error)
        return Check(ok=False, detail=inside(error))
    return Check(ok=True, detail="tried")


def _broker(service: PipelineService) -> Check:
    return _check(service.broker.ping) if service.broker else Check(ok=True, detail="no queue is used here")


def _relay(service: PipelineService) -> Check:
    if not service.relay:
        return Check(ok=True, detail="no relay runs here")
    try:
        status = service.relay.status()
    except StoreError as error:
        return Check(ok=False, detail=inside(error))
    detail = f"{how_many(status.waiting_messages, 'messages')} waiting, the oldest for {status.waiting_seconds:.1f} s"
    return Check(ok=status.running and status.waiting_seconds < LAG, detail=detail)
