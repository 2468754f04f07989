"""The group commit, the same for every database: check, begin, compare, write, tell.

Idea        Many batches share one transaction, for it is the wait for the disk that costs.
Invariant   A batch is committed whole or refused whole; a refused one does not touch the others.
When wrong  Any other error rolls the whole group back; each batch may be committed again.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_store.py
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.queues.closing import Closing
from arion_lib.pipeline.stores.plan import Outcomes, Plan, admit, by_stream, check_all, delivery_ids


class Writing(Protocol):
    """A transaction that has begun: what it reads nobody else can change before it ends."""

    def deliveries(self, stream: str, ids: Sequence[str]) -> dict[str, Delivery]:
        """Return how far those of the deliveries have come of which the stream has any records, by their ids."""
        ...

    def seen(self, stream: str, ids: Sequence[str]) -> set[str]:
        """Return those of the event ids that the stream has had."""
        ...

    def letters(self, stream: str, seqs: Sequence[int]) -> set[int]:
        """Return those of the numbers under which the stream has a dead letter."""
        ...

    def write(self, stream: str, plan: Plan) -> None:
        """Write all of the plan."""
        ...


class GroupCommit(Closing):
    """What stores have in common; one of them says how a transaction begins, and how everything is closed."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    @abstractmethod
    def _begin(self, streams: Sequence[str]) -> AbstractContextManager[Writing]:
        """Begin a transaction that is alone in these streams, and commit it at the end of the block."""

    def commit(self, batch: Batch) -> int:
        """Make all of `batch` durable, or raise and leave nothing of it (see `Store.commit`)."""
        outcome = self.commit_all((batch,)).get(0, 0)
        if isinstance(outcome, ValueError):
            raise outcome
        return outcome

    def commit_all(self, batches: Iterable[Batch]) -> Outcomes:
        """Make several batches durable in one transaction; see `Store.commit_all` for what is returned."""
        outcomes: Outcomes = {}
        checked = check_all(batches, outcomes)
        plans: dict[str, Plan] = {}
        if checked:
            with self._begin(sorted({one.batch.stream for one in checked.values()})) as writing:
                # Read all at once: a question for each would cost a post as much as its row does.
                known = {stream: writing.deliveries(stream, ids) for stream, ids in delivery_ids(checked).items()}
                admitted = admit(checked, lambda stream, name: known[stream].get(name), writing.letters, outcomes)
                plans = by_stream(admitted, writing.seen, outcomes)
                for stream, plan in plans.items():
                    writing.write(stream, plan)
        if any(plan.messages for plan in plans.values()):
            for committed in tuple(self._listeners):
                committed()
        return outcomes

    def listen(self, committed: Callable[[], None]) -> Callable[[], None]:
        """Call `committed` after each commit of this object that left messages; the returned function ends that."""
        self._listeners.append(committed)
        return lambda: self._listeners.remove(committed)
