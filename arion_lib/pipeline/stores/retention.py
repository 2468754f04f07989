"""How long a store keeps things: a thread that prunes it now and then.

Idea        Nothing that a sender can make grow may grow for ever: ids are forgotten after a while, rows where one asks.
Invariant   A pruning is many small transactions; a commit never waits for more than one of them.
When wrong  A store that cannot is asked again at the next turn; an error is logged and ends nothing.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_retention.py
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from arion_lib.pipeline.store import Pruned, Store

log = logging.getLogger(__name__)

REMEMBERED = 30 * 86_400.0
"""Seconds that deliveries and event ids are remembered: senders repeat for days, not for months."""


class Retention:
    """Prune `store` at the start and then every so often, in a thread, from `with` to the end of the block.

    `keep` is the age in seconds at which rows and dead letters are forgotten (None: never), `own` the one of streams
    that have another (`math.inf`: never), `remember` the one of deliveries and event ids, `every` the seconds between
    two prunings.
    """

    def __init__(
        self,
        store: Store,
        *,
        keep: float | None = None,
        own: Mapping[str, float] = {},
        remember: float = REMEMBERED,
        every: float = 60.0,
    ) -> None:
        if min(every, remember, *own.values(), *(() if keep is None else (keep,))) <= 0:
            ages = f"{keep}, {dict(own)}, {remember} and {every}"
            raise ValueError(f"keep, own, remember and every must be > 0 seconds, got {ages}")
        self._store = store
        self._keep, self._own, self._remember, self._every = keep, dict(own), remember, every
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def prune(self) -> Pruned:
        """Prune now. Raises the store's errors."""
        return self._store.prune(
            deliveries=self._remember, ids=self._remember, rows=self._keep, dead=self._keep, own=self._own
        )

    def close(self) -> None:
        """End the thread after the pruning it is in; a second call does nothing."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.prune()
            except Exception:  # the thread's boundary: dead, it would let everything grow again
                log.warning("pruning failed and is tried again in %g s", self._every, exc_info=True)
            self._stopping.wait(self._every)
