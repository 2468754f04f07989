"""An exception on its way back: itself, its cause, and the worker's traceback as a note.

Idea        A traceback cannot travel, its text can: as a note it is shown wherever the exception is shown.
Invariant   What arrives can be raised: each exception is brought there and back before it leaves.
When wrong  An exception that does not survive the journey is told by a `NotTransferableError` with all of its text.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_failures.py
"""

from __future__ import annotations

import itertools
import pickle
import traceback
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple, TypeVar

from arion_lib.scheduler.calls.values import ValuePickler
from arion_lib.scheduler.errors import NotTransferableError

T = TypeVar("T")


class TaskInterrupted(BaseException):
    """Raised inside a running task that was cancelled or timed out: clean up and let it pass.

    A `BaseException`, so that `except Exception` does not swallow it; a task that does is killed after the grace time.
    """


class Failure(NamedTuple):
    """An exception on its way: as bytes, and in words for whoever only wants to tell of it."""

    data: bytes
    text: str
    classes: tuple[str, ...] = ()
    """The names of its classes, from its own to `BaseException`: what kind it is can be told without unpickling it."""

    def exception(self) -> BaseException:
        """Return the exception with its cause; one that cannot be had here is told by a `NotTransferableError`."""
        try:
            return _unpack(self.data)[0]
        except BaseException as error:  # noqa: BLE001  (unpickling may raise anything)
            lost = NotTransferableError(
                f"the task raised {self.text}; that exception cannot be unpickled here: {error}"
            )
            lost.__cause__ = error
            return lost


class Raised(NamedTuple):
    """An exception that was raised in this process, with the words that the raising thread found for it.

    To find them runs users' code (`__str__`), which the supervisor's thread must not.
    """

    error: BaseException
    text: str

    def exception(self) -> BaseException:
        """Return the exception."""
        return self.error


def is_one_of(error: BaseException | Failure | Raised, classes: tuple[type[BaseException], ...]) -> bool:
    """Whether an `except` of these classes would catch an error; runs no code of the error's own.

    >>> is_one_of(KeyError("a"), (LookupError,)), is_one_of(KeyError("a"), (ValueError,))
    (True, False)
    """
    if isinstance(error, Raised):
        error = error.error
    if not isinstance(error, Failure):
        return any(one is cls for one in type(error).__mro__ for cls in classes)  # as `except`: no metaclass is asked
    return not error.classes or any(_full_name(one) in error.classes for one in classes)


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def without_our_frame(error: BaseException) -> BaseException:
    """Cut the frame that caught an error off its traceback: it holds the task, and the task will hold the error."""
    traceback_ = error.__traceback__
    return error.with_traceback(traceback_.tb_next if traceback_ is not None else None)


def describe(error: BaseException) -> str:
    """Return an exception as one line; it never raises, whatever the exception's own `__str__` does.

    >>> describe(ValueError("no such row"))
    'ValueError: no such row'
    """
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  (an exception's __str__ may raise anything)
        return type(error).__name__


def brought_here(name: str, unpack: Callable[[], T]) -> T:
    """Return a result, unpickled. Raises `NotTransferableError` whatever that raises: it is users' code."""
    try:
        return unpack()
    except Exception as error:
        raise NotTransferableError(
            f"the result of task {name!r} came back but could not be unpickled here: {describe(error)}"
        ) from error


def pack_failure(error: BaseException, pid: int) -> Failure:
    """Make an exception ready to travel, with the worker's traceback as a note."""
    told = describe(error)
    classes = tuple(_full_name(one) for one in type(error).__mro__ if one is not object)
    note = f"In worker process {pid}:\n{_in_full(error)}"
    _add_note(error, note)
    chain = _chain(error)
    for links in (chain, chain[:1]):
        data = _survives(links)
        if data is not None:
            return Failure(data, told, classes)
    stand_in = NotTransferableError(
        f"the task raised {told}; that exception cannot be pickled: give its class a "
        "__reduce__, or call super().__init__ with all of its arguments"
    )
    stand_in.add_note(note)
    return Failure(pickle.dumps([(stand_in, dict(stand_in.__dict__))], 5), told, classes)


def _in_full(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error)).rstrip()
    except Exception:  # noqa: BLE001  (it asks an exception of any class for its attributes)
        return describe(error)


def _add_note(error: BaseException, note: str) -> None:
    """Add a note, whatever the class of the error thinks of new attributes: a frozen dataclass refuses them."""
    try:
        notes = getattr(error, "__notes__", None)
        BaseException.__setattr__(error, "__notes__", [*(notes if isinstance(notes, list) else ()), note])
    except Exception:  # noqa: BLE001  (the note is a help, not a promise)
        return


class _ExceptionPickler(ValuePickler):
    """Pickles exceptions as their classes say, whatever a library has registered for all of them.

    distributed registers a way that takes tracebacks and causes along, and not every exception survives it.
    """

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, BaseException):
            return super().reducer_override(obj)
        reduced = obj.__reduce_ex__(5)
        if type(reduced) is tuple and len(reduced) == 3 and reduced[2] is obj.__dict__:
            return reduced[:2]  # its attributes go beside it: a class may refuse to have them set
        return reduced


def _pickled(value: Any) -> bytes:
    file = BytesIO()
    _ExceptionPickler(file, 5, None).dump(value)
    return file.getvalue()


def _survives(links: list[BaseException]) -> bytes | None:
    """Return exceptions as bytes, or None when what comes back from these is not the same."""
    try:
        data = _pickled([(link, dict(link.__dict__)) for link in links])
        same = [type(one).__qualname__ for one in _unpack(data)] == [type(one).__qualname__ for one in links]
    except TaskInterrupted:
        raise
    except BaseException:  # noqa: BLE001  (an exception's own pickling code may do anything)
        return None
    return data if same else None


def _unpack(data: bytes) -> list[BaseException]:
    links: list[BaseException] = []
    for link, state in pickle.loads(data):
        link.__dict__.update(state)
        links.append(link)
    for link, cause in itertools.pairwise(links):
        BaseException.__setattr__(link, "__cause__", cause)  # its class may refuse attributes
    return links


def _chain(error: BaseException) -> list[Any]:
    chain: list[Any] = []
    link: BaseException | None = error
    while link is not None and link not in chain and len(chain) < 10:
        chain.append(link)
        link = link.__cause__
    return chain
