"""The pages of challenge 2: run a registered set of resources, and see how it went.

Idea        A page reads what the runs kept; running is the only thing that changes anything.
Invariant   Following `next` from the first page of the log shows every entry that is kept, once.
When wrong  404 names the sets there are, 409 says that a set is being run; `/resources/health` is 503 when one is ill.
See         arion_lib/web/pages/resource_runs.py · tests/web/test_resource_pages.py
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import BaseModel

from arion_lib.web.pages.resource_runs import BusyError, ResourceRuns, ResourceSet, Run, UnknownSetError

Limit = Annotated[int, Query(ge=1, le=1_000, description="entries a page")]
After = Annotated[int, Query(ge=0, description="number of the last entry seen")]


class HealthOf(BaseModel):
    """What a resource said of itself."""

    ok: bool
    checked: bool
    error: str
    seconds: float


class RunOf(BaseModel):
    """One run."""

    number: int
    ok: bool
    began: float
    seconds: float
    health: dict[str, HealthOf]
    errors: list[str]


class SetOf(BaseModel):
    """A registered set, its figures and its last run."""

    name: str
    resources: dict[str, dict[str, Any]]
    last: RunOf | None


class Entry(BaseModel):
    """One step of a resource's life."""

    seq: int
    at: float
    run: int
    event: str
    resource: str
    attempt: int
    seconds: float
    error: str


class Log(BaseModel):
    """A page of the life-cycle log."""

    items: list[Entry]
    next: str | None


class HourOf(BaseModel):
    """What happened to one resource in the hour that began at `hour` (seconds since the epoch)."""

    hour: int
    resource: str
    acquired: int
    released: int
    failed: int
    seconds: float


class Verdict(BaseModel):
    """Whether each set's last run went well; None for one that was never run."""

    ok: bool
    sets: dict[str, bool | None]


def resource_pages(runs: ResourceRuns) -> APIRouter:
    """Make the router."""
    router = APIRouter(prefix="/resources", tags=["resources"])

    def found(name: str) -> ResourceSet:
        try:
            return runs.find(name)
        except UnknownSetError as error:
            raise HTTPException(404, str(error.args[0])) from None

    @router.get("")
    def registered() -> list[SetOf]:
        """List the sets that may be run."""
        return [_set_of(one) for one in runs.sets.values()]

    @router.get("/health")
    def health(response: Response) -> Verdict:
        """Say whether each set's last run went well."""
        sets = {name: one.last.ok if one.last else None for name, one in runs.sets.items()}
        response.status_code = 503 if False in sets.values() else 200
        return Verdict(ok=False not in sets.values(), sets=sets)

    @router.post("/{name}/runs")
    def run(name: str) -> RunOf:
        """Open the set, ask every health check, close it."""
        try:
            return _run_of(found(name).run())
        except BusyError as error:
            raise HTTPException(409, str(error)) from None

    @router.get("/{name}")
    def status(name: str) -> SetOf:
        """Tell the figures of each resource and the last run."""
        return _set_of(found(name))

    @router.get("/{name}/log")
    def log(name: str, after: After = 0, limit: Limit = 100) -> Log:
        """Page through the life-cycle log, oldest first."""
        items = found(name).events(after, limit)
        following = {"after": items[-1]["seq"], "limit": limit} if len(items) == limit else None
        return Log.model_validate(
            {"items": items, "next": f"/resources/{name}/log?{urlencode(following)}" if following else None}
        )

    @router.get("/{name}/hours")
    def hours(name: str) -> list[HourOf]:
        """Count acquisitions, releases and failures by hour and resource."""
        return [HourOf.model_validate(row) for row in found(name).hours()]

    return router


def _run_of(run: Run) -> RunOf:
    return RunOf.model_validate(asdict(run))


def _set_of(one: ResourceSet) -> SetOf:
    figures = {name: asdict(found) for name, found in one.managed.snapshot().items()}
    return SetOf(name=one.name, resources=figures, last=_run_of(one.last) if one.last else None)
