"""Entry points, loaded at first use; one broken plugin never hides the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arion_lib.contracts.discovery import GROUP, Candidate, built_in, discover, entry_points
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
from arion_lib.contracts.processors import Processor
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
from arion_lib.contracts.discovery import entry_points
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
