"""What a manager tells about itself: health, figures, events, timeline.

Idea        Everything that is asked of a manager without opening or closing anything.
Invariant   Asking changes nothing; figures and events outlast the block.
When wrong  A health check that raises is that resource's answer; one that needs an open block says so where none is.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_health.py · tests/resources/test_metrics.py
"""

from __future__ import annotations

from typing import Any

from arion_lib.resources.monitoring.events import Event, Journal
from arion_lib.resources.monitoring.health import Health, acheck_all, check_all
from arion_lib.resources.monitoring.metrics import Figures, Meter
from arion_lib.resources.monitoring.show import table_html
from arion_lib.resources.monitoring.timeline import Span, timeline
from arion_lib.resources.plan import Plan


class Accounts:
    """A manager as far as it can be asked."""

    _label: str
    _plan: Plan
    _meters: dict[str, Meter]
    _journal: Journal

    def _open_entry(self) -> Any:
        """The block that is open; ResourceError when none is."""
        raise NotImplementedError

    def check(self) -> dict[str, Health]:
        """Ask every open resource's health check; what a check raises is its answer."""
        return check_all(self._open_entry())

    async def acheck(self) -> dict[str, Health]:
        """The same where checks are asynchronous."""
        return await acheck_all(self._open_entry())

    def snapshot(self) -> dict[str, Figures]:
        """The figures of every resource, over all entries so far; what a class declares, over all its managers."""
        return {name: meter.figures() for name, meter in list(self._meters.items())}  # other threads may add some

    def events(self) -> list[Event]:
        """The last 10,000 events, oldest first."""
        return list(self._journal)

    def timeline(self, entry: int | None = None) -> dict[str, list[Span]]:
        """The last entry (or the one with that number) as (start, end, kind) in seconds for each resource."""
        return timeline(self._journal, entry)

    @property
    def label(self) -> str:
        """What the log calls this manager: its scope."""
        return self._label

    @property
    def only_async(self) -> str:
        """The name of a resource that only `async with` can open; empty when `with` will do."""
        return self._plan.only_async

    def _repr_html_(self) -> str:
        return table_html(repr(self), self.snapshot())
