"""How much of the suite one run takes, as a pytest plugin: `--quick`, the default, `--thorough`.

The default leaves out what is marked `thorough`: the large case of a promise whose small case stays. `--quick` leaves
out whatever is slow, measures, or needs a server, too. A test that is named by its id (`file.py::test`) always runs,
and a run that leaves something out says how much. What is marked `alone` measures time or memory:
`python -m arion_lib test` runs it after the rest, when nothing else is running.
"""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

EXAMPLES = {"quick": 25, "usual": 100, "thorough": 400}
"""How many examples hypothesis tries, in a test that does not say so itself."""


def examples(number: int) -> int:
    """Return how many examples a test tries that takes `number` in the default run: fewer in `--quick`, else more.

    >>> examples(300) >= 75
    True
    """
    return max(1, number * settings.default.max_examples // EXAMPLES["usual"])


ALONE = ("tests/measure/", "tests/scheduler/test_released.py")
"""Folders and files whose tests are all `alone`."""

LONGEST = (
    "notebooks/1_streaming_pipeline.ipynb",
    "tests/scheduler/test_conformance.py",
    "tests/test_setup.py",
    "tests/workbook/test_learner.py",
    "tests/pipeline/test_store.py",
    "tests/test_wheel.py",
    "tests/workbook/test_exercises.py",
    "tests/workbook/test_notebooks.py",
    "tests/bench/test_scheduler.py",
    "tests/web/test_scheduler_pages.py",
    "tests/pipeline/test_memory.py",
    "tests/pipeline/test_broker.py",
    "tests/bench/test_pipeline_http.py",
    "notebooks/4_lazy_collection.ipynb",
    "tests/web/test_serve.py",
    "tests/workbook/test_strict.py",
    "notebooks/3_contracts_and_plugins.ipynb",
    "notebooks/5_task_scheduler.ipynb",
    "tests/scheduler/test_dask.py",
    "tests/chaos/test_kills.py",
    "tests/web/test_webhook.py",
    "tests/web/test_faults.py",
    "tests/contracts/test_signatures.py",
)
"""The files that take longest come first, where processes share the files: then none is left with one at the end."""

SLOW = (
    "notebooks/",
    "tests/bench/",
    "tests/chaos/",
    "tests/contracts/test_combine.py",
    "tests/ground/test_histogram.py",
    "tests/ground/test_short_repr.py",
    "tests/lazy/test_parallel.py",
    "tests/measure/",
    "tests/pipeline/test_broker.py::test_kill_9",
    "tests/pipeline/test_ingest_ranges.py",
    "tests/pipeline/test_lost_servers.py",
    "tests/pipeline/test_memory.py",
    "tests/pipeline/test_ranges_on_dask.py",
    "tests/pipeline/test_retention.py",
    "tests/pipeline/test_sample.py",
    "tests/pipeline/test_store.py::test_kill_9",
    "tests/resources/test_interrupts.py",
    "tests/resources/test_random_graphs.py",
    "tests/scheduler/test_chains.py",
    "tests/scheduler/test_chaos.py",
    "tests/scheduler/test_conformance.py",
    "tests/scheduler/test_dask.py",
    "tests/scheduler/test_delayed.py",
    "tests/scheduler/test_endings.py",
    "tests/scheduler/test_exhaustion.py",
    "tests/scheduler/test_journal.py",
    "tests/scheduler/test_multiprocessing.py",
    "tests/scheduler/test_progress.py",
    "tests/scheduler/test_users_code.py",
    "tests/test_hangs.py",
    "tests/test_quality.py",
    "tests/test_readme.py",
    "tests/test_selection.py",
    "tests/test_setup.py",
    "tests/test_wheel.py",
    "tests/web/test_classroom.py",
    "tests/web/test_fast_path.py",
    "tests/web/test_faults.py",
    "tests/web/test_first_event.py",
    "tests/web/test_full_disk.py",
    "tests/web/test_load.py",
    "tests/web/test_protocol.py",
    "tests/web/test_scheduler_pages.py",
    "tests/web/test_serve.py",
    "tests/web/test_sigterm.py",
    "tests/web/test_status_page.py",
    "tests/web/test_top.py",
    "tests/web/test_webhook.py",
    "tests/workbook/test_crash.py",
    "tests/workbook/test_exercises.py",
    "tests/workbook/test_interrupted.py",
    "tests/workbook/test_lab.py",
    "tests/workbook/test_learner.py",
    "tests/workbook/test_notebooks.py",
    "tests/workbook/test_scheduler_monitor.py",
    "tests/workbook/test_site.py",
    "tests/workbook/test_strict.py",
    "tests/workbook/test_trial.py",
    "tests/workbook/test_widgets_reopened.py",
)
"""What `--quick` leaves out by its name: it starts processes, kernels, browsers or clones, many or for long."""

ASIDE = {"alone", "postgres", "redis", "rabbitmq"}
"""Marks of what `--quick` leaves out, too: what measures, and what needs a server."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options that choose, and one for the word `test`, which adds up the counts of two runs."""
    group = parser.getgroup("how much is run")
    group.addoption("--quick", action="store_true", help="leave out what is slow, measures or needs a server")
    group.addoption("--thorough", action="store_true", help="also run what is marked thorough")
    group.addoption("--counts", metavar="FILE", help="write the numbers of passed, failed and skipped tests as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Hear Ctrl-C again where a script started the run in its background, which makes every child deaf to it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    profile = "quick" if config.option.quick else "thorough" if config.option.thorough else "usual"
    for name, examples in EXAMPLES.items():
        settings.register_profile(name, max_examples=examples, deadline=None)  # a busy machine fails no test
    if not config.getoption("--hypothesis-profile", None):
        settings.load_profile(profile)


def left_out(path: str, marks: set[str], *, quick: bool, thorough: bool) -> bool:
    """Whether a run leaves out a test of the file `path` (relative to the project, with `/`).

    >>> left_out("tests/test_setup.py", set(), quick=True, thorough=False)
    True
    >>> left_out("tests/test_setup.py", set(), quick=False, thorough=False)
    False
    >>> left_out("tests/pipeline/test_store.py", {"postgres"}, quick=True, thorough=False)
    True
    """
    if thorough:
        return False
    return "thorough" in marks or (quick and (path.startswith(SLOW) or not ASIDE.isdisjoint(marks)))


def unasked(path: Path, name: str, *, quick: bool, marks: str) -> bool:
    """Whether nothing of a file or folder (`name`: relative to the project) is run by `--quick` or `-m marks`.

    >>> unasked(Path(), "tests/bench/", quick=True, marks=""), unasked(Path(), "tests/measure/", quick=False, marks="")
    (True, False)
    >>> unasked(Path(), "tests/measure/test_rss.py", quick=False, marks="not alone")
    True
    >>> unasked(Path(), "notebooks/1.ipynb", quick=False, marks="alone")
    True
    """
    if quick and name.startswith(SLOW):
        return True
    if marks == "not alone":
        return name.startswith(ALONE)
    if marks != "alone" or name.endswith("/") or name.startswith(ALONE):
        return False
    return not name.startswith("tests/") or "mark.alone" not in path.read_text(encoding="utf-8")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what nothing is asked of: to collect all of the suite takes ten seconds, in each process."""
    path = collection_path
    if not path.is_relative_to(config.rootpath) or path.suffix not in ("", ".py", ".ipynb"):
        return None
    name = path.relative_to(config.rootpath).as_posix() + "/" * path.is_dir()
    return True if unasked(path, name, quick=config.option.quick, marks=config.option.markexpr) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the folders that are `alone`, then leave out what this run does not take."""
    quick, thorough = config.option.quick, config.option.thorough
    if quick and thorough:
        raise pytest.UsageError("--quick and --thorough must not be given together")
    for item in items:
        if item.nodeid.startswith(ALONE):
            item.add_marker("alone")
    if any("::" in argument for argument in config.args):
        return
    out = [
        item
        for item in items
        if left_out(item.nodeid, {mark.name for mark in item.iter_markers()}, quick=quick, thorough=thorough)
    ]
    gone = set(map(id, out))
    items[:] = in_order([item for item in items if id(item) not in gone], config)
    config.hook.pytest_deselected(items=out)
    config.stash[LEFT_OUT] = len(out)


def in_order(items: list[pytest.Item], config: pytest.Config) -> list[pytest.Item]:
    """Return the items as the processes are to take their files: the longest, then those with most tests."""
    if not hasattr(config, "workerinput"):
        return items
    files = Counter(path_of(item.nodeid) for item in items)
    rank = {path: number for number, path in enumerate(LONGEST)}
    return sorted(items, key=lambda item: place(path_of(item.nodeid), rank, files))


def place(path: str, rank: Mapping[str, int], files: Mapping[str, int]) -> tuple[int, int, str]:
    """Return what files are sorted by.

    >>> counts = {"few.py": 1, "many.py": 9, "long.py": 2}
    >>> sorted(counts, key=lambda path: place(path, {"long.py": 0}, counts))
    ['long.py', 'many.py', 'few.py']
    """
    return rank.get(path, len(rank)), -files[path], path


def path_of(nodeid: str) -> str:
    """Return the file of a test.

    >>> path_of("tests/test_setup.py::test_x[a::b]")
    'tests/test_setup.py'
    """
    return nodeid.split("::")[0]


class WholeFiles(LoadFileScheduling):
    """Shares whole files out as `--dist=loadfile` does, and goes on when a process dies in one.

    pytest-xdist 3.8 gives all files of the dead one to its successor: the test that it died in, to die in once more,
    and those that are done, one at a time, the next one when a test of it ends; of a file that is done none ever does,
    and a file's only test does not begin before the process has been told what comes next.
    """

    def _reschedule(self, node: WorkerController) -> None:
        """Give a process that has little left a file; one that starts late two tests, or word that no more come."""
        super()._reschedule(node)
        while self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            self._assign_work_unit(node)
        if not self.workqueue and not node.shutting_down:
            node.shutdown()

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a process out; return the test that it died in."""
        given = self.assigned_work.pop(node)
        left = [(file, test) for file, tests in given.items() for test, done in tests.items() if not done]
        if not left:
            return None
        file, died = left[0]
        given[file][died] = True
        self.workqueue.update({name: tests for name, tests in given.items() if not all(tests.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return died


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WholeFiles | None:
    """Return what shares the tests out over the processes."""
    return WholeFiles(config, log) if config.getvalue("dist") == "loadfile" else None


LEFT_OUT = pytest.StashKey[int]()


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say how much is left out."""
    number = config.stash.get(LEFT_OUT, 0)
    files = ", files and folders not counted" if config.option.quick else ""
    return [f"{number} tests are left out{files}: python -m arion_lib test --thorough runs them"] if number else []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the counts where the word `test` wants them."""
    if config.option.counts:
        counts = {name: len(terminalreporter.stats.get(name, ())) for name in ("passed", "failed", "error", "skipped")}
        Path(config.option.counts).write_text(json.dumps(counts), encoding="utf-8")
