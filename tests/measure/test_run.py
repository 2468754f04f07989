"""Memory and throughput of one function."""

from __future__ import annotations

import collections
import gc
import json
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import psutil
import pytest

from arion_lib.measure import measure, measure_memory, measure_throughput, tick

linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="exact peaks need Linux")

TEXT = "[" + "1.5," * 4_000_000 + "1]"


def parse(text: str) -> None:
    """Parse and drop the result within one call of C code, which holds the GIL all the while."""
    collections.deque(map(json.JSONDecoder().scan_once, [text], [0]), maxlen=0)


def sampled_by_a_thread(fn, *args) -> int:
    """Measure as most recipes do: a thread of the same process that looks every 10 ms. The foil."""
    process, over, peak = psutil.Process(), threading.Event(), [0]
    baseline = process.memory_info().rss

    def look():
        while not over.wait(0.01):
            peak[0] = max(peak[0], process.memory_info().rss - baseline)

    thread = threading.Thread(target=look)
    thread.start()
    fn(*args)
    over.set()
    thread.join()
    return peak[0]


def test_memory_taken_by_c_code_that_holds_the_gil_is_seen():
    assert measure_memory(parse, TEXT).peak > 100e6
    # Control: a thread has no turn while C code holds the lock, and afterwards it is too late. In a fresh process too,
    # or memory that pytest has used before would hide the growth instead.
    assert measure_memory(sampled_by_a_thread, parse, TEXT).value < 50e6


def test_the_samples_alone_see_it_as_well():
    assert max(growth for _, growth in measure_memory(parse, TEXT).samples) > 80e6


@linux
def test_a_peak_between_two_samples_is_seen():
    def spike():
        data = bytearray(1)
        for _ in range(3):
            data = bytearray(b"x") * 60_000_000
            del data

    seen = measure_memory(spike)
    assert seen.exact
    assert seen.peak > 59e6


def test_an_early_peak_of_the_parent_is_not_the_childs():
    held = bytearray(b"x") * 300_000_000  # ru_maxrss of a child would begin from here
    assert measure_memory(int).peak < 20e6
    assert len(held) == 300_000_000


def test_the_memory_of_children_counts():
    def has_child():
        import subprocess
        import sys

        code = "data = bytearray(b'x') * 60_000_000; sum(range(8_000_000))"  # held for a while
        subprocess.run([sys.executable, "-c", code], check=True)

    assert measure_memory(has_child).peak > 60e6


def test_the_arguments_do_not_count():
    assert measure_memory(len, bytes(30_000_000)).peak < 20e6
    assert measure_memory(lambda: len(bytearray(b"x") * 30_000_000)).peak > 29e6  # control: in the function it counts


def test_the_baseline_is_the_childs_own():
    seen = measure_memory(len, bytes(40_000_000))
    assert seen.baseline > 40e6
    assert seen.peak < 10e6


def test_samples_are_in_order_and_start_near_the_baseline():
    def grows():
        keep = []
        for _ in range(30):
            keep.append(bytearray(b"x") * 2_000_000)
            sum(range(200_000))

    samples = measure_memory(grows).samples
    times = [at for at, _ in samples]
    assert times == sorted(times)
    # The last sample may come after the return, when all is given back: the highest is what the first stays under.
    assert samples[0][1] < max(size for _, size in samples)


def test_throughput_is_what_was_ticked_in_the_seconds_it_took():
    def counts():
        for _ in range(100):
            tick(1_000)
        ended = time.perf_counter()
        while time.perf_counter() == ended:  # a coarse clock would call all this no time at all
            pass

    seen = measure_throughput(counts, unit="records")
    assert seen.count == 100_000
    assert seen.rate == pytest.approx(100_000 / seen.seconds)


def test_the_count_is_seen_growing():
    def counts():
        ends = time.monotonic() + 1.0  # a hundred looks on a quiet machine: some of them on any
        while time.monotonic() < ends:
            sum(range(100_000))
            tick()

    samples = measure_throughput(counts).samples
    counted = [n for _, n in samples]
    assert counted == sorted(counted)
    assert len(set(counted)) > 3


def test_memory_and_throughput_are_two_runs(no_leaks, tmp_path):
    def traces(path):
        with path.open("a") as file:
            file.write("run\n")

    measure(traces, tmp_path / "trace")
    assert (tmp_path / "trace").read_text() == "run\nrun\n"


def test_nobody_reads_the_memory_while_throughput_is_measured(monkeypatch):
    def read(tree):
        raise AssertionError("memory was read")

    monkeypatch.setattr("arion_lib.measure.rss.Tree.rss", read)
    assert measure_throughput(int).value == 0
    with pytest.raises(AssertionError, match="memory was read"):  # control: the other run does
        measure_memory(int)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="fn must be callable, got int"):
        measure_memory(42)


def test_a_measurement_starts_one_process_that_imports_little(monkeypatch):
    """What a measurement costs beyond the work, told by its causes: the seconds are the machine's."""
    started = []
    popen = subprocess.Popen

    def counted(command, **options):
        started.append(command)
        return popen(command, **options)

    def imported():
        return len(sys.modules), sorted(sys.modules)

    monkeypatch.setattr("subprocess.Popen", counted)
    few, names = measure_memory(imported).value
    assert len(started) == 1
    assert few < 250
    assert not {"psutil", "pytest", "numpy", "matplotlib", "asyncio"} & set(names)
    many, _ = measure_memory(lambda: (__import__("arion_lib.measure.plots"), imported())[1]).value
    assert many > few  # control: what is imported there would be seen


@pytest.mark.posix("its multiprocessing start needs an importable main")
def test_memory_profiler_agrees_on_a_plain_example():
    def holds():
        data = bytearray(b"x") * 80_000_000
        sum(range(10_000_000))  # held for a while: it samples only
        return len(data)

    def by_memory_profiler(fn):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from memory_profiler import memory_usage

            gc.collect()
            before = memory_usage(-1, interval=0.01, timeout=0.05, max_usage=True)
            return (memory_usage((fn, ()), interval=0.01, max_usage=True) - before) * 2**20  # it counts MiB

    theirs = measure_memory(by_memory_profiler, holds).value
    assert measure_memory(holds).peak == pytest.approx(theirs, rel=0.1)
