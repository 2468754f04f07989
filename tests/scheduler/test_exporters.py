"""A scheduler's figures as Prometheus reads them."""

from __future__ import annotations

import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.monitoring.exporters import ENDED, SchedulerCollector, prometheus
from arion_lib.scheduler.monitoring.snapshot import LaneStatus, Snapshot, Spread, WorkerStatus

client = pytest.importorskip("prometheus_client")


def snapshot(name: str = "jobs", **changes: object) -> Snapshot:
    workers = (
        WorkerStatus(1, "processes", "running", pid=11, task="resize", age=2.0, done=4, cpu=98.0, rss=30_000_000),
        WorkerStatus(2, "processes", "running", pid=12, task="resize", age=1.0, done=3, cpu=50.0, rss=20_000_000),
        WorkerStatus(3, "processes", "starting", pid=13),
    )
    values: dict[str, object] = {
        "name": name,
        "uptime": 60.0,
        "lanes": (
            LaneStatus("processes", 3, workers, {0: 5, 9: 1}, running=2, restarts=7),
            LaneStatus("threads", 16, (), {}, running=0, restarts=0),
        ),
        "pending": 2,
        "ready": 6,
        "running": 2,
        "succeeded": 7,
        "failed": 3,
        "cancelled": 1,
        "timed_out": 4,
        "quarantined": 1,
        "retries": 5,
        "window": 10.0,
        "throughput": 0.7,
        "utilisation": 0.5,
        "waiting": Spread(10, 0.001, 0.01, 0.02, 0.5),
        "running_time": Spread(),
    }
    return Snapshot(**{**values, **changes})  # type: ignore[arg-type]


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read the text as Prometheus does."""
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(text: str, name: str, **labels: str) -> float | None:
    return samples(text).get((f"arion_scheduler_{name}", frozenset({"scheduler": "jobs", **labels}.items())))


def test_prometheus_can_read_the_figures() -> None:
    text = prometheus(snapshot)
    assert {state: value(text, "tasks_total", state=state) for state in ENDED} == {
        "succeeded": 7,
        "failed": 3,
        "cancelled": 1,
        "timed_out": 4,
        "quarantined": 1,
    }
    assert value(text, "unfinished_tasks", state="ready") == 6
    assert value(text, "queued_tasks", lane="processes", priority="9") == 1
    assert value(text, "workers", lane="processes", state="running") == 2
    assert value(text, "workers", lane="processes", state="starting") == 1
    assert value(text, "wanted_workers", lane="processes") == 3
    assert value(text, "busy_workers", lane="processes") == 2
    assert value(text, "worker_restarts_total", lane="processes") == 7
    assert value(text, "waiting_seconds", quantile="0.95") == 0.01
    assert value(text, "utilisation_ratio") == 0.5
    assert value(text, "workers_resident_bytes", lane="processes") == 50_000_000
    assert value(text, "workers_cpu_percent", lane="processes") == 148.0


@pytest.mark.usefixtures("no_leaks")
def test_a_real_schedulers_totals_are_those_of_its_tasks() -> None:
    with Scheduler(1, name="jobs") as scheduler:
        assert scheduler.submit(pow, 2, 5).result(20) == 32
        assert scheduler.submit(int, "x").exception(20)
        assert scheduler.wait_idle(20)
        text = prometheus(scheduler.status)
    told = {state: value(text, "tasks_total", state=state) for state in ENDED}
    assert told == {"succeeded": 1, "failed": 1, "cancelled": 0, "timed_out": 0, "quarantined": 0}
    assert value(text, "wanted_workers", lane="processes") == 1
    assert value(text, "worker_restarts_total", lane="processes") == 0


def test_what_cannot_be_told_is_left_out_and_never_zero() -> None:
    text = prometheus(snapshot)
    assert "run_seconds" not in text
    assert value(text, "workers_resident_bytes", lane="threads") is None
    told = prometheus(lambda: snapshot(running_time=Spread(1, 0.25, 0.25, 0.25, 0.25)))
    assert value(told, "run_seconds", quantile="0.5") == 0.25


def test_a_name_with_quotes_and_line_ends_is_escaped() -> None:
    name = 'a "quoted"\nname\\'
    text = prometheus(lambda: snapshot(name=name))
    assert {dict(labels)["scheduler"] for _, labels in samples(text)} == {name}


def test_two_schedulers_share_the_families_and_differ_by_their_label() -> None:
    text = prometheus(lambda: snapshot("one"), lambda: snapshot("two"))
    assert text.count("# TYPE arion_scheduler_tasks_total counter") == 1
    assert {dict(labels)["scheduler"] for _, labels in samples(text)} == {"one", "two"}


def test_the_number_of_series_does_not_follow_the_workers() -> None:
    def crowd(size: int) -> Snapshot:
        workers = tuple(WorkerStatus(n, "processes", "idle", rss=1) for n in range(size))
        return snapshot(lanes=(LaneStatus("processes", size, workers, {}, 0, 0),))

    assert len(samples(prometheus(lambda: crowd(1)))) == len(samples(prometheus(lambda: crowd(100))))


def test_a_registry_takes_a_snapshot_only_when_it_is_scraped() -> None:
    taken = []

    def status() -> Snapshot:
        taken.append(1)
        return snapshot()

    registry = client.CollectorRegistry()
    registry.register(SchedulerCollector(status))
    assert not taken
    assert b"arion_scheduler_tasks_total" in client.generate_latest(registry)
    assert len(taken) == 1
