"""Plugins by kind, name and version.

Idea        Defining a class is registering it: nothing else has to be remembered, and nothing unchecked gets in.
Invariant   One class for each contract, name and version. The same class defined again (of the same name in the same
            module: reloaded, a cell run again, a dataclass with slots, a fake in two tests) replaces itself silently;
            another one does only with `replace=True`. A name or version that is not defined any more stays.
When wrong  `DuplicatePlugin` names both places; `UnknownPlugin` says what comes near.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_registry.py
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from arion_lib.contracts.messages.places import Place
from arion_lib.contracts.plugins.metrics import Figures, metrics_of
from arion_lib.contracts.plugins.report import Report
from arion_lib.nearest import did_you_mean

if TYPE_CHECKING:
    from packaging.version import Version


class UnknownPlugin(LookupError):
    """No plugin of that kind, name or version."""


class DuplicatePlugin(ValueError):
    """Another class has this kind, name and version already."""


class Plugin(NamedTuple):
    """A registered class and what is known of it. `contract` is the one it is registered under."""

    kind: str
    name: str
    version: str
    tags: frozenset[str]
    cls: type
    place: Place | None
    contract: type | None = None

    @property
    def origin(self) -> tuple[str, str]:
        """Module and class name: what makes a class the same one when it is defined again."""
        return module_of(self.cls), self.cls.__name__

    @property
    def key(self) -> Key:
        of = self.contract
        return Key(self.kind, module_of(of), of.__qualname__) if of is not None else Key(self.kind, "", "")

    def metrics(self) -> dict[str, Figures]:
        """Return what was measured of each method, by its name: empty unless the class says `metrics=True`."""
        return {name: found.figures() for name, found in sorted(metrics_of(self.cls).items())}

    def __str__(self) -> str:
        return f"{self.kind}:{self.name} {self.version}"


class Key(NamedTuple):
    """What plugins are kept under: a kind's text and the contract it belongs to, by module and qualified name."""

    kind: str
    module: str
    contract: str


def module_of(cls: type) -> str:
    """Return the module a class was defined in, by its importable name: `python -m shop.jobs` runs as `__main__`."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None) if cls.__module__ == "__main__" else None
    return spec.name if spec is not None else cls.__module__


Versions = dict[str, Plugin]


class Registry:
    """A set of plugins. Thread-safe: no lock is held while modules are imported.

    `discover` is called with the registry before the first look-up that does not find its plugin at hand, and before
    the first listing: it defines the classes that entry points name. Threads that ask at the same time may each call
    it; modules are imported once all the same. A plugin that looks something up while it is loaded sees what is there.
    """

    def __init__(self, discover: Callable[[Registry], Report] | None = None) -> None:
        self._plugins: dict[Key, dict[str, Versions]] = {}
        self._lock = threading.Lock()
        self._discover = discover
        self._discovering = threading.local()
        self.report: Report | None = None
        """What automatic discovery found; `None` until it has run."""

    def add(self, plugin: Plugin, *, replace: bool = False) -> None:
        """Register `plugin`. Raises `DuplicatePlugin` where another class has its place, `ValueError` for a version
        that is not one (PEP 440)."""
        self.refuse_duplicate(plugin, replace=replace)
        with self._lock:  # asked again: another thread may have registered one meanwhile
            key = self.refuse_duplicate(plugin, replace=replace)
            self._plugins.setdefault(key, {}).setdefault(plugin.name, {})[plugin.version] = plugin

    def refuse_duplicate(self, plugin: Plugin, *, replace: bool = False) -> Key:
        """Raise what `add` would raise, and change nothing; returns what the plugin is kept under."""
        key = plugin.key
        if plugin.version != "0" and not PLAIN_VERSION.match(plugin.version):
            _parsed(plugin.version)
        there = self._plugins.get(key, {}).get(plugin.name, {}).get(plugin.version)
        if there is not None and there.origin != plugin.origin and not replace:
            raise DuplicatePlugin(_duplicate(plugin, there))
        return key

    def remove(self, kind: str | type, name: str) -> None:
        """Forget all versions of a plugin. Raises `UnknownPlugin` if there is none."""
        key, _ = self._named(kind, name)
        with self._lock:
            self._plugins.get(key, {}).pop(name, None)

    def get(self, kind: str | type, name: str, version: str = "") -> type:
        """Return the class; of several versions the newest that fits `version`, a specifier like `">=1.2,<2"`.

        `kind` is the contract, or its kind as a text. Raises `UnknownPlugin` with the nearest names, and where two
        contracts have the same kind and both a plugin of this name: then pass the contract.
        """
        return self.find(kind, name, version).cls

    def find(self, kind: str | type, name: str, version: str = "") -> Plugin:
        """Return the plugin that `get` returns the class of."""
        if not any(name in names for names in self._of_kind(kind).values()):
            self._ensure_discovered()
        _, versions = self._named(kind, name)
        return _newest(versions, version)

    def create(self, kind: str | type, name: str, *args: object, version: str = "", **kwargs: object) -> object:
        """Return a new instance of the plugin."""
        return self.get(kind, name, version)(*args, **kwargs)

    def plugins(self, kind: str | type | None = None, *, tags: Iterable[str] = ()) -> list[Plugin]:
        """List the plugins, of one kind or of all, that have all of these tags: by kind, name and version."""
        wanted = frozenset(tags)
        self._ensure_discovered()
        if isinstance(kind, str) and not self._of_kind(kind):
            raise UnknownPlugin(_unknown("kind", kind, self._kinds()))
        found = [plugin for plugin in self.defined(kind) if wanted <= plugin.tags]
        return sorted(found, key=lambda plugin: (plugin.kind, plugin.name, _parsed(plugin.version)))

    def defined(self, kind: str | type | None = None) -> list[Plugin]:
        """List what is registered by now, in no order; discovers nothing."""
        known = self._of_kind(kind).values()
        return [plugin for names in known for versions in names.values() for plugin in versions.values()]

    def _of_kind(self, kind: str | type | None) -> dict[Key, dict[str, Versions]]:
        """Return a copy of what is registered under `kind`."""
        with self._lock:
            return {
                key: {name: dict(versions) for name, versions in names.items()}
                for key, names in self._plugins.items()
                if names and (kind is None or _is_of(key, kind))
            }

    def _kinds(self) -> set[str]:
        with self._lock:
            return {key.kind for key, names in self._plugins.items() if names}

    def _named(self, kind: str | type, name: str) -> tuple[Key, Versions]:
        known = self._of_kind(kind)
        if not known and isinstance(kind, str):
            raise UnknownPlugin(_unknown("kind", kind, self._kinds()))
        found = [(key, names[name]) for key, names in known.items() if name in names]
        if not found:
            word = kind if isinstance(kind, str) else kind.__name__
            raise UnknownPlugin(_unknown("plugin", name, {n for names in known.values() for n in names}, word))
        if len(found) > 1:
            contracts = " and ".join(sorted(f"{key.module}.{key.contract}" for key, _ in found))
            raise UnknownPlugin(f"kind {kind!r} must be of one contract, {contracts} have {name!r}; pass the contract")
        return found[0]

    def _ensure_discovered(self) -> None:
        """Discover unless it was done, or this thread is just doing it. No lock is held meanwhile."""
        if self._discover is None or self.report is not None or getattr(self._discovering, "now", False):
            return
        self._discovering.now = True
        try:
            report = self._discover(self)
            if self.report is None:
                self.report = report
        finally:
            self._discovering.now = False


def _discover(registry: Registry) -> Report:
    from arion_lib.contracts.plugins.discovery import discover

    return discover(registry)


registry = Registry(_discover)
"""Where plugins are registered unless their contract names another registry."""


def _is_of(key: Key, kind: str | type) -> bool:
    if isinstance(kind, str):
        return key.kind == kind
    return (key.module, key.contract) == (module_of(kind), kind.__qualname__)


PLAIN_VERSION = re.compile(r"\d+(\.\d+)*$")


def _newest(versions: dict[str, Plugin], specifier: str) -> Plugin:
    from packaging.specifiers import SpecifierSet

    parsed = {text: _parsed(text) for text in versions}
    wanted = SpecifierSet(specifier, prereleases=True if specifier else None)
    fitting = [plugin for text, plugin in versions.items() if not specifier or wanted.contains(text)]
    if not fitting:
        plugin = next(iter(versions.values()))
        known = ", ".join(sorted(versions, key=parsed.__getitem__))
        raise UnknownPlugin(f"{plugin.kind} {plugin.name!r}: version must match {specifier!r}, got only {known}")
    return max(fitting, key=lambda p: (not parsed[p.version].is_prerelease, parsed[p.version]))


def _parsed(version: str) -> Version:
    from packaging.version import InvalidVersion, Version  # 15 ms to import: only once something is registered

    try:
        return Version(version)
    except InvalidVersion:
        raise ValueError(f"version must be like '1.2' (PEP 440), got {version!r}") from None


def _unknown(what: str, word: str, known: Iterable[str], kind: str = "") -> str:
    """
    >>> _unknown("kind", "procesors", ["processors", "validators"])
    "no kind 'procesors'; did you mean 'processors'? (known: processors, validators)"
    """
    names = sorted(known)
    of = f" of kind {kind!r}" if kind else ""
    return f"no {what} {word!r}{of}{did_you_mean(word, names)} (known: {', '.join(names) or 'none'})"


def _duplicate(plugin: Plugin, there: Plugin) -> str:
    return (
        f"{plugin} must be registered once, got {plugin.cls.__qualname__} ({plugin.place}) beside "
        f"{there.cls.__qualname__} ({there.place}); choose another name or version, say replace=True, or"
        f" register=False for a class that need not be found"
    )
