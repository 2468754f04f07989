"""Registration, look-up, versions, tags, duplicates, discovery, metrics and the plugin table."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import threading
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.discovery import GROUP, Candidate, built_in, discover, entry_points
from arion_lib.contracts.metrics import BUCKETS, QUEUE, Metrics, bucket, upper_end
from arion_lib.contracts.plugin_table import plugin_table
from arion_lib.contracts.registry import DuplicatePlugin, Registry, UnknownPlugin
from tests.contracts.shop import define


@pytest.fixture
def shelf() -> tuple[Registry, type]:
    found = Registry()

    class Source(Contract, kind="sources", registry=found, metrics=True):
        @abstractmethod
        def read(self, n: int) -> int: ...

    return found, Source


Shelf = tuple[Registry, Any]


def test_a_class_is_registered_by_being_defined(shelf: Shelf) -> None:
    registry, source = shelf

    class HttpSource(source, version="1.2", tags=["net", "slow"]):  # type: ignore[misc]
        def read(self, n: int) -> int:
            return n

    (plugin,) = registry.plugins("sources")
    assert (plugin.name, plugin.version, plugin.tags, plugin.cls) == ("http_source", "1.2", {"net", "slow"}, HttpSource)
    assert isinstance(registry.create("sources", "http_source"), HttpSource)


def test_look_up_says_what_comes_near(shelf: Shelf) -> None:
    registry, source = shelf

    class A(source, name="parquet"):  # type: ignore[misc]
        def read(self, n: int) -> int:
            return n

    with pytest.raises(
        UnknownPlugin, match=r"no plugin of kind 'sources' 'parket'; did you mean 'parquet'\? \(known: parquet\)"
    ):
        registry.get("sources", "parket")
    with pytest.raises(UnknownPlugin, match="no kind 'source'; did you mean 'sources'"):
        registry.plugins("source")


def test_the_newest_version_that_fits_is_found_and_prereleases_only_when_asked_for(shelf: Shelf) -> None:
    registry, source = shelf

    def version(number: str) -> type:
        space: dict[str, Any] = {"source": source, "__name__": f"v{number}"}
        exec(f"class S(source, name='s', version={number!r}):\n    def read(self, n): return n", space)  # noqa: S102
        return space["S"]  # type: ignore[no-any-return]

    made = {number: version(number) for number in ("1.9", "1.10", "2.0", "3.0rc1")}
    assert registry.get("sources", "s") is made["2.0"]
    assert registry.get("sources", "s", "<2") is made["1.10"]
    assert registry.get("sources", "s", "==3.0rc1") is made["3.0rc1"]
    with pytest.raises(UnknownPlugin, match=r"version must match '>3', got only 1\.9, 1\.10, 2\.0, 3\.0rc1"):
        registry.get("sources", "s", ">3")
    with pytest.raises(ValueError, match=r"version must be like '1.2' \(PEP 440\), got 'newest'"):
        version("newest")


def test_tags_select(shelf: Shelf) -> None:
    registry, source = shelf
    for name, tags in (("a", ["x"]), ("b", ["x", "y"]), ("c", [])):
        space: dict[str, Any] = {"source": source, "tags": tags, "__name__": name}
        exec(f"class S(source, name={name!r}, tags=tags):\n    def read(self, n): return n", space)  # noqa: S102
    assert [p.name for p in registry.plugins("sources", tags=["x"])] == ["a", "b"]
    assert [p.name for p in registry.plugins(tags=["x", "y"])] == ["b"]
    with pytest.raises(TypeError, match="tags must be a list of texts, got 'x'"):

        class Wrong(source, tags="x"):  # type: ignore[misc]
            def read(self, n: int) -> int:
                return n


def test_another_class_of_the_same_name_is_refused_unless_it_says_replace(shelf: Shelf) -> None:
    registry, source = shelf

    class First(source, name="s"):  # type: ignore[misc]
        def read(self, n: int) -> int:
            return n

    with pytest.raises(DuplicatePlugin, match=r"sources:s 0 must be registered once, got .*Second .* beside .*First"):

        class Second(source, name="s"):  # type: ignore[misc]
            def read(self, n: int) -> int:
                return n

    assert registry.get("sources", "s") is First

    class Third(source, name="s", replace=True):  # type: ignore[misc]
        def read(self, n: int) -> int:
            return n

    assert registry.get("sources", "s") is Third


def test_the_same_class_defined_again_replaces_itself_silently(shelf: Shelf) -> None:
    registry, source = shelf

    def cell(name: str, version: str) -> type:
        class Again(source, name=name, version=version):  # type: ignore[misc]
            def read(self, n: int) -> int:
                return n

        return Again

    cell("s", "1")
    again = cell("s", "2")
    assert [str(p) for p in registry.plugins()] == ["sources:s 2"]
    assert registry.get("sources", "s") is again
    cell("renamed", "2")
    assert [str(p) for p in registry.plugins()] == ["sources:renamed 2"]


def test_a_class_of_two_contracts_is_registered_with_both_or_with_none() -> None:
    space = define("""
    class A(Contract, registry=registry): ...
    class B(Contract, registry=registry): ...
    class Taken(B, name="both"): ...
    try:
        class Both(A, B): ...
    except ValueError: ...
    """)
    assert [str(p) for p in space["registry"].plugins()] == ["bs:both 0"]


def test_a_module_reloaded_replaces_its_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reloaded_plugins.py").write_text(
        "from arion_lib.contracts.validators import Validator\n"
        "class Never(Validator, name='never-again'):\n    def validate(self, row): return []\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("reloaded_plugins")
    first = module.Never
    from arion_lib.contracts.contract import registry

    try:
        assert importlib.reload(module).Never is not first
        assert registry.get("validators", "never-again") is module.Never
    finally:
        registry.remove("validators", "never-again")
        sys.modules.pop("reloaded_plugins")


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


# --- metrics ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**55))
def test_a_bucket_holds_its_value_within_a_sixteenth(nanoseconds: int) -> None:
    end = upper_end(bucket(nanoseconds))
    assert nanoseconds <= end <= nanoseconds * 17 / 16 + 1
    assert bucket(end) == bucket(nanoseconds) < BUCKETS
    assert bucket(end + 1) == bucket(end) + 1 or bucket(end) == BUCKETS - 1


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=400))
def test_figures_agree_with_the_sorted_list(times: list[int]) -> None:
    metrics = Metrics()
    metrics.local.recorder.times += [n / 1e9 for n in times]
    figures, ordered = metrics.figures(), sorted(times)
    assert figures.calls == len(times)
    assert figures.mean == pytest.approx(sum(times) / len(times) / 1e9)
    assert figures.max == ordered[-1] / 1e9
    true = ordered[-(-len(times) * 95 // 100) - 1] / 1e9
    assert figures.p95 is not None
    assert true * 0.999_999 - 2e-9 <= figures.p95 <= true * 17 / 16 + 2e-9


def _counted(source: Any) -> Any:
    class Counted(source):
        def read(self, n: int) -> int:
            if n < 0:
                raise ValueError
            return n if n == 0 else self.read(n - 1)

    return Counted


def test_calls_and_errors_are_counted_and_a_recursive_call_once(shelf: Shelf) -> None:
    registry, source = shelf
    counted = _counted(source)
    for n in (0, 3, 10):
        counted().read(n)
    for bad in (-1, -2):
        with pytest.raises(ValueError):  # noqa: PT011 - the plugin's own
            counted().read(bad)
    figures = registry.find("sources", "counted").metrics()["read"]
    assert (figures.calls, figures.errors) == (5, 2)
    assert figures.max is not None
    assert figures.p50 is not None
    assert 0 < figures.p50 <= figures.max


def test_a_call_through_super_counts_once_and_for_the_class_that_was_called(shelf: Shelf) -> None:
    registry, source = shelf
    counted = _counted(source)

    class Below(counted):  # type: ignore[misc, valid-type]
        def read(self, n: int) -> int:
            return int(super().read(n))

    Below().read(3)
    counted().read(3)
    assert registry.find("sources", "below").metrics()["read"].calls == 1
    assert registry.find("sources", "counted").metrics()["read"].calls == 1


def test_memory_is_bounded_whatever_the_number_of_calls(shelf: Shelf) -> None:
    registry, source = shelf
    plugin = _counted(source)()
    for _ in range(5 * QUEUE):
        plugin.read(0)
    metrics = vars(type(plugin))["__contract_metrics__"]["read"]
    assert len(metrics.local.recorder.times) < QUEUE
    assert registry.find("sources", "counted").metrics()["read"].calls == 5 * QUEUE


def test_no_call_is_lost_between_threads_and_dead_threads_are_folded(shelf: Shelf) -> None:
    registry, source = shelf
    plugin = _counted(source)()

    def work() -> None:
        for _ in range(2_000):
            plugin.read(0)

    for _ in range(3):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert registry.find("sources", "counted").metrics()["read"].calls == 24_000
    plugin.read(0)
    assert len(vars(type(plugin))["__contract_metrics__"]["read"]._recorders) <= 5


def test_a_coroutine_is_timed_to_its_end_and_tasks_do_not_disturb_each_other() -> None:
    registry = Registry()

    class Source(Contract, registry=registry, metrics=True):
        @abstractmethod
        async def read(self, n: int) -> int: ...

    class Slow(Source):
        def __init__(self) -> None:
            self.inside, self.go = asyncio.Semaphore(0), asyncio.Event()

        async def read(self, n: int) -> int:
            self.inside.release()
            await self.go.wait()
            return n

    async def main() -> int:
        slow = Slow()
        tasks = [asyncio.create_task(slow.read(n)) for n in range(3)]
        for _ in tasks:
            await asyncio.wait_for(slow.inside.acquire(), 10)
        before = registry.find("sources", "slow").metrics()["read"].calls
        slow.go.set()
        await asyncio.gather(*tasks)
        return before

    assert asyncio.run(main()) == 0
    assert registry.find("sources", "slow").metrics()["read"].calls == 3


def test_without_metrics_nothing_is_measured() -> None:
    registry = Registry()

    class Source(Contract, registry=registry):
        def read(self) -> int:
            return 1

    class Plain(Source):
        def read(self) -> int:
            return 1

    Plain().read()
    assert registry.find("sources", "plain").metrics() == {}


def test_the_table_shows_plugins_and_what_was_measured(shelf: Shelf) -> None:
    registry, source = shelf
    counted = _counted(source)
    table = plugin_table(registry.plugins())
    assert str(table).splitlines() == [
        "kind     name     version  tags  class",
        "sources  counted  0        -     Counted",
    ]
    assert plugin_table(registry.plugins(), metrics=True).rows()[0][5:] == ("-",) * 7
    counted().read(0)
    assert plugin_table(registry.plugins(), metrics=True).rows()[0][5:8] == ("read", "1", "0")
    assert table._repr_html_().count("<tr>") == 2
