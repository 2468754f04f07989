"""The counter that measured code ticks."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from arion_lib.measure.counter import PAGE_SIZE, Page, connect, tick


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "count"
    path.write_bytes(bytes(PAGE_SIZE))
    page = Page(path)
    yield page
    connect(None)
    page.close()


def test_a_tick_outside_a_measurement_does_nothing(page):
    tick(5)
    assert page.read() == 0
    connect(page)
    tick(5)
    assert page.read() == 5  # control: connected, it counts


def test_another_view_of_the_file_sees_the_same_count(page, tmp_path):
    other = Page(tmp_path / "count")
    connect(page)
    tick(2**40)
    assert other.read() == 2**40
    other.close()


def test_no_tick_of_several_threads_is_lost(page):
    connect(page)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [tick() for _ in range(5_000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert page.read() == 20_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork in a process with threads: this child only exits
def test_a_forked_child_does_not_tick_for_its_parent(page):
    connect(page)
    child = os.fork()
    if child == 0:
        tick(100)
        os._exit(0)
    os.waitpid(child, 0)
    assert page.read() == 0


def test_a_page_needs_its_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Page(tmp_path / "none")
