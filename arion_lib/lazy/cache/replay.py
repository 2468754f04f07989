"""A shared replay buffer: what one reader pulled, every other reader finds.

Idea        Keep what was pulled, in order; a reader is a position in that list, and pulls only when it is at the end.
Invariant   Each element is kept once, whoever asks, in whatever order, from however many threads; a partial read goes
            on where the furthest one stopped, and so does one after an error.
When wrong  The reader at the end gets the error. The next reader who comes that far reads upstream again, past what is
            kept; where upstream is one-shot, `RuntimeError` says so. A broken cache never looks like a short one.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_replay.py
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from arion_lib.lazy.source import SpentError, Windowed, waits
from arion_lib.units import how_many

T = TypeVar("T")

LABEL = 60
"""Characters that describe what a cache holds, at most."""


class Replay(Windowed[T], Generic[T]):
    """The elements of `upstream`, pulled once and kept. Costs the memory of what was pulled so far.

    It pickles as what it has kept and `upstream`, so that a copy goes on where this one stood; a finished one pickles
    without `upstream`, and can then not be emptied.
    """

    __slots__ = ("_failed", "_finished", "_iterator", "_kept", "_lock", "_upstream", "what")

    def __init__(self, upstream: Iterable[T] | None, what: str = "") -> None:
        self.what = what if len(what) <= LABEL else f"{what[: LABEL // 2 - 2]}...{what[-LABEL // 2 + 1 :]}"
        self._upstream = upstream  # none in a finished copy, which does not pull
        self._iterator: Iterator[T] | None = None
        self._kept: list[T] = []
        self._failed = ""  # what ended the last pull; the exception itself would keep its callers' variables alive
        self._finished = False
        self._lock = threading.RLock()  # re-entrant: a function of the pipeline may look into the cache it fills

    def __reduce__(self) -> tuple[Callable[..., Replay[T]], tuple[object, ...]]:
        with self._lock:
            upstream = None if self._finished else self._upstream
            return _restored, (upstream, self.what, list(self._kept), self._finished)

    @property
    def kept(self) -> int:
        """How many elements have been pulled so far."""
        return len(self._kept)

    @property
    def finished(self) -> bool:
        """Whether the source has been read to its end."""
        return self._finished

    @property
    def waits(self) -> bool:
        """Whether pulling waits for something outside the reader's thread."""
        return waits(self._upstream)

    def head(self, n: int) -> list[T]:
        """Return the first `n` of the elements that are kept; pulls nothing."""
        return self._kept[:n]

    def empty(self) -> None:
        """Forget what is kept: the next reader pulls from the start. A reader under way raises when it would pull.

        Raises `RuntimeError` where upstream was left behind with a pickled copy.
        """
        with self._lock:
            if self._upstream is None:
                raise RuntimeError(
                    "a cache must have its source to be refreshed, got a finished copy without; make it anew"
                )
            self._kept, self._iterator, self._failed, self._finished = [], None, "", False

    def __iter__(self) -> Iterator[T]:
        if self._finished:
            with self._lock:  # asked again: another thread may have emptied it meanwhile
                if self._finished:
                    return iter(self._kept)
        return self.window(0, None)

    def window(self, start: int, stop: int | None) -> Iterator[T]:
        """Iterate from `start` up to `stop`; pulls what is missing before `start` with the first element."""
        kept, at = self._kept, start
        while stop is None or at < stop:
            if at >= len(kept) and not self._grow_beyond(at, kept):
                return
            yield kept[at]
            at += 1

    def _grow_beyond(self, at: int, kept: list[T]) -> bool:
        """Pull until there is an element `at`; return whether there is one."""
        with self._lock:
            if kept is not self._kept:
                raise RuntimeError("the cache was refreshed while it was being read; read it again")
            while len(kept) <= at and not self._finished:
                self._pull()
            return len(kept) > at

    def _pull(self) -> None:
        try:
            if self._iterator is None:
                self._iterator = self._from_where_it_stood()
            self._kept.append(next(self._iterator))
        except StopIteration:
            self._finished, self._iterator = True, None
        except SpentError as error:
            if not self._failed:
                raise
            raise RuntimeError(
                f"a cache must have a source that can be read again after an error, got a one-shot one that ended "
                f"after {how_many(len(self._kept), 'elements')} with {self._failed}; call .cache() on a new one"
            ) from error
        except BaseException as error:  # Ctrl-C too: the upstream generator is dead, which must not look like its end
            self._failed, self._iterator = f"{type(error).__name__}: {error}", None
            raise

    def _from_where_it_stood(self) -> Iterator[T]:
        """Read upstream from the start, and leave out what is kept."""
        assert self._upstream is not None  # noqa: S101 - only a finished cache has none
        iterator = iter(self._upstream)
        again = sum(1 for _ in islice(iterator, len(self._kept)))
        if again < len(self._kept):
            raise RuntimeError(
                f"the source of a cache must give the same elements again, got {again} where {len(self._kept)} were "
                "read before; call .refresh()"
            )
        return iterator


def _restored(upstream: Iterable[T] | None, what: str, kept: list[T], finished: bool) -> Replay[T]:
    replay = Replay(upstream, what)
    replay._kept, replay._finished = kept, finished
    return replay
