"""A scheduler's figures in Prometheus' format: to be scraped by a server, or read in a notebook.

Idea        A collector reads one snapshot when it is asked: counting for Prometheus costs the tasks nothing.
Invariant   Totals only grow while a scheduler lives; the series follow lanes and priorities, never tasks or workers.
When wrong  A figure that cannot be told (no memory of a thread, no time of a task that never ran) is left out, never 0.
See         https://prometheus.io/docs/practices/naming · tests/scheduler/test_exporters.py
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.monitoring.snapshot import LaneStatus, Snapshot, Spread

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

ENDED = ("succeeded", "failed", "cancelled", "timed_out", "quarantined")
UNFINISHED = ("pending", "ready", "running")
QUANTILES = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"), ("1", "most"))


class SchedulerCollector:
    """Turns snapshots into metrics whenever a Prometheus registry asks; `*status` are the schedulers' methods.

        prometheus_client.REGISTRY.register(SchedulerCollector(scheduler.status))

    Every metric has the label `scheduler`, the scheduler's name; two schedulers in one registry need two names.
    """

    def __init__(self, *status: Callable[[], Snapshot]) -> None:
        self._status = status

    def describe(self) -> Iterable[Metric]:
        """Name no metric: a registry that is given a collector shall not take a snapshot for it."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Take a snapshot of each scheduler and yield its metrics."""
        families = _Families()
        for status in self._status:
            _tell(status(), families)
        yield from families


def prometheus(*status: Callable[[], Snapshot]) -> str:
    """Write the schedulers' figures as the text a Prometheus server scrapes: `print(prometheus(scheduler.status))`."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(SchedulerCollector(*status))
    return generate_latest(registry).decode()


class _Families:
    """The metrics of one answer, made when first added to: each name is told once, whatever the schedulers."""

    def __init__(self) -> None:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        self._kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
        self._found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._found.values())

    def add(self, kind: str, name: str, told: str, value: float | None, **labels: object) -> None:
        if value is None:
            return
        if name not in self._found:
            family: Any = self._kinds[kind]
            self._found[name] = family(f"arion_scheduler_{name}", told, labels=list(labels))
        self._found[name].add_metric([str(label) for label in labels.values()], value)


def _tell(shown: Snapshot, to: _Families) -> None:
    name = shown.name
    for state in ENDED:
        to.add("counter", "tasks", "tasks that ended, by state", getattr(shown, state), scheduler=name, state=state)
    for state in UNFINISHED:
        value = getattr(shown, state)
        to.add("gauge", "unfinished_tasks", "tasks not ended yet, by state", value, scheduler=name, state=state)
    to.add("counter", "retries", "attempts after a task's first", shown.retries, scheduler=name)
    to.add("gauge", "uptime_seconds", "age of the scheduler", shown.uptime, scheduler=name)
    busy = "share of the worker processes' time spent on tasks, lately"
    to.add("gauge", "utilisation_ratio", busy, shown.utilisation, scheduler=name)
    _spread("waiting_seconds", "from ready to running, lately", shown.waiting, name, to)
    _spread("run_seconds", "from start to end of an attempt, lately", shown.running_time, name, to)
    for lane in shown.lanes:
        _lane(lane, name, to)


def _spread(metric: str, told: str, spread: Spread, name: str, to: _Families) -> None:
    for quantile, field in QUANTILES:
        to.add("gauge", metric, told, getattr(spread, field), scheduler=name, quantile=quantile)


def _lane(lane: LaneStatus, name: str, to: _Families) -> None:
    labels = {"scheduler": name, "lane": lane.name}
    to.add("gauge", "wanted_workers", "workers that the lane should have", lane.size, **labels)
    for state, count in Counter(worker.state for worker in lane.workers).items():
        to.add("gauge", "workers", "workers by state", count, **labels, state=state)
    to.add("counter", "worker_restarts", "workers that were replaced", lane.restarts, **labels)
    to.add("gauge", "busy_workers", "workers that run a task", lane.running, **labels)
    for priority, count in sorted(lane.queued.items()):
        to.add("gauge", "queued_tasks", "tasks that wait for a worker", count, **labels, priority=priority)
    to.add("gauge", "workers_resident_bytes", "memory of the workers together", _sum(lane, "rss"), **labels)
    to.add("gauge", "workers_cpu_percent", "processor use, 100 is one core", _sum(lane, "cpu"), **labels)


def _sum(lane: LaneStatus, field: str) -> float | None:
    known = [value for worker in lane.workers if (value := getattr(worker, field)) is not None]
    return sum(known) if known else None
