"""Which functions and classes another process can import: they travel as their name, all others with their code.

Idea        What is found under its module and its qualified name is sent as that name.
Invariant   What lives in `__main__`, or in a module given to `cloudpickle.register_pickle_by_value`, travels by value:
            a worker's `__main__` is another (test_calls.py, test_users_code.py).
When wrong  A module that the worker lacks is told by the task that needs it.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_calls.py
"""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import cloudpickle


def importable(value: Any) -> bool:
    """Whether a value is a module, or a function or a class of one, that another process can import.

    >>> importable(len), importable(sys), importable(lambda: 1), importable(3)
    (True, True, False, False)
    """
    if isinstance(value, ModuleType):
        name = value.__name__
        return name != "__main__" and sys.modules.get(name) is value and not travels_by_value(name)
    if not isinstance(value, (FunctionType, BuiltinFunctionType, type)):
        return False
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if module in (None, "__main__") or travels_by_value(str(module)):
        return False
    found: Any = sys.modules.get(str(module))
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def travels_by_value(module: str) -> bool:
    """Whether a module, or a package that it is in, was given to `cloudpickle.register_pickle_by_value`."""
    registered = cloudpickle.list_registry_pickle_by_value()
    return bool(registered) and any(module == one or module.startswith(f"{one}.") for one in registered)
