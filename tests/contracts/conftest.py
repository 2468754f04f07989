"""A registry of its own for each test, with one contract to derive from; and every test module a second time.

Annotations are strings in a module that says `from __future__ import annotations`, values in one that does not, and
since Python 3.14 values that are evaluated late. So each module that says it is run again without it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from _pytest.assertion.rewrite import rewrite_asserts

from arion_lib.contracts.registry import Registry
from tests.contracts.shop import a_shelf

FUTURE = "from __future__ import annotations"


class EvaluatedModule(pytest.Module):
    """A test module without its line `from __future__ import annotations`; its property tests are not repeated."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        found = super().collect()
        return [item for item in found if not hasattr(getattr(item, "obj", None), "is_hypothesis_test")]

    def _getobj(self) -> ModuleType:
        text = self.path.read_text(encoding="utf-8").replace(FUTURE, "", 1)
        tree = ast.parse(text, str(self.path))
        rewrite_asserts(tree, text.encode(), str(self.path), self.config)
        made = ModuleType(f"tests.contracts.{self.path.stem}_evaluated")
        made.__file__ = str(self.path)
        sys.modules[made.__name__] = made
        exec(compile(tree, str(self.path), "exec", dont_inherit=True), vars(made))  # noqa: S102 - a test module of ours
        return made


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    wanted = file_path.suffix == ".py" and file_path.stem.startswith("test_")
    if not wanted or FUTURE not in file_path.read_text(encoding="utf-8").splitlines():
        return None
    name = f"{file_path.name}[evaluated]"
    return EvaluatedModule.from_parent(parent, path=file_path, name=name, nodeid=f"{parent.nodeid}/{name}")


@pytest.fixture
def shelf() -> tuple[Registry, Any]:
    return a_shelf()
