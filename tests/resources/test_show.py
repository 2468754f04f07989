"""What is shown: the table, the timeline, and the formats of other tools."""

from __future__ import annotations

import pytest

from arion_lib.resources import Resources, resource
from arion_lib.resources.monitoring.exporters import export_spans, prometheus
from tests.resources.probes import MODES, BodyError, Log, manager, pass_time, run


def ended(mode: str = "sync") -> Resources:
    """A manager of three, whose second failed to close."""

    def late(_: Resources) -> None:
        pass_time()
        raise BodyError

    log = Log()
    managed = manager(
        mode,
        db=log.probe("db"),
        api=resource(log.probe("api", on_close=ValueError("late")), after=["db"]),
        gone=resource(log.probe("gone", on_open=OSError("down")), optional=True),
    )
    with pytest.raises(BodyError):
        run(mode, managed, late)
    return managed


@pytest.mark.parametrize("mode", MODES)
def test_the_timeline_has_each_life_in_its_order(mode: str) -> None:
    spans = ended(mode).timeline()
    assert [kind for _, _, kind in spans["db"]] == ["acquire", "hold", "release"]
    assert [kind for _, _, kind in spans["api"]] == ["acquire", "hold", "failed"]
    assert [kind for _, _, kind in spans["gone"]] == ["failed"]
    for row in spans.values():
        assert all(began <= end for began, end, _ in row)
    assert spans["db"][0][1] <= spans["api"][0][1]
    assert spans["db"][2][0] >= spans["api"][2][0]


@pytest.mark.parametrize("mode", MODES)
def test_an_acquisition_that_fails_lasts_as_long_as_it_took(mode: str) -> None:
    def fails() -> None:
        pass_time(0.02)
        raise OSError("down")

    slow_and_failing = manager(mode, slow=Log().probe("slow", hooks={"open": fails}))
    with pytest.raises(OSError, match="down"):
        run(mode, slow_and_failing)
    ((began, end, kind),) = slow_and_failing.timeline()["slow"]
    assert kind == "failed"
    assert end - began >= 0.02


def test_only_the_last_entry_is_drawn_unless_another_is_asked_for() -> None:
    managed = manager("sync", a=Log().probe("a"))
    for _ in range(2):
        run("sync", managed)
    assert len(managed.timeline()["a"]) == 3
    assert managed.timeline(1).keys() == {"a"}
    assert manager("sync", a=Log().probe("a")).timeline() == {}


def test_the_table_has_a_row_a_resource_and_escapes() -> None:
    html = ended()._repr_html_()
    assert html.count("<tr>") == 4
    assert "1 x release" in html
    assert "<Resources" not in html
    assert "&lt;Resources closed: db, api, gone&gt;" in html


def test_prometheus_can_read_the_figures() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    families = {f.name: f for f in parser.text_string_to_metric_families(prometheus(ended()))}
    samples = {
        (s.name, s.labels["resource"], s.labels.get("phase"), s.labels.get("quantile")): s.value
        for family in families.values()
        for s in family.samples
    }
    assert samples["arion_resource_acquisitions_total", "db", None, None] == 1
    assert samples["arion_resource_failures_total", "api", "release", None] == 1
    assert samples["arion_resource_seconds_count", "db", "hold", None] == 1
    assert samples["arion_resource_open", "db", None, None] == 0
    assert samples["arion_resource_seconds", "db", "hold", "0.95"] > 0


def test_opentelemetry_gets_a_span_a_resource_with_its_steps_inside() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    processor = pytest.importorskip("opentelemetry.sdk.trace.export").SimpleSpanProcessor
    memory, provider = export.InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(processor(memory))
    assert export_spans(ended(), provider.get_tracer("test")) == 10
    spans = {span.name: span for span in memory.get_finished_spans()}
    assert spans["hold db"].parent.span_id == spans["db"].context.span_id
    assert spans["db"].start_time <= spans["acquire db"].start_time <= spans["hold db"].end_time <= spans["db"].end_time
    assert not spans["failed api"].status.is_ok
    assert spans["api"].attributes["arion.scope"] == "Resources"
    provider.shutdown()
