"""Measure one function: its memory, its throughput, or both.

Idea        Two questions, two runs: how much memory is read by watching, how fast by leaving alone.
Invariant   Each run is a fresh process whose baseline is taken after imports, `setup` and a garbage collection.
When wrong  See `arion_lib.measure.fresh`: exceptions pass through; `TimeLimit`, `MemoryLimit`, `ChildDied`.
See         notebooks/1_streaming_pipeline.ipynb · tests/measure/test_run.py

    from arion_lib.measure import measure, measure_memory, measure_throughput, tick

    def naive(path):                     # a cell's function, a lambda or a library's: anything callable
        for chunk in read(path):
            tick(len(chunk))             # counts while measured, does nothing elsewhere

    memory = measure_memory(naive, path)                    # Memory(peak +512 MB over 24.0 MB, 1.73 s, 172 samples)
    speed = measure_throughput(naive, path, unit="B")       # Throughput(60.1 MB/s: 100 MB in 1.66 s)
    both = measure(naive, path, unit="B", limit=2e9)        # two runs; stops a run at 2 GB of growth
    memory.peak, memory.samples, speed.rate, both.value     # bytes, (seconds, bytes), per second, what naive returned
"""

from __future__ import annotations

from collections.abc import Callable

from arion_lib.measure.fresh import Run, run
from arion_lib.measure.limits import Bounds
from arion_lib.measure.results import Measurement, Memory, Throughput

Measured = Callable[..., object]
"""What can be measured."""


def measure_memory(
    fn: Measured,
    *args: object,
    setup: Callable[[], object] | None = None,
    timeout: float | None = None,
    limit: float | None = None,
) -> Memory:
    """Run `fn(*args)` in a fresh process and return how its memory grew, its children's included.

    `setup()` runs first, uncounted: import and warm up there what shall not count. `timeout` (seconds, from the call)
    and `limit` (bytes over the baseline) end the run early. The peak is exact on Linux, the largest of the samples
    taken every 10 ms elsewhere and for children.

    Raises what `fn` raises, `TimeLimit` (a `TimeoutError`), `MemoryLimit` (a `MemoryError`), or `ChildDied` when
    the process ends without a result.
    Cost: about 0.2 s beyond the work. A returned value is sent back up to 16 MiB.
    """
    seen = run(_function(fn), args, setup, Bounds(timeout, limit), watch="memory")
    return _memory(seen)


def measure_throughput(
    fn: Measured,
    *args: object,
    unit: str = "",
    setup: Callable[[], object] | None = None,
    timeout: float | None = None,
) -> Throughput:
    """Run `fn(*args)` in a fresh process and return how much it counted with `tick`, and how fast.

    `unit` names what `tick` counts: `"B"` for bytes, or a word such as `"records"`. The rest as in `measure_memory`,
    but nobody reads the process's memory in this run.
    """
    seen = run(_function(fn), args, setup, Bounds(timeout), watch="count")
    return Throughput(seen.done.seconds, seen.done.count, unit, seen.samples, seen.returned)


def measure(
    fn: Measured,
    *args: object,
    unit: str = "",
    setup: Callable[[], object] | None = None,
    timeout: float | None = None,
    limit: float | None = None,
) -> Measurement:
    """Measure memory and throughput of `fn(*args)` in two separate fresh processes; each has the whole `timeout`."""
    memory = measure_memory(fn, *args, setup=setup, timeout=timeout, limit=limit)
    return Measurement(memory, measure_throughput(fn, *args, unit=unit, setup=setup, timeout=timeout))


def _memory(seen: Run) -> Memory:
    sampled = max((growth for _, growth in seen.samples), default=0)
    peak = max(sampled, seen.done.peak or 0, 0)
    return Memory(peak, seen.baseline, seen.done.seconds, seen.samples, seen.done.peak is not None, seen.returned)


def _function(fn: Measured) -> Callable[..., object]:
    if not callable(fn):
        raise TypeError(f"fn must be callable, got {type(fn).__name__}")
    return fn
