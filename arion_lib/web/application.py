"""One web application: FastAPI for the typed pages, and in front of it the hot routes, dispatched by path.

Idea        What is called twenty thousand times a second is reached by one comparison, past the framework's routing
            and middleware; the framework still knows the route, so the interactive docs show it. A single event in one
            packet does not even get there: `fast_path` takes it.
Invariant   A hot route answers the same whether it is reached the short way or through the framework.
When wrong  A service that cannot start fails the server's start-up with its reason.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_webhook.py
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from arion_lib import __version__
from arion_lib.scheduler.monitoring.exporters import SchedulerCollector
from arion_lib.web.edge.answers import refuse
from arion_lib.web.edge.gate import Doors, Gate
from arion_lib.web.monitoring.status_page import status_page
from arion_lib.web.pages.bounds import Pages
from arion_lib.web.pages.health import health_of
from arion_lib.web.pages.pipeline import pipeline_pages
from arion_lib.web.pages.plugins import plugin_pages
from arion_lib.web.pages.refusals import DOCUMENTED, answer_problems
from arion_lib.web.pages.resource_runs import ResourceRuns, local_sets
from arion_lib.web.pages.resources import resource_pages
from arion_lib.web.problems import Problem
from arion_lib.web.requests import PREFIX
from arion_lib.web.scheduling.pages import scheduler_pages
from arion_lib.web.scheduling.samples import shipped
from arion_lib.web.scheduling.tasks import ScheduledTasks
from arion_lib.web.service import PipelineService
from arion_lib.web.webhook import Webhook

log = logging.getLogger(__name__)

DESCRIPTION = """Events in by webhook, durable before the answer; results and messages out. Tasks in by their name.

A refusal is a problem document: what must be, what was got, what to do. Other databases and queues, signatures and
limits are options of the command: `python -m arion_lib serve --help`. Notebook 1 of the workbook shows how it works."""


class Application:
    """The ASGI application: `service` behind its hot route, `api` for all else; `tasks` is closed with them."""

    def __init__(self, service: PipelineService, api: FastAPI, tasks: ScheduledTasks, doors: Doors) -> None:
        self.service, self.api, self.tasks = service, api, tasks
        self._webhook = service.webhook
        self._doors, self._pages = doors, Pages(api, service.patience)
        self.fast_path = _fast_path(service.webhook, doors.gate)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection's request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        webhook = scope["path"].startswith(PREFIX)
        try:
            whole = self._doors.check(scope, webhook=webhook)
            if webhook:
                await self._webhook(scope, receive, send)
            elif whole:
                await self._pages(scope, receive, send)
            elif scope["path"] == "/health" and scope["method"] in ("GET", "HEAD"):
                await self._whether_well(send)
            else:
                await _refuse(scope, receive, send, _no_page(scope["path"]))
        except Problem as problem:
            await _refuse(scope, receive, send, problem)

    async def _whether_well(self, send: Any) -> None:
        """Tell a load balancer what it needs, and strangers nothing more."""
        health = await asyncio.to_thread(health_of, self.service)
        body = b'{"status":"%b"}' % health.status.encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": health.http_status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def drain(self) -> None:
        """Wait no longer for senders: the server ends."""
        self.service.patience.drain()

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            await self.service.start()
        except Exception as error:
            log.exception("the service did not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await asyncio.to_thread(self.tasks.close)
        finally:  # what was accepted becomes durable whatever a task does
            await self.service.close()
        await send({"type": "lifespan.shutdown.complete"})


def _no_page(path: str) -> Problem:
    return Problem(404, "the path must be /webhook/{stream}", repr(path[:80]), "post an event")


async def _refuse(scope: Any, receive: Any, send: Any, problem: Problem) -> None:
    await refuse(send, receive, problem, unread=scope["method"] not in ("GET", "HEAD"))


def _fast_path(webhook: Webhook, gate: Gate) -> Any:
    try:
        from arion_lib.web.edge.fast_path import FastPath  # needs httptools
    except ModuleNotFoundError:  # PyPy
        return None
    return FastPath(webhook, gate)


def create_app(
    service: PipelineService,
    tasks: ScheduledTasks | None = None,
    *,
    doors: Doors = Doors(),  # noqa: B008  frozen
) -> Application:
    """Make the application: the pages of each challenge that has some, and docs that need no other machine.

    `tasks`: what may be run and where; left out, the functions that ship, on a scheduler opened by the first task.
    """
    tasks = ScheduledTasks(shipped()) if tasks is None else tasks
    api = FastAPIOffline(
        title="Arion workbook",
        version=__version__,
        description=DESCRIPTION,
        redoc_url=None,
        docs_url="/docs",
        responses=DOCUMENTED,
    )
    answer_problems(api)
    api.include_router(pipeline_pages(service, SchedulerCollector(tasks.status)))
    runs = ResourceRuns(local_sets())
    api.include_router(status_page(service, tasks, runs))
    api.include_router(resource_pages(runs))
    api.include_router(plugin_pages())
    api.include_router(scheduler_pages(tasks))
    return Application(service, api, tasks, doors)
