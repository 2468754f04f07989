"""An exception on its way back: itself, its cause, and the worker's traceback as a note.

Idea        A traceback cannot travel, its text can: as a note it is shown wherever the exception is shown.
Invariant   What arrives can be raised: each exception is brought there and back before it leaves.
When wrong  An exception that does not survive the journey is told by a `NotTransferableError` with all of its text.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_failures.py
"""

from __future__ import annotations

import pickle
import traceback
from typing import Any

from arion_lib.scheduler.errors import NotTransferableError
from arion_lib.scheduler.values import pack


class TaskInterrupted(BaseException):
    """Raised inside a running task that was cancelled or timed out: clean up and let it pass.

    A `BaseException`, so that `except Exception` does not swallow it; a task that does is killed after the grace time.
    """


def pack_failure(error: BaseException, pid: int) -> bytes:
    """Return an exception as bytes, with the worker's traceback as a note."""
    text = "".join(traceback.format_exception(error)).rstrip()
    error.add_note(f"In worker process {pid}:\n{text}")
    chain = _chain(error)
    for links in (chain, chain[:1]):
        try:
            data = pack([(link, dict(link.__dict__)) for link in links], "exception").data
            _same_types(_unpack(data), links)
        except Exception:  # noqa: BLE001  (an exception's own pickling code may do anything)
            continue
        return data
    stand_in = NotTransferableError(
        f"the task raised {type(error).__name__}: {error}; that exception cannot be pickled: give its class a "
        "__reduce__, or call super().__init__ with all of its arguments"
    )
    stand_in.add_note(error.__notes__[-1])
    return pickle.dumps([(stand_in, dict(stand_in.__dict__))], 5)


def unpack_failure(data: bytes) -> BaseException:
    """Return the exception with its cause."""
    return _unpack(data)[0]


def _unpack(data: bytes) -> list[BaseException]:
    links: list[BaseException] = []
    for link, state in pickle.loads(data):  # noqa: S301  (our own worker wrote it)
        link.__dict__.update(state)
        links.append(link)
    for link, cause in zip(links, links[1:], strict=False):
        link.__cause__ = cause
    return links


def _same_types(got: list[BaseException], sent: list[BaseException]) -> None:
    if [type(one).__qualname__ for one in got] != [type(one).__qualname__ for one in sent]:
        raise TypeError("an exception came back as another")


def _chain(error: BaseException) -> list[Any]:
    chain: list[Any] = []
    link: BaseException | None = error
    while link is not None and link not in chain and len(chain) < 10:
        chain.append(link)
        link = link.__cause__
    return chain
