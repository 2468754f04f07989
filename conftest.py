"""The plugins of the suite, found from any folder: how notebooks run, how much is run, and as on which system."""

from typing import Any

import pytest
from _pytest.doctest import DoctestItem

pytest_plugins = ["arion_lib.workbook.running.strict", "tests.selection", "tests.elsewhere", "tests.hangs"]


@pytest.fixture(autouse=True)
def _lazy_in_its_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    """Give the examples of arion_lib/lazy the function that they all begin with."""
    if isinstance(request.node, DoctestItem) and request.node.name.startswith("arion_lib.lazy."):
        from arion_lib.lazy import lazy

        doctest_namespace["lazy"] = lazy
