"""The control of the queue's tests: a queue as it is written first, which deletes a message when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from arion_lib.pipeline.broker import BrokerStatus, Claim
from arion_lib.pipeline.queues import frames


class NaiveQueue:
    """Publishes by writing into the folder that consumers read, claims by deleting."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._count = 0

    def publish(self, stream: str, messages: Sequence[bytes], ids: Sequence[str] | None = None) -> None:
        self._count += 1
        (self.path / f"{self._count:020d}").write_bytes(frames.encode((stream.encode(), *messages)))

    def claim(self, limit: int = 1, timeout: float | None = 0.0) -> Claim | None:
        for path in sorted(self.path.iterdir()):
            stream, *messages = frames.decode(path.read_bytes())
            path.unlink()
            return Claim(path.name, stream.decode(), messages, 1)
        return None

    def ack(self, claim: Claim) -> bool:
        return True

    def nack(self, claim: Claim) -> bool:
        return False

    def status(self) -> BrokerStatus:
        return BrokerStatus(len(list(self.path.iterdir())), 0, 0)

    def ping(self) -> None:
        pass

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
