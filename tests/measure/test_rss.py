"""Resident memory as the system counts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from arion_lib.measure.rss import Tree, alive, high_water_mark, reset_high_water_mark

pytestmark = pytest.mark.usefixtures("no_leaks")

GROW = "import sys; data = bytearray(b'x' * 40_000_000); print('grown', flush=True); sys.stdin.read()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GROW!r}])"


@pytest.fixture
def family():
    """A process whose child holds 40 MB."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        process.stdout.readline()
        yield process
        process.stdin.close()


def test_the_children_count(family):
    alone = psutil.Process(family.pid).memory_info().rss
    assert Tree(family.pid).rss() > alone + 40_000_000
    assert alone < 40_000_000  # control: the process itself holds no such thing


def test_children_are_found_by_walking_all_processes_where_the_kernel_keeps_no_list(family, monkeypatch):
    monkeypatch.setattr("arion_lib.measure.rss._kernel_lists_children", lambda pid: False)
    assert Tree(family.pid).rss() > 40_000_000


def test_that_walk_is_made_ten_times_a_second_at_most(family, monkeypatch):
    monkeypatch.setattr("arion_lib.measure.rss._kernel_lists_children", lambda pid: False)
    now, walks = [0.0], []
    tree = Tree(family.pid, clock=lambda: now[0])
    monkeypatch.setattr(tree._root, "children", lambda recursive: walks.append(now[0]) or [])
    for now[0] in (0.0, 0.01, 0.09, 0.11, 0.12):
        tree.rss()
    assert walks == [0.0, 0.11]


def test_a_process_that_ended_has_no_figure(family):
    tree = Tree(family.pid)
    tree.kill()
    family.wait()
    assert tree.rss() is None


def test_kill_takes_the_whole_family(family):
    (child,) = psutil.Process(family.pid).children()
    Tree(family.pid).kill()
    family.wait()
    psutil.wait_procs([child], timeout=10)
    assert not alive(child.pid) or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system keeps no high-water mark")
def test_the_high_water_mark_sees_a_peak_that_is_gone():
    before = reset_high_water_mark()
    bytearray(b"x" * 50_000_000)  # made and freed before anybody looks
    assert high_water_mark() - before > 49_000_000
    assert psutil.Process().memory_info().rss - before < 49_000_000  # control: it is gone
    assert reset_high_water_mark() < before + 49_000_000
    assert high_water_mark() - before < 49_000_000


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system keeps no high-water mark")
def test_the_high_water_mark_of_another_process_is_read_as_well(family):
    assert high_water_mark(family.pid) >= psutil.Process(family.pid).memory_info().rss - 1_000_000


def test_where_the_system_keeps_none_it_is_none(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(Path, "read_text", refuse)
    assert reset_high_water_mark() is None
    assert high_water_mark() is None


def test_this_process_is_alive():
    assert alive(os.getpid())
