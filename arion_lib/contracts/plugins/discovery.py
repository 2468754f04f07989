"""Plugins that other packages bring: entry points of the group `arion_lib.plugins`.

Idea        An installed package names its plugins in its metadata; importing what it names defines and registers them.
Invariant   One broken plugin never hides the others: each is loaded on its own, and its failure is a line of a report.
When wrong  The report says which entry point was skipped, with the error that its import raised. It stays with the
            registry: `registry.report`.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_discovery.py

    [project.entry-points."arion_lib.plugins"]
    parquet = "my_package.plugins:ParquetProcessor"    # a class, or a module that defines classes
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata

from arion_lib.contracts.plugins.report import Loaded, Report, Skipped
from arion_lib.contracts.registry import Plugin, Registry
from arion_lib.units import how_many

log = logging.getLogger(__name__)

GROUP = "arion_lib.plugins"

BUILT_IN = ("processors", "validators", "transformers")
"""The modules of this package that define plugins. Named here, so that a clone that is not installed finds them too."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may define plugins when it is loaded."""

    name: str
    value: str  # module or module:attribute
    load: Callable[[], object]


def registry_for(group: str) -> Registry:
    """Return a registry that loads, before its first look-up, the entry points of a group of your own.

    >>> registry_for("my_application.exporters").plugins()
    []
    """
    return Registry(lambda registry: discover(registry, entry_points(group)))


def discover(registry: Registry, candidates: Iterable[Candidate] | None = None) -> Report:
    """Load every candidate (by default the built-in modules and all entry points) and report on each.

    Never raises on account of a candidate.
    """
    loaded: list[Loaded] = []
    skipped: list[Skipped] = []
    for candidate in built_in() + entry_points() if candidates is None else candidates:
        found = _load(candidate, registry)
        if isinstance(found, Loaded):
            loaded.append(found)
        else:
            skipped.append(found)
            log.warning("plugin %s (%s) was skipped: %s", found.name, found.value, found.reason)
    return Report(tuple(loaded), tuple(skipped))


def built_in() -> list[Candidate]:
    """Return the plugins that this package ships."""
    package = __name__.rpartition(".")[0]
    return [Candidate(name, f"{package}.{name}", _importer(f"{package}.{name}")) for name in BUILT_IN]


def _importer(module: str) -> Callable[[], object]:
    return lambda: importlib.import_module(module)


def entry_points(group: str = GROUP) -> list[Candidate]:
    """Return what installed packages offer in `group`, by name. Reads metadata, imports nothing."""
    found = sorted(metadata.entry_points(group=group), key=lambda point: (point.name, point.value))
    return [Candidate(point.name, point.value, point.load) for point in found]


def _load(candidate: Candidate, registry: Registry) -> Loaded | Skipped:
    before = {id(plugin.cls) for plugin in registry.defined()}
    try:
        thing = candidate.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's import is foreign code; it must not hide others
        return Skipped(candidate.name, candidate.value, f"{type(error).__name__}: {_first_line(error)}")
    plugins = registry.defined()
    new = [str(plugin) for plugin in plugins if id(plugin.cls) not in before]
    if not new and not _holds_plugins(thing, plugins):
        reason = "it defines no plugin; name a class that keeps a contract, or a module that defines one"
        return Skipped(candidate.name, candidate.value, reason)
    return Loaded(candidate.name, candidate.value, tuple(new))


def _first_line(error: BaseException) -> str:
    """Return the first line of an error's message, and how many more there are."""
    lines = str(error).splitlines() or [""]
    return lines[0] + (f" (+{how_many(len(lines) - 1, 'lines')})" if len(lines) > 1 else "")


def _holds_plugins(thing: object, plugins: Iterable[Plugin]) -> bool:
    known = {id(plugin.cls) for plugin in plugins}
    return id(thing) in known or any(id(value) in known for value in getattr(thing, "__dict__", {}).values())
