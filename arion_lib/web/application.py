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
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from arion_lib import __version__
from arion_lib.scheduler.exporters import SchedulerCollector
from arion_lib.web.answers import refuse
from arion_lib.web.gate import Gate
from arion_lib.web.pipeline_pages import pipeline_pages
from arion_lib.web.problems import DOCUMENTED, Problem, answer_problems
from arion_lib.web.requests import PREFIX
from arion_lib.web.resource_pages import resource_pages
from arion_lib.web.resource_runs import ResourceRuns, local_sets
from arion_lib.web.scheduler_pages import scheduler_pages
from arion_lib.web.scheduler_samples import shipped
from arion_lib.web.scheduler_tasks import ScheduledTasks
from arion_lib.web.service import PipelineService
from arion_lib.web.webhook import Webhook

log = logging.getLogger(__name__)

DESCRIPTION = """Events in by webhook, durable before the answer; results and messages out. Tasks in by their name.

A refusal is a problem document: what must be, what was got, what to do. Other databases and queues, signatures and
limits are options of the command: `python -m arion_lib serve --help`. Notebook 1 of the workbook shows how it works."""


class Application:
    """The ASGI application: `service` behind its hot route, `api` for all else; `tasks` is closed with them."""

    def __init__(self, service: PipelineService, api: FastAPI, tasks: ScheduledTasks, gate: Gate) -> None:
        self.service, self.api, self.tasks = service, api, tasks
        self._webhook = service.webhook
        self._gate = gate
        self.fast_path = _fast_path(service.webhook, gate)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection's request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        try:
            self._gate.check(scope["headers"], scope["method"], scope["http_version"])
        except Problem as problem:
            await refuse(send, receive, problem, unread=scope["method"] not in ("GET", "HEAD"))
            return
        if scope["path"].startswith(PREFIX):
            await self._webhook(scope, receive, send)
        else:
            await self.api(scope, receive, send)

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


def _fast_path(webhook: Webhook, gate: Gate) -> Any:
    try:
        from arion_lib.web.fast_path import FastPath  # needs httptools
    except ModuleNotFoundError:  # PyPy
        return None
    return FastPath(webhook, gate)


def create_app(
    service: PipelineService,
    tasks: ScheduledTasks | None = None,
    *,
    gate: Gate = Gate(),  # noqa: B008  never changed
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
    api.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    api.include_router(pipeline_pages(service, SchedulerCollector(tasks.status)))
    api.include_router(resource_pages(ResourceRuns(local_sets())))
    api.include_router(scheduler_pages(tasks))
    return Application(service, api, tasks, gate)
