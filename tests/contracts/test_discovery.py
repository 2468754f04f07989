"""Entry points, loaded at first use; one broken plugin never hides the others."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.plugins.discovery import GROUP, Candidate, built_in, discover, entry_points, registry_for
from arion_lib.contracts.plugins.report import Report
from arion_lib.contracts.registry import Registry

Shelf = tuple[Registry, Any]


def _failing(error: BaseException) -> Callable[[], object]:
    def load() -> object:
        raise error

    return load


def test_one_broken_plugin_never_hides_the_others(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    registry, source = shelf

    def good() -> type:
        class Good(source):  # type: ignore[misc]
            def read(self, n: int) -> int:
                return n

        return Good

    def broken() -> type:
        class Broken(source):  # type: ignore[misc]
            def read(self) -> int:
                return 1

        return Broken

    report = discover(
        registry,
        [
            Candidate("exits", "a:b", _failing(SystemExit(1))),
            Candidate("typo", "c", _failing(ImportError("no module named 'c'"))),
            Candidate("breaks", "d:Broken", broken),
            Candidate("nothing", "e:x", lambda: 3),
            Candidate("good", "f:Good", good),
        ],
    )
    assert [(x.name, x.plugins) for x in report.loaded] == [("good", ("sources:good 0",))]
    assert {x.name: x.reason.partition(";")[0] for x in report.skipped} == {
        "exits": "SystemExit: 1",
        "typo": "ImportError: no module named 'c'",
        "breaks": "ContractError: class Broken breaks Source in 1 place",
        "nothing": "it defines no plugin",
    }
    assert str(report).splitlines()[0] == "loaded   good (f:Good): sources:good 0"
    assert len(caplog.records) == 4


DISTRIBUTION = """
from arion_lib.contracts.plugins.processors import Processor
class Reverse(Processor, name="reverse"):
    version = "2.0"
    def process(self, rows, scale=1): return rows[::-1]
"""

PROGRAM = f"""
from arion_lib.contracts.contract import registry
import sys
assert "outside_plugins" not in sys.modules, "loaded before first use"
print(registry.get("processors", "reverse").__name__)
print(sorted(p.name for p in registry.plugins("processors")))
from arion_lib.contracts.plugins.discovery import entry_points
print([c.name for c in entry_points({GROUP!r})])
"""


def test_installed_packages_are_discovered_by_entry_points_at_first_use(tmp_path: Path) -> None:
    info = tmp_path / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nreverse = outside_plugins\nwrong = outside_missing:X\n")
    (tmp_path / "outside_plugins.py").write_text(DISTRIBUTION)
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {root!r}]\n{PROGRAM}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Reverse",
        "['csv', 'deduplicate', 'reverse', 'totals']",
        "['reverse', 'wrong']",
    ]
    assert "plugin wrong (outside_missing:X) was skipped: ModuleNotFoundError" in done.stderr


def test_shipped_plugins_are_found_without_being_installed() -> None:
    from arion_lib.contracts.contract import registry

    report = discover(registry, built_in())
    assert report.skipped == ()
    assert {p.kind for p in registry.plugins()} >= {"processors", "validators", "transformers"}
    assert isinstance(entry_points(), list)


SLOW = """
from late_tools import Source, started, go
started.set()
assert go.wait(30)
class Slow(Source):
    def read(self, n: int) -> int: return n
"""


def test_an_import_and_a_first_look_up_in_two_threads_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go = threading.Event(), threading.Event()

    def discover_slowly(registry: Registry) -> Report:
        go.set()  # from here on the other thread goes on to its class statement, with its module's import lock held
        return discover(registry, [Candidate("slow", "late_plugin", lambda: importlib.import_module("late_plugin"))])

    registry = Registry(discover_slowly)

    class Source(Contract, kind="sources", registry=registry):
        @abstractmethod
        def read(self, n: int) -> int: ...

    tools: Any = ModuleType("late_tools")
    tools.Source, tools.started, tools.go = Source, started, go
    monkeypatch.setitem(sys.modules, "late_tools", tools)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "late_plugin.py").write_text(SLOW)
    found: list[type] = []

    def look_up() -> None:
        found.append(registry.get("sources", "slow"))

    threads = [threading.Thread(target=importlib.import_module, args=("late_plugin",), daemon=True)]
    threads[0].start()
    assert started.wait(30)
    threads.append(threading.Thread(target=look_up, daemon=True))
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert [cls.__name__ for cls in found] == ["Slow"]
    sys.modules.pop("late_plugin", None)


def test_the_report_of_automatic_discovery_stays_with_the_registry() -> None:
    registry = Registry(lambda registry: discover(registry, [Candidate("typo", "c", _failing(ImportError("no c")))]))
    assert registry.report is None
    assert registry.plugins() == []
    assert registry.report is not None
    assert str(registry.report) == "skipped  typo (c): ImportError: no c"


def test_a_plugin_may_look_something_up_while_it_is_loaded(shelf: Shelf) -> None:
    asked: list[int] = []

    def load() -> object:
        asked.append(len(registry.plugins()))
        return 3

    registry = Registry(lambda registry: discover(registry, [Candidate("asks", "a", load)]))
    assert (registry.plugins(), registry.plugins(), asked) == ([], [], [0])


def test_an_application_has_a_group_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[my_application.exporters]\nmissing = no_such_module_of_ours\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = registry_for("my_application.exporters")
    assert registry.plugins() == []
    assert registry.report is not None
    assert [x.name for x in registry.report.skipped] == ["missing"]
