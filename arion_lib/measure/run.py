"""Measure one function: its memory, its throughput, or both.

Idea        Two questions, two runs: how much memory is read by watching, how fast by leaving alone.
Invariant   Each run is a fresh process whose baseline is taken after imports, `setup` and a garbage collection.
When wrong  See `arion_lib.measure.fresh`: exceptions pass through; `ChildDied`.
See         notebooks/1_streaming_pipeline.ipynb · tests/measure/test_run.py

    from arion_lib.measure import measure, measure_memory, measure_throughput, tick

    def naive(path):                     # a cell's function, a lambda or a library's: anything callable
        for chunk in read(path):
            tick(len(chunk))             # counts while measured, does nothing elsewhere

    memory = measure_memory(naive, path)                    # Memory(peak +512 MB over 24.0 MB, 1.73 s, 172 samples)
    speed = measure_throughput(naive, path, unit="B")       # Throughput(60.1 MB/s: 100 MB in 1.66 s)
    both = measure(naive, path, unit="B")                   # two runs
    memory.peak, memory.samples, speed.rate, both.value     # bytes, (seconds, bytes), per second, what naive returned
"""

from __future__ import annotations

from collections.abc import Callable

from arion_lib.measure.fresh import run
from arion_lib.measure.results import Measurement, Memory, Throughput

Measured = Callable[..., object]
"""What can be measured."""


def measure_memory(fn: Measured, *args: object) -> Memory:
    """Run `fn(*args)` in a fresh process and return how its memory grew, its children's included.

    The peak is exact on Linux, the largest of the samples taken every 10 ms elsewhere and for children.

    Raises what `fn` raises, or `ChildDied` when the process ends without a result.
    Cost: about 0.2 s beyond the work. A returned value is sent back up to 16 MiB.
    """
    seen = run(_function(fn), args, watch="memory")
    sampled = max((growth for _, growth in seen.samples), default=0)
    peak = max(sampled, seen.done.peak or 0, 0)
    return Memory(peak, seen.baseline, seen.done.seconds, seen.samples, seen.done.peak is not None, seen.returned)


def measure_throughput(fn: Measured, *args: object, unit: str = "") -> Throughput:
    """Run `fn(*args)` in a fresh process and return how much it counted with `tick`, and how fast.

    `unit` names what `tick` counts: `"B"` for bytes, or a word such as `"records"`. The rest as in `measure_memory`,
    but nobody reads the process's memory in this run.
    """
    seen = run(_function(fn), args, watch="count")
    return Throughput(seen.done.seconds, seen.done.count, unit, seen.samples, seen.returned)


def measure(fn: Measured, *args: object, unit: str = "") -> Measurement:
    """Measure memory and throughput of `fn(*args)` in two separate fresh processes."""
    return Measurement(measure_memory(fn, *args), measure_throughput(fn, *args, unit=unit))


def _function(fn: Measured) -> Callable[..., object]:
    if not callable(fn):
        raise TypeError(f"fn must be callable, got {type(fn).__name__}")
    return fn
