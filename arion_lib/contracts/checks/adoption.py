"""Classes that derive from no contract, judged by one and registered under it: third-party plugins, as they are.

Idea        What a class statement under the contract would have asked is asked once, when the class is adopted.
Invariant   The class is not changed: no guard, no base, no attribute. `isinstance` does not know of it.
When wrong  `ContractError` with all violations; nothing is registered.
See         tests/contracts/test_adoption.py
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from arion_lib.contracts.checks.levels import Level
from arion_lib.contracts.messages.explanation import check
from arion_lib.contracts.messages.places import class_place
from arion_lib.contracts.messages.warned import warn
from arion_lib.contracts.options import inherited, kind_of, options_of, snake_case, version_of
from arion_lib.contracts.registry import Plugin
from arion_lib.contracts.registry import registry as common
from arion_lib.contracts.violations import ContractError


def adopt(
    contract: type,
    cls: type,
    *,
    name: str | None = None,
    version: str | None = None,
    tags: Iterable[str] = (),
    replace: bool = False,
) -> type:
    """Judge `cls`, which derives from no contract, by `contract`, register it there, return it unchanged.

    `name` is by default the class's in lower case, `version` its attribute of that name. Raises `ContractError` where
    it breaks the contract, `DuplicatePlugin` where another class has its place, `TypeError` for what is no contract.

    >>> from arion_lib.contracts.plugins.validators import Validator
    >>> class Foreign:
    ...     severity = "error"
    ...     def validate(self, row): return []
    >>> Validator.adopt(Foreign, name="foreign") is Foreign, common.get(Validator, "foreign") is Foreign
    (True, True)
    >>> common.remove(Validator, "foreign")
    """  # fmt: skip
    given: dict[str, Any] = {"name": name, "version": version, "tags": tags, "replace": replace}
    options = options_of({word: value for word, value in given.items() if value is not None})
    if not isinstance(cls, type):
        raise TypeError(f"cls must be a class, got {cls!r}; adopt the class, not an instance of it")
    violations = check(cls, contract)
    if violations:
        error = ContractError(cls.__name__, violations)
        if inherited(contract, "checks") is not Level.WARN:
            raise error
        warn(str(error))
    place = class_place(cls)
    known = options.name or snake_case(cls.__name__), options.version or version_of(cls)
    plugin = Plugin(kind_of(contract), *known, options.tags, cls, place, contract)
    (inherited(contract, "registry") or common).add(plugin, replace=options.replace)
    return cls
