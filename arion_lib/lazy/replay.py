"""A shared replay buffer: what one reader pulled, every other reader finds.

Idea        Keep what was pulled, in order; a reader is a position in that list, and pulls only when it is at the end.
Invariant   Each element is pulled at most once, whoever asks, in whatever order, from however many threads; a partial
            read goes on where the furthest one stopped.
When wrong  The error that ended the pulling is raised again for every reader who comes that far: a broken cache never
            looks like a short one.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_replay.py
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from arion_lib.lazy.source import Windowed

T = TypeVar("T")


class Replay(Windowed[T], Generic[T]):
    """The elements of `upstream`, pulled once and kept. Costs the memory of what was pulled so far."""

    __slots__ = ("_failure", "_finished", "_iterator", "_kept", "_lock", "_upstream", "what")

    def __init__(self, upstream: Iterable[T], what: str = "") -> None:
        self.what = what
        self._upstream: Iterable[T] = upstream
        self._iterator: Iterator[T] | None = None
        self._kept: list[T] = []
        self._failure: BaseException | None = None
        self._finished = False
        self._lock = threading.RLock()  # re-entrant: a function of the pipeline may look into the cache it fills

    @property
    def kept(self) -> int:
        """How many elements have been pulled so far."""
        return len(self._kept)

    @property
    def finished(self) -> bool:
        """Whether the source has been read to its end."""
        return self._finished

    def head(self, n: int) -> list[T]:
        """Return the first `n` of the elements that are kept; pulls nothing."""
        return self._kept[:n]

    def __iter__(self) -> Iterator[T]:
        return iter(self._kept) if self._finished else self.window(0, None)

    def window(self, start: int, stop: int | None) -> Iterator[T]:
        """Iterate from `start` up to `stop`; pulls what is missing before `start` with the first element."""
        kept, at = self._kept, start
        while stop is None or at < stop:
            if at >= len(kept) and not self._grow_beyond(at):
                return
            yield kept[at]
            at += 1

    def _grow_beyond(self, at: int) -> bool:
        """Pull until there is an element `at`; return whether there is one."""
        with self._lock:
            while len(self._kept) <= at and not self._finished:
                self._pull()
            return len(self._kept) > at

    def _pull(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            if self._iterator is None:
                self._iterator, self._upstream = iter(self._upstream), ()
            self._kept.append(next(self._iterator))
        except StopIteration:
            self._finished, self._iterator = True, None
        except Exception as error:
            self._failure, self._iterator = error, None
            raise
        except (
            BaseException
        ) as error:  # Ctrl-C, say: the upstream generator is dead now, which must not look like its end
            self._failure, self._iterator = self._interrupted(error), None
            raise

    def _interrupted(self, error: BaseException) -> RuntimeError:
        return RuntimeError(
            f"the cached read was interrupted by {type(error).__name__} after {len(self._kept)} elements; "
            "call .cache() on the pipeline again"
        )
