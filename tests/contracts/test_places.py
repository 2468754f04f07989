"""Where things are written, in words that are the same on every machine."""

from __future__ import annotations

import functools
import linecache
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from arion_lib.contracts.messages.places import Place, class_place, named_line, place_of


def test_a_package_is_named_from_its_root_and_a_script_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        str(Place("/opt/python/site-packages/shop/plugins/csv.py", 14, "shop.plugins.csv")) == "shop/plugins/csv.py:14"
    )
    assert str(Place(str(tmp_path / "tools" / "run.py"), 3, "__main__")) == "tools/run.py:3"


def test_a_notebook_cell_is_named_by_its_first_line_in_whatever_process_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = []
    for process in (17, 4711):
        file = f"/tmp/ipykernel_{process}/123.py"
        shell = SimpleNamespace(compile=SimpleNamespace(format_code_name=lambda name: ("Cell", "In[1]")))
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        monkeypatch.setitem(linecache.cache, file, (0, None, ["\n", "class Csv(Processor):\n", "    pass\n"], file))
        names.append(str(Place(file, 3)))
    assert names == ['cell "class Csv(Processor):", line 3'] * 2


def test_a_function_is_found_below_what_wraps_it() -> None:
    class Shop:
        def plain(self) -> None: ...

        @property
        def title(self) -> str:
            return ""

        cached = functools.cached_property(plain)
        part = functools.partialmethod(plain)

    line = place_of(Shop.plain)
    assert line is not None
    for thing in (classmethod(Shop.plain), staticmethod(Shop.plain), vars(Shop)["cached"], Shop.part):
        assert place_of(thing) == line
    assert place_of(vars(Shop)["title"]) == place_of(Shop.title.fget)  # type: ignore[attr-defined]
    assert place_of(len) is None


def test_an_attribute_is_found_in_its_class_and_not_below_it() -> None:
    lines = ["class A:\n", "    size: int\n", "\n", "class B:\n", "    name = 3\n"]
    linecache.cache["places_example.py"] = (0, None, lines, "places_example.py")
    try:
        start = Place("places_example.py", 1)
        assert named_line(start, "size") == Place("places_example.py", 2)
        assert named_line(start, "name") == start
        assert named_line(None, "name") is None
    finally:
        del linecache.cache["places_example.py"]


def test_a_class_that_no_contract_made_has_a_place_too() -> None:
    place = class_place(Place)
    assert place is not None
    assert str(place).startswith("arion_lib/contracts/messages/places.py:")
    assert class_place(int) is None
