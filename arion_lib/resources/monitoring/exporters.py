"""Figures and lives in the formats of other tools: Prometheus text, OpenTelemetry spans.

Idea        Both are read off what a manager keeps anyway, so exporting costs nothing while resources open and close.
Invariant   Nothing is imported or opened until it is asked for; label values are escaped.
When wrong  Without OpenTelemetry installed, `export_spans` is a ModuleNotFoundError that names it.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_show.py
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from arion_lib.resources.entry import clock
from arion_lib.resources.monitoring.timeline import timeline

if TYPE_CHECKING:
    from arion_lib.resources.manager import Resources

_METRICS = (
    ("arion_resource_acquisitions_total", "counter", "How often a resource was acquired."),
    ("arion_resource_open", "gauge", "How many are open now."),
    ("arion_resource_failures_total", "counter", "Failures by phase."),
    ("arion_resource_seconds", "summary", "Time to acquire, held, to release."),
)


def prometheus(*managers: Resources) -> str:
    """Write the managers' figures in Prometheus' text format, version 0.0.4."""
    samples: dict[str, list[str]] = {name: [] for name, _, _ in _METRICS}
    for manager in managers:
        for metric, line in _samples(manager):
            samples[metric].append(line)
    return "".join(
        f"# HELP {name} {told}\n# TYPE {name} {kind}\n" + "".join(f"{line}\n" for line in samples[name])
        for name, kind, told in _METRICS
    )


def _samples(manager: Resources) -> Iterator[tuple[str, str]]:
    for resource, figures in manager.snapshot().items():
        label = f'scope="{_escaped(manager.label)}",resource="{_escaped(resource)}"'
        yield (
            "arion_resource_acquisitions_total",
            f"arion_resource_acquisitions_total{{{label}}} {figures.acquisitions}",
        )
        yield "arion_resource_open", f"arion_resource_open{{{label}}} {figures.open}"
        for phase, number in figures.failures.items():
            yield "arion_resource_failures_total", f'arion_resource_failures_total{{{label},phase="{phase}"}} {number}'
        for phase in ("acquire", "hold", "release"):
            timing = getattr(figures, phase)
            of = f'{label},phase="{phase}"'
            for quantile, value in (("0.5", timing.p50), ("0.95", timing.p95), ("0.99", timing.p99)):
                if value is not None:
                    yield "arion_resource_seconds", f'arion_resource_seconds{{{of},quantile="{quantile}"}} {value:.9g}'
            total = (timing.mean or 0.0) * timing.count
            yield "arion_resource_seconds", f"arion_resource_seconds_sum{{{of}}} {total:.9g}"
            yield "arion_resource_seconds", f"arion_resource_seconds_count{{{of}}} {timing.count}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def export_spans(manager: Resources, tracer: Any = None) -> int:
    """Hand the last entry's lives to OpenTelemetry: a span a resource, inside it its acquire, hold and release.

    `tracer` is an OpenTelemetry tracer; without one, that of the global provider. Returns the number of spans.
    """
    from opentelemetry import trace

    tracer = tracer or trace.get_tracer("arion_lib.resources")
    events = manager.events()
    if not events:
        return 0
    mine = [event for event in events if event.entry == events[-1].entry]
    start = time.time() - clock() + min(event.at - event.seconds for event in mine)
    count = 0
    for name, spans in timeline(mine).items():
        attributes = {"arion.resource": name, "arion.scope": manager.label}
        life = tracer.start_span(name, start_time=_ns(start + spans[0][0]), attributes=attributes)
        context = trace.set_span_in_context(life)
        for began, ended, kind in spans:
            step = tracer.start_span(f"{kind} {name}", context, start_time=_ns(start + began), attributes=attributes)
            if kind == "failed":
                step.set_status(trace.StatusCode.ERROR)
            step.end(_ns(start + ended))
        life.end(_ns(start + spans[-1][1]))
        count += 1 + len(spans)
    return count


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
