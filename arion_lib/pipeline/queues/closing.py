"""What every queue and every store does at the end of a `with` block: it closes.

Idea        One place for the two methods that a block calls; a queue or a store says only what closing is.
Invariant   `close` is called once the block is over, whatever ended it; the block's error goes on.
When wrong  What `close` raises comes out of the block.
See         arion_lib/pipeline/broker.py · tests/pipeline/test_broker.py
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """What is closed by `with`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and files; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
