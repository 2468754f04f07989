"""Registration, look-up, versions, tags, duplicates."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arion_lib.contracts.registry import DuplicatePlugin, Plugin, Registry, UnknownPlugin
from arion_lib.contracts.violations import ContractCallError, ContractError
from tests.contracts.shop import a_shelf, define
from tests.together import together

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
        UnknownPlugin, match=r"no plugin 'parket' of kind 'sources'; did you mean 'parquet'\? \(known: parquet\)"
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

    def cell() -> type:
        class Again(source, name="s", version="2"):  # type: ignore[misc]
            def read(self, n: int) -> int:
                return n

        return Again

    cell()
    again = cell()
    assert [str(p) for p in registry.plugins()] == ["sources:s 2"]
    assert registry.get("sources", "s") is again


def test_a_factory_may_make_several_plugins_of_one_class_statement(shelf: Shelf) -> None:
    registry, source = shelf

    def made(name: str, version: str) -> type:
        class Made(source, name=name, version=version):  # type: ignore[misc]
            def read(self, n: int) -> int:
                return n

        return Made

    classes = [made("a", "1"), made("b", "1"), made("b", "2")]
    assert [p.cls for p in registry.plugins("sources")] == classes


def test_fakes_of_one_name_in_two_tests_of_a_module_do_not_clash(shelf: Shelf) -> None:
    registry, source = shelf

    def first_test() -> type:
        class Fake(source):  # type: ignore[misc]
            def read(self, n: int) -> int:
                return n

        return Fake

    def second_test() -> type:
        class Fake(source):  # type: ignore[misc]
            def read(self, n: int) -> int:
                return n

        return Fake

    first_test()
    assert registry.get("sources", "fake") is not None
    second = second_test()
    assert [p.cls for p in registry.plugins()] == [second]


def test_a_class_that_says_register_false_is_checked_and_not_listed(shelf: Shelf) -> None:
    registry, source = shelf

    class Fake(source, register=False):  # type: ignore[misc]
        def read(self, n: int) -> int:
            return n

    class Child(Fake): ...

    class Listed(Fake, register=True): ...

    assert [p.cls for p in registry.plugins()] == [Listed]
    with pytest.raises(ContractCallError):
        Fake().read("x")
    with pytest.raises(ContractError):

        class Wrong(source, register=False):  # type: ignore[misc]
            pass


STORES = """
from abc import abstractmethod
from arion_lib.contracts.contract import Contract
class Store(Contract, registry=registry):
    @abstractmethod
    def load(self, key: str) -> bytes: ...
class File(Store):
    def load(self, key: str) -> bytes: return key.encode()
"""


def test_contracts_of_one_name_in_two_packages_do_not_share_their_plugins() -> None:
    registry = Registry()
    shop: dict[str, Any] = {"registry": registry, "__name__": "shop.storage"}
    cache: dict[str, Any] = {"registry": registry, "__name__": "cache.storage"}
    exec(STORES, shop)  # noqa: S102 - the text is ours
    exec(STORES + "class Memory(File): ...", cache)  # noqa: S102
    assert registry.get(shop["Store"], "file") is shop["File"]
    assert registry.get(cache["Store"], "file") is cache["File"]
    assert registry.get("stores", "memory") is cache["Memory"]
    assert [p.cls for p in registry.plugins(shop["Store"])] == [shop["File"]]
    with pytest.raises(UnknownPlugin, match=r"must be of one contract, cache\.storage\.Store and shop\.storage\.Store"):
        registry.get("stores", "file")
    with pytest.raises(UnknownPlugin, match="no plugin 'memory' of kind 'Store'"):
        registry.get(shop["Store"], "memory")


def test_a_module_that_is_run_and_imported_does_not_clash_with_itself(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "from arion_lib.contracts.plugins.validators import Validator\n"
        "class Never(Validator, name='never'):\n    def validate(self, row): return []\n"
        "if __name__ == '__main__':\n    import jobs\n    print('no clash')\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "jobs"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "no clash"), done.stderr


@pytest.mark.parametrize(("version", "kept"), [("1.0rc1", "1.0rc1"), ("1.2.post1", "1.2.post1"), ("newest", None)])
def test_a_version_attribute_is_taken_as_it_is_or_refused(shelf: Shelf, version: str, kept: str | None) -> None:
    registry, source = shelf
    space = {"source": source, "v": version, "__name__": "versions"}
    text = "class S(source):\n    version = v\n    def read(self, n): return n"
    if kept is None:
        with pytest.raises(ValueError, match=r"version must be like '1\.2'"):
            exec(text, space)  # noqa: S102
        assert registry.plugins() == []
    else:
        exec(text, space)  # noqa: S102
        assert [p.version for p in registry.plugins("sources")] == [kept]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("abstract", "no"), ("metrics", "yes"), ("replace", "no"), ("register", "no"), ("registry", "mine"),
        ("tags", 5), ("tags", [5]), ("tags", "x"), ("checks", "some"), ("name", ""), ("kind", 3), ("version", 1.0),
    ],
)  # fmt: skip
def test_a_word_of_the_wrong_type_is_refused_where_it_is_written(shelf: Shelf, word: str, value: object) -> None:
    registry, source = shelf
    with pytest.raises((TypeError, ValueError), match=f"^{'level' if word == 'checks' else word} must be"):
        type("Wrong", (source,), {"read": lambda self, n: n}, **{word: value})
    assert registry.plugins() == []


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
        "from arion_lib.contracts.plugins.validators import Validator\n"
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


class Meeting:
    """A registry's lock: something happens in another thread just before it is taken, once."""

    def __init__(self, before: Callable[[], object]) -> None:
        self._before: Callable[[], object] | None = before
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            before()
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()


def test_of_two_threads_that_register_one_name_one_is_refused() -> None:
    registry = Registry()

    def plugin(name: str) -> Plugin:
        return Plugin("sources", "csv", "1", frozenset(), type(name, (), {}), None)

    first, second = plugin("First"), plugin("Second")
    registry._lock = Meeting(lambda: registry.add(first))  # type: ignore[assignment]
    with pytest.raises(DuplicatePlugin, match="must be registered once, got Second"):
        registry.add(second)
    assert registry.defined() == [first]


def test_many_threads_that_define_classes_of_one_name_leave_one_of_them() -> None:
    for _ in range(20):
        registry, source = a_shelf()

        def make(number: int, source: Any = source) -> type:
            return type(source)(f"Csv{number}", (source,), {"read": lambda self, n: n}, name="csv")

        made = together(6, make)
        refused = [end for end in made if isinstance(end, DuplicatePlugin)]
        (kept,) = [end for end in made if isinstance(end, type)]
        assert len(refused) == 5
        assert registry.get("sources", "csv") is kept
