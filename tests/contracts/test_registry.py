"""Registration, look-up, versions, tags, duplicates."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from arion_lib.contracts.registry import DuplicatePlugin, Registry, UnknownPlugin
from tests.contracts.shop import define

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
