"""The pages of challenge 5: hand in a task by its function's name, see how it goes, fetch what it gave.

Idea        A task is a resource: posting makes it, its id names it, its result is another resource beside it.
Invariant   Only registered functions run; following `next` from the first page shows every task that is kept, once.
When wrong  Wrong arguments are 422 and named, a full queue is 429, a task that failed is a result with its error.
See         arion_lib/web/scheduling/tasks.py · tests/web/test_scheduler_pages.py
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Header, HTTPException, Path, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from arion_lib.scheduler import QueueFullError, ShutDownError, Snapshot, State, Task
from arion_lib.scheduler.monitoring.exporters import prometheus
from arion_lib.scheduler.monitoring.snapshot import LaneStatus, WorkerStatus
from arion_lib.web.pages.refusals import parameter_problem
from arion_lib.web.problems import Problem
from arion_lib.web.scheduling.documents import (
    Adapt,
    Change,
    ErrorOf,
    Forgotten,
    FunctionOf,
    Health,
    ResultOf,
    Scale,
    Submission,
    TaskOf,
    Tasks,
    TaskWithHistory,
)
from arion_lib.web.scheduling.functions import ArgumentsError, UnknownFunctionError
from arion_lib.web.scheduling.tasks import (
    EndedError,
    KeyTakenError,
    Record,
    ScheduledTasks,
    UnfinishedError,
    UnknownTaskError,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Limit = Annotated[int, Query(ge=1, le=1_000, description="tasks a page")]
After = Annotated[int, Query(ge=0, description="number of the last task seen")]
States = Annotated[list[State], Query(description="only tasks in this state; may be given more than once")]
Id = Annotated[str, Path(alias="id", max_length=64, description="the task's id")]
Key = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        min_length=1,
        max_length=200,
        description="one of the caller's own: sent again with the same call, the task is the one that was made first",
    ),
]
Wait = Annotated[float, Query(ge=0, le=10, description="seconds to wait for the task's end before answering")]


def scheduler_pages(tasks: ScheduledTasks) -> APIRouter:
    """Make the router of the pages over `tasks`."""
    router = APIRouter(prefix="/scheduler", tags=["scheduler"])
    _submitting(router, tasks)
    _looking(router, tasks)
    _ending(router, tasks)
    _workers(router, tasks)
    _state(router, tasks)
    return router


def _submitting(router: APIRouter, tasks: ScheduledTasks) -> None:
    @router.get("/functions")
    def functions() -> list[FunctionOf]:
        """List the functions that may be run, and what each takes."""
        return [FunctionOf(name=f.name, about=f.about, arguments=f.schema) for f in tasks.functions.all.values()]

    @router.post("/tasks", status_code=202)
    def submit(submission: Submission, response: Response, key: Key = None) -> TaskOf:
        """Hand in a task. The answer does not wait for it: its address is in `location`.

        A caller that got no answer sends it again with the same `idempotency-key`: it is run once. What was handed in
        ends with the service, as `durable` says.
        """
        options = submission.options.model_dump(exclude_unset=True, exclude_none=True)
        try:
            record = tasks.submit(submission.function, submission.arguments, options, key)
        except UnknownFunctionError as error:
            raise Problem(404, *_halves(error), "see /scheduler/functions") from None
        except ArgumentsError as error:
            places = [{**one, "loc": ("body", "arguments", *one["loc"])} for one in error.errors]
            raise RequestValidationError(places) from None
        except UnknownTaskError as error:
            raise parameter_problem("options.after must be tasks that are kept", _halves(error)[1]) from None
        except KeyTakenError as error:
            raise Problem(422, *_halves(error), "draw another key for another call") from None
        except QueueFullError as error:
            do = "send it again later"
            raise Problem.of(429, "the queue must have room", error, do, headers={"retry-after": "1"}) from None
        except ShutDownError as error:
            raise _closing(error) from None
        response.headers["location"] = f"/scheduler/tasks/{record.id}"
        return _task_of(record)


def _looking(router: APIRouter, tasks: ScheduledTasks) -> None:
    @router.get("/tasks")
    def page(state: States = [], after: After = 0, limit: Limit = 100) -> Tasks:  # noqa: B006  read only
        """Page through the tasks that are kept, oldest first."""
        records = tasks.page(after, limit, state)
        query = [("after", records[-1].task.number), ("limit", limit)] if len(records) == limit else []
        following = urlencode([*(("state", str(one)) for one in state), *query])
        return Tasks(
            items=[_task_of(record) for record in records], next=f"/scheduler/tasks?{following}" if query else None
        )

    @router.get("/tasks/{id}")
    def status(identity: Id) -> TaskWithHistory:
        """Tell where a task stands, and each change so far."""
        record = _found(tasks, identity)
        offset = _epoch()
        changes = [
            Change(at=one.time + offset, state=one.state, attempt=one.attempt, worker=one.worker, error=one.error)
            for one in record.task.history()
        ]
        progress = tasks.progress(record.task.number)
        return TaskWithHistory(**_task_of(record).model_dump(), history=changes, progress=progress)

    @router.get("/tasks/{id}/result", responses={202: {"model": ResultOf, "description": "not ended yet"}})
    async def result(identity: Id, response: Response, wait: Wait = 0.0) -> ResultOf:
        """Fetch what a task gave, a value or an error; 202 when it has not ended (within `wait` seconds)."""
        record = _found(tasks, identity)
        task = record.task
        if not task.done():
            await _ended(task, wait)
        if not task.done():
            response.status_code, response.headers["retry-after"] = 202, "1"
            return ResultOf(id=record.id, state=task.status())
        return await asyncio.to_thread(_result_of, record)  # a large value takes its time to be unpickled


def _ending(router: APIRouter, tasks: ScheduledTasks) -> None:
    @router.post("/tasks/{id}/cancel")
    def cancel(identity: Id) -> TaskOf:
        """Cancel a task, waiting or running, and with it those that come after it."""
        _found(tasks, identity)
        try:
            return _task_of(tasks.cancel(identity))
        except EndedError as error:
            raise HTTPException(409, str(error)) from None

    @router.delete("/tasks/{id}", status_code=204)
    def forget(identity: Id) -> None:
        """Forget a task that has ended, and its result."""
        _found(tasks, identity)
        try:
            tasks.forget(identity)
        except UnfinishedError as error:
            raise HTTPException(409, str(error)) from None

    @router.delete("/tasks")
    def forget_all(state: States = []) -> Forgotten:  # noqa: B006  read only
        """Forget all tasks that have ended, or those that ended in a state."""
        return Forgotten(forgotten=tasks.forget_all(state))


def _workers(router: APIRouter, tasks: ScheduledTasks) -> None:
    @router.get("/workers")
    def workers() -> list[WorkerStatus]:
        """Tell what each worker does."""
        return list(tasks.status().workers)

    @router.put("/workers")
    def scale(wanted: Scale) -> list[LaneStatus]:
        """Have more workers or fewer; one that runs a task ends it first."""
        _check_workers(wanted.workers, tasks)
        with _opened():
            tasks.scheduler().scale(wanted.workers, wanted.lane)
        return list(tasks.status().lanes)

    @router.put("/adapt")
    def adapt(wanted: Adapt) -> list[LaneStatus]:
        """Let the number of worker processes follow the queue, within bounds."""
        if wanted.minimum > wanted.maximum:
            raise parameter_problem(f"minimum must be at most maximum ({wanted.maximum})", str(wanted.minimum))
        _check_workers(wanted.maximum, tasks)
        with _opened():
            tasks.scheduler().adapt(wanted.minimum, wanted.maximum, wanted.target)
        return list(tasks.status().lanes)


def _check_workers(wanted: int, tasks: ScheduledTasks) -> None:
    if wanted > tasks.most_workers:
        must = f"workers must be <= {tasks.most_workers}, what the service was started with"
        raise Problem(422, must, str(wanted), "start it with more --workers")


def _state(router: APIRouter, tasks: ScheduledTasks) -> None:
    @router.get("/status")
    def status() -> Snapshot:
        """Show the whole scheduler at this moment: `python -m arion_lib top` draws it."""
        return tasks.status()

    @router.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Show the scheduler's figures as Prometheus reads them; /metrics has them beside the others."""
        return Response(prometheus(tasks.status), media_type=CONTENT_TYPE)

    @router.get("/health", responses={503: {"model": Health}})
    def health(response: Response) -> Health:
        """Say whether tasks are run."""
        found = _health(tasks)
        response.status_code = 503 if found.status == "down" else 200
        return found


def _health(tasks: ScheduledTasks) -> Health:
    if tasks.state != "open":
        status: Literal["ok", "down"] = "down" if tasks.state == "closed" else "ok"
        return Health(status=status, detail=f"the scheduler is {tasks.state}")
    shown = tasks.status()
    stuck = [lane.name for lane in shown.lanes if lane.queued and lane.size and not lane.workers]
    if stuck:
        return Health(status="degraded", detail=f"tasks wait and no worker is there: {', '.join(stuck)}")
    return Health(
        status="ok", detail=f"workers: {len(shown.workers)}; tasks waiting: {shown.ready}, running: {shown.running}"
    )


def _found(tasks: ScheduledTasks, identity: str) -> Record:
    try:
        return tasks.find(identity)
    except UnknownTaskError as error:
        raise Problem(404, *_halves(error), "see /scheduler/tasks") from None


def _halves(error: KeyError | ValueError) -> tuple[str, str]:
    """Divide `rule, got value`, the house form of an error."""
    must, _, got = str(error.args[0]).partition(", got ")
    return must, got


def _closing(error: ShutDownError) -> Problem:
    return Problem.of(503, "the scheduler must be open", error, "ask again later", headers={"retry-after": "5"})


@contextlib.contextmanager
def _opened() -> Any:
    try:
        yield
    except ShutDownError as error:
        raise _closing(error) from None


def _epoch() -> float:
    """What to add to `time.monotonic()` for seconds since the epoch."""
    return time.time() - time.monotonic()


def _task_of(record: Record) -> TaskOf:
    task = record.task
    last = task.history()[-1]
    return TaskOf(
        id=record.id,
        number=task.number,
        name=task.name,
        function=record.function,
        state=last.state,
        submitted=record.submitted,
        changed=last.time + _epoch(),
        attempt=last.attempt,
        worker=last.worker,
        error=last.error,
    )


async def _ended(task: Task[Any], seconds: float) -> None:
    """Wait until the task has ended, for so many seconds at most. (`wrap_future` would cancel it with the request.)"""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop that waited may be closed by now
            loop.call_soon_threadsafe(ended.set)

    task.add_done_callback(tell)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ended.wait()


def _result_of(record: Record) -> ResultOf:
    task, state = record.task, record.task.status()
    if state is State.CANCELLED:
        return ResultOf(id=record.id, state=state, error=ErrorOf(kind="CancelledError", message="cancelled"))
    error = task.exception(0)
    if error is not None:
        return ResultOf(id=record.id, state=state, error=ErrorOf(kind=type(error).__name__, message=str(error)))
    try:
        value = to_jsonable_python(task.result(0), inf_nan_mode="null")
    except (PydanticSerializationError, UnicodeDecodeError) as failure:
        do = "have the registered function return what JSON has"
        raise Problem.of(500, "the result must be JSON", failure, do) from None
    return ResultOf(id=record.id, state=state, value=value)
