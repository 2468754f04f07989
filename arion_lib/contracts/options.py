"""What the metaclass knows of a class it made: the words of its statement, its place, its promises.

Idea        One record for each class, kept in the class's own dictionary: it goes where the class goes.
Invariant   A word that a class does not say is inherited along the method resolution order.
When wrong  A word of the wrong type is refused where it is written.
See         arion_lib/contracts/contract.py · tests/contracts/test_registry.py
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from arion_lib.contracts.checks.levels import Level, level
from arion_lib.contracts.messages.places import Place
from arion_lib.contracts.promises import Promise
from arion_lib.contracts.registry import Plugin, Registry, registry

SPEC = "__contract_spec__"
WORDS = ("kind", "name", "version", "tags", "replace", "abstract", "checks", "metrics", "registry", "register")


@dataclass(frozen=True, slots=True)
class Options:
    """The words of a class statement: `class Csv(Processor, name="csv", tags=["text"])`. `None`: inherited."""

    kind: str | None = None
    name: str | None = None
    version: str | None = None
    tags: frozenset[str] = frozenset()
    replace: bool = False
    abstract: bool = False
    checks: Level | None = None
    metrics: bool | None = None
    registry: Registry | None = None
    register: bool | None = None


_NO_WORDS = Options()
_NO_REGISTRY = Registry()


def _tags(given: Any) -> frozenset[str]:
    if isinstance(given, str):
        raise TypeError(f"tags must be a list of texts, got {given!r}; write [{given!r}]")
    tags = list(given) if isinstance(given, Iterable) else [given]
    if not isinstance(given, Iterable) or not all(isinstance(tag, str) for tag in tags):
        raise TypeError(f"tags must be a list of texts, got {given!r}")
    return frozenset(tags)


def options_of(words: Mapping[str, Any]) -> Options:
    if not words:
        return _NO_WORDS
    found = dict(words)
    for name in ("kind", "name", "version"):
        if name in found and (not isinstance(found[name], str) or not found[name]):
            raise TypeError(f"{name} must be a text that is not empty, got {found[name]!r}")
    for name in ("replace", "abstract", "metrics", "register"):
        if name in found and not isinstance(found[name], bool):
            raise TypeError(f"{name} must be True or False, got {found[name]!r}")
    if not isinstance(found.get("registry", _NO_REGISTRY), Registry):
        raise TypeError(f"registry must be a Registry, got {found['registry']!r}")
    if "tags" in found:
        found["tags"] = _tags(found["tags"])
    if "checks" in found:
        found["checks"] = level(found["checks"])
    return Options(**found)


@dataclass(slots=True)
class Spec:
    """What the metaclass knows of a class it made."""

    options: Options
    is_contract: bool
    place: Place | None
    names: Mapping[str, Any] = field(default_factory=dict)  # local names that its string annotations use
    promises: list[Promise] = field(default_factory=list)  # of a contract
    replaced: dict[str, Any] = field(default_factory=dict)  # what guards stand in front of; MISSING: nothing of its own
    stood: dict[str, list[tuple[Any, Any]]] = field(default_factory=dict)  # objects before patches, and what they hid
    cls: type | None = None
    version: str = ""  # that it was registered with
    locked: bool = False
    contracts: list[type] | None = None  # that the class keeps, once asked for
    alone: list[tuple[str, list[Promise]]] | None = None  # of a contract: its promises by name, once asked for

    @property
    def instantiable(self) -> bool:
        return not (self.is_contract or self.options.abstract)


def spec_of(cls: type) -> Spec | None:
    """Return what the metaclass knows of `cls` itself; `None` if it did not make it."""
    found: Spec | None = cls.__dict__.get(SPEC)
    return found


def level_of(cls: type) -> Level:
    return inherited(cls, "checks") or Level.FAST


def settings_of(cls: type) -> tuple[Level, bool]:
    """Return the level of checks and whether calls are measured, in one walk along the bases."""
    checks: Level | None = None
    metrics: bool | None = None
    for base in cls.__mro__:
        spec: Spec | None = base.__dict__.get(SPEC)
        if spec is not None:
            options = spec.options
            checks = options.checks if checks is None else checks
            metrics = options.metrics if metrics is None else metrics
    return checks or Level.FAST, bool(metrics)


def inherited(cls: type, word: str) -> Any:
    for base in cls.__mro__:
        spec: Spec | None = base.__dict__.get(SPEC)
        if spec is not None and (found := getattr(spec.options, word)) is not None:
            return found
    return None


def kind_of(contract: type) -> str:
    """Return what the plugins of `contract` are found under."""
    spec = spec_of(contract)
    return (spec.options.kind if spec is not None else None) or f"{snake_case(contract.__name__)}s"


@lru_cache(maxsize=1_000)
def snake_case(name: str) -> str:
    """Return a class's name as a plugin's.

    >>> snake_case("CsvProcessor"), snake_case("HTTPSource")
    ('csv_processor', 'http_source')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def version_of(cls: type) -> str:
    """Return a class's `version` attribute, "0" if that is not a text; the registry refuses what is not PEP 440."""
    value = getattr(cls, "version", None)
    return value if isinstance(value, str) else "0"


def register_under(contracts: Sequence[type], cls: type, spec: Spec) -> None:
    """Register `cls` under each of these contracts, or under none."""
    options = spec.options
    name = options.name or snake_case(cls.__name__)
    spec.version = version = options.version or spec.version or version_of(cls)
    places: list[tuple[Registry, Plugin]] = []
    for contract in contracts:
        plugin = Plugin(kind_of(contract), name, version, options.tags, cls, spec.place, contract)
        places.append((inherited(contract, "registry") or registry, plugin))
    for where, plugin in places if len(places) > 1 else ():
        where.refuse_duplicate(plugin, replace=options.replace)
    for where, plugin in places:
        where.add(plugin, replace=options.replace)
