"""The service's figures in Prometheus' format: the webhook's, and those of whoever else brings a collector.

Idea        A collector converts plain integers when it is asked, so that counting costs the hot route an addition.
Invariant   Every name ends in its unit; totals only grow while the server lives.
When wrong  A store that cannot be asked leaves its gauges out; the rest is shown.
See         https://prometheus.io/docs/practices/naming · tests/web/test_pipeline_pages.py
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from arion_lib.pipeline.store import StoreError
from arion_lib.web.service import PipelineService

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Figures(Collector):
    def __init__(self, service: PipelineService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        figures = self._service.webhook.figures
        for name, value, help_text in (
            ("accepted_records", figures.accepted, "records stored or counted"),
            ("duplicate_records", figures.duplicates, "records of deliveries that were stored before"),
            ("dead_letters", figures.dead, "records that could not be read"),
            ("received_bytes", figures.bytes, "bytes of bodies, as sent"),
        ):
            yield CounterMetricFamily(f"arion_webhook_{name}", help_text, value=value)
        answers = CounterMetricFamily("arion_webhook_answers", "answers by status", labels=["status"])
        for status, count in sorted(figures.answers.items()):
            answers.add_metric([str(status)], count)
        yield answers
        yield GaugeMetricFamily("arion_webhook_in_flight_posts", "posts being received or committed", figures.in_flight)
        spooled = "bytes of signed bodies that wait on disk to be verified"
        yield GaugeMetricFamily("arion_webhook_spooled_bytes", spooled, figures.spooled)
        yield from self._commits()
        yield from self._store()

    def _commits(self) -> Iterable[Metric]:
        commits = self._service.webhook.commits
        if commits:
            yield CounterMetricFamily("arion_commits", "transactions of the webhook", value=commits.figures.commits)
            yield CounterMetricFamily("arion_committed_batches", "batches in them", value=commits.figures.batches)
            yield GaugeMetricFamily("arion_waiting_batches", "batches that wait for a transaction", commits.waiting)

    def _store(self) -> Iterable[Metric]:
        try:
            status = self._service.store.status()
        except StoreError:
            return
        yield GaugeMetricFamily("arion_store_rows", "rows in the store", status.rows)
        yield GaugeMetricFamily("arion_store_bytes", "bytes of the store", status.bytes)
        yield GaugeMetricFamily("arion_outbox_messages", "messages that wait for the queue", status.outbox_messages)
        yield GaugeMetricFamily("arion_outbox_age_seconds", "age of the oldest of them", status.outbox_age)


def exposition(service: PipelineService, *others: Collector) -> bytes:
    """Return the page that a Prometheus server scrapes: the service's figures, then the other collectors'."""
    registry = CollectorRegistry()
    for collector in (_Figures(service), *others):
        registry.register(collector)
    return generate_latest(registry)
