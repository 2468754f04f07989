"""What the scheduler's pages take and give, as typed documents: a submission, a task, its result, a scale.

Idea        pydantic models: the bounds that a request must keep stand beside its members, and in the docs.
Invariant   A request with a member that nobody knows is refused; nothing in it is dropped silently.
When wrong  What does not fit is named by its whole place in the document: arion_lib.web.problems.py.
See         arion_lib/web/scheduling/pages.py · tests/web/test_scheduler_pages.py
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from arion_lib.scheduler import State

MOST_WORKERS = 64
LONGEST = 86_400.0
"""Seconds that a timeout, a deadline or a backoff may be."""

EXAMPLE: dict[str, Any] = {
    "function": "count_primes",
    "arguments": {"below": 1_000_000},
    "options": {"priority": 1, "timeout": 10},
}

Seconds = Annotated[float, Field(gt=0, le=LONGEST)]
Word = Annotated[str, Field(min_length=1, max_length=100)]
"""A tag, or a task's id: kept with the task, so that it must not be of any length."""
Size = Annotated[int, Field(ge=1, le=MOST_WORKERS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Wanted(_Strict):
    """How the task is to be run; what is left out is as the function declares it. Times are in seconds."""

    name: str | None = Field(
        default=None, min_length=1, max_length=200, description="its name in lists; else the function's"
    )
    priority: int = Field(default=0, ge=-1_000, le=1_000, description="higher runs sooner")
    after: list[Word] = Field(default=[], max_length=1_000, description="ids of tasks that must have succeeded first")
    if_dependency_fails: Literal["fail", "run"] = "fail"
    retries: int = Field(default=0, ge=0, le=100, description="more attempts; with any, a task may run more than once")
    backoff: float = Field(default=0, ge=0, le=LONGEST, description="before the second attempt; doubles with each")
    timeout: Seconds | None = Field(default=None, description="of one attempt")
    deadline: Seconds | None = Field(default=None, description="of all of it, from now")
    tags: list[Word] = Field(default=[], max_length=20)


class Submission(_Strict):
    """A call of a registered function: see /scheduler/functions."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    function: str
    arguments: dict[str, Any] = {}
    options: Wanted = Wanted()


class FunctionOf(BaseModel):
    """A registered function and the JSON Schema of its arguments."""

    name: str
    about: str
    arguments: dict[str, Any]


class TaskOf(BaseModel):
    """Where one task stands. Times are seconds since the epoch; `error` is what its last attempt ended with."""

    id: str
    number: int = Field(description="counts from 1 since the service was started; workers and lists show it")
    name: str
    function: str
    state: State
    submitted: float
    changed: float
    attempt: int
    worker: int | None
    error: str
    durable: Literal[False] = Field(
        default=False,
        description="it does not outlive the service: at a stop what waits is cancelled, what runs has 5 seconds",
    )


class Change(BaseModel):
    """One change of a task's state, at `at` seconds since the epoch."""

    at: float
    state: State
    attempt: int
    worker: int | None
    error: str


class TaskWithHistory(TaskOf):
    """Where one task stands, and how it came there."""

    history: list[Change]
    progress: tuple[float, float | None] | None = Field(
        default=None, description="what it has reported while it runs in a process or a thread: done, and of how much"
    )


class Tasks(BaseModel):
    """A page of tasks."""

    items: list[TaskOf]
    next: str | None


class ErrorOf(BaseModel):
    """What a task raised, or what ended it."""

    kind: str
    message: str


class ResultOf(BaseModel):
    """What a task gave. Until it has ended both are null; inf and nan, which JSON lacks, are null, too."""

    id: str
    state: State
    value: Any = None
    error: ErrorOf | None = None


class Forgotten(BaseModel):
    """How many tasks were forgotten."""

    forgotten: int


class Scale(_Strict):
    """How many workers a lane is to have."""

    workers: Size
    lane: Literal["processes", "threads"] = "processes"


class Adapt(_Strict):
    """Bounds within which the number of worker processes follows the queue: `target` seconds of work for each."""

    minimum: Size
    maximum: Size
    target: Seconds = 1.0


class Health(BaseModel):
    """Whether tasks are run (`ok`), wait for workers that are not there (`degraded`) or are refused (`down`)."""

    status: Literal["ok", "degraded", "down"]
    detail: str
