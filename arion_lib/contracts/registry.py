"""Plugins by kind, name and version.

Idea        Defining a class is registering it: nothing else has to be remembered, and nothing unchecked gets in.
Invariant   One class for each kind, name and version. The same class defined again (a module reloaded, a cell run
            again, a dataclass with slots) replaces itself silently; another one does only with `replace=True`.
When wrong  `DuplicatePlugin` names both places; `UnknownPlugin` says what comes near.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_registry.py
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from arion_lib.contracts.metrics import Figures, metrics_of
from arion_lib.contracts.places import Place
from arion_lib.nearest import did_you_mean

if TYPE_CHECKING:
    from packaging.version import Version


class UnknownPlugin(LookupError):
    """No plugin of that kind, name or version."""


class DuplicatePlugin(ValueError):
    """Another class has this kind, name and version already."""


class Plugin(NamedTuple):
    """A registered class and what is known of it."""

    kind: str
    name: str
    version: str
    tags: frozenset[str]
    cls: type
    place: Place | None

    @property
    def origin(self) -> tuple[str, str]:
        """Module and qualified name: what makes a class the same one when it is defined again."""
        return self.cls.__module__, self.cls.__qualname__

    def metrics(self) -> dict[str, Figures]:
        """Return what was measured of each method, by its name: empty unless the class says `metrics=True`."""
        return {name: found.figures() for name, found in sorted(metrics_of(self.cls).items())}

    def __str__(self) -> str:
        return f"{self.kind}:{self.name} {self.version}"


class Registry:
    """A set of plugins. Thread-safe.

    `discover` is called once, before the first look-up that does not find its plugin at hand, and before the first
    listing: it defines the classes that entry points name.
    """

    def __init__(self, discover: Callable[[], object] | None = None) -> None:
        self._plugins: dict[str, dict[str, dict[str, Plugin]]] = {}
        self._by_origin: dict[tuple[str, tuple[str, str]], Plugin] = {}
        self._lock = threading.RLock()
        self._discover = discover

    def add(self, plugin: Plugin, *, replace: bool = False) -> None:
        """Register `plugin`. Raises `DuplicatePlugin` where another class has its place, `ValueError` for a version
        that is not one (PEP 440)."""
        with self._lock:
            self.refuse_duplicate(plugin, replace=replace)
            self._forget(plugin)
            self._plugins.setdefault(plugin.kind, {}).setdefault(plugin.name, {})[plugin.version] = plugin

    def refuse_duplicate(self, plugin: Plugin, *, replace: bool = False) -> None:
        """Raise what `add` would raise, and change nothing."""
        if plugin.version != "0" and not PLAIN_VERSION.match(plugin.version):
            _parsed(plugin.version)
        there = self._plugins.get(plugin.kind, {}).get(plugin.name, {}).get(plugin.version)
        if there is not None and there.origin != plugin.origin and not replace:
            raise DuplicatePlugin(_duplicate(plugin, there))

    def _forget(self, plugin: Plugin) -> None:
        """Drop what an earlier definition of the same class registered, under whatever name."""
        key = plugin.kind, plugin.origin
        there = self._by_origin.get(key)
        if there is not None:
            versions = self._plugins.get(there.kind, {}).get(there.name, {})
            if versions.get(there.version) is there:
                del versions[there.version]
            if not versions:
                self._plugins.get(there.kind, {}).pop(there.name, None)
        self._by_origin[key] = plugin

    def remove(self, kind: str, name: str) -> None:
        """Forget all versions of a plugin. Raises `UnknownPlugin` if there is none."""
        with self._lock:
            self._versions(kind, name)
            del self._plugins[kind][name]

    def get(self, kind: str, name: str, version: str = "") -> type:
        """Return the class; of several versions the newest that fits `version`, a specifier like `">=1.2,<2"`.

        Raises `UnknownPlugin` with the nearest names.
        """
        return self.find(kind, name, version).cls

    def find(self, kind: str, name: str, version: str = "") -> Plugin:
        """Return the plugin that `get` returns the class of."""
        with self._lock:
            if name not in self._plugins.get(kind, {}):
                self._ensure_discovered()
            return _newest(self._versions(kind, name), version)

    def create(self, kind: str, name: str, *args: object, version: str = "", **kwargs: object) -> object:
        """Return a new instance of the plugin."""
        return self.get(kind, name, version)(*args, **kwargs)

    def plugins(self, kind: str | None = None, *, tags: Iterable[str] = ()) -> list[Plugin]:
        """List the plugins, of one kind or of all, that have all of these tags: by kind, name and version."""
        wanted = frozenset(tags)
        with self._lock:
            self._ensure_discovered()
            if kind is not None and kind not in self._plugins:
                raise UnknownPlugin(_unknown("kind", kind, self._plugins))
            found = [
                plugin
                for key, names in self._plugins.items()
                for versions in names.values()
                for plugin in versions.values()
                if kind in (None, key) and wanted <= plugin.tags
            ]
        return sorted(found, key=lambda plugin: (plugin.kind, plugin.name, _parsed(plugin.version)))

    def _versions(self, kind: str, name: str) -> dict[str, Plugin]:
        if kind not in self._plugins:
            raise UnknownPlugin(_unknown("kind", kind, self._plugins))
        names = self._plugins[kind]
        if name not in names:
            raise UnknownPlugin(_unknown("plugin", name, names, of=f" of kind {kind!r}"))
        return names[name]

    def _ensure_discovered(self) -> None:
        """Discover at most once; a plugin that looks something up while it is loaded sees what is there so far."""
        discover, self._discover = self._discover, None
        if discover is not None:
            discover()


PLAIN_VERSION = re.compile(r"\d+(\.\d+)*$")


def _newest(versions: dict[str, Plugin], specifier: str) -> Plugin:
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(specifier, prereleases=True if specifier else None)
    fitting = [plugin for text, plugin in versions.items() if not specifier or wanted.contains(text)]
    if not fitting:
        plugin = next(iter(versions.values()))
        known = ", ".join(sorted(versions, key=_parsed))
        raise UnknownPlugin(f"{plugin.kind} {plugin.name!r}: version must match {specifier!r}, got only {known}")
    return max(fitting, key=lambda plugin: (not _parsed(plugin.version).is_prerelease, _parsed(plugin.version)))


def _parsed(version: str) -> Version:
    from packaging.version import InvalidVersion, Version  # 15 ms to import: only once something is registered

    try:
        return Version(version)
    except InvalidVersion:
        raise ValueError(f"version must be like '1.2' (PEP 440), got {version!r}") from None


def _unknown(what: str, word: str, known: Iterable[str], of: str = "") -> str:
    """
    >>> _unknown("kind", "procesors", ["processors", "validators"])
    "no kind 'procesors'; did you mean 'processors'? (known: processors, validators)"
    """
    names = sorted(known)
    return f"no {what} {word!r}{of}{did_you_mean(word, names)} (known: {', '.join(names) or 'none'})"


def _duplicate(plugin: Plugin, there: Plugin) -> str:
    return (
        f"{plugin} must be registered once, got {plugin.cls.__qualname__} ({plugin.place}) beside "
        f"{there.cls.__qualname__} ({there.place}); choose another name or version, or say replace=True"
    )
