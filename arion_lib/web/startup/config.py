"""The service's configuration, from a file: `serve --config arion.toml`.

Idea        A sender may ask for a recipe in its query; an owner who names a stream here decides instead: what is kept,
            who may send, how a delivery is recognised. The file is read once, at the start.
Invariant   What a stream's table says holds for every post to it; an option of the command line wins over the file. A
            secret stands in the environment or a file of its own, never in this one.
When wrong  `ConfigError` lists every mistake of the file at once, and nothing is opened.
See         tests/web/test_config.py, which serves the example below

    unknown_streams = "refuse"            # or "take" (the default)
    queries = false                       # senders may not configure streams by their query (default: true)

    [streams.payments]
    group_by = ["currency"]               # fields, group_by, sum_field, path, dedupe, window, figures: as in the query
    sum_field = "amount"
    secret_env = "PAYMENTS_SECRET"        # or secret_file = "..."; several with blanks between; only this stream's
    scheme = "standard"                   # Standard Webhooks; or "svix", "github", "shopify"

    [streams.builds]
    secret_file = "/run/secrets/builds"
    scheme = {header = "x-signature", prefix = "sha256=", encoding = "hex"}
    delivery_header = "x-request-id"      # where the sender puts its delivery's id
    keep_headers = ["x-request-id", "x-build"]   # kept beside each row and message, with the time it came
    keep = "90d"                          # this stream's rows and dead letters: longer than others; or "forever"

    [streams.payouts]
    delivery_field = "event.id"           # or it stands in the body, which is one JSON object of --max-line bytes then

    [limits]                              # as the options: max_body, max_inflated, max_line, max_spool, max_in_flight,
    max_body = "25m"                      # batch, idle

    [retention]
    keep = "7d"                           # rows and dead letters; remember: ids of deliveries and events
"""

from __future__ import annotations

import argparse
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

from arion_lib.nearest import nearest
from arion_lib.pipeline.shapes.recipe import Recipe, read_recipe
from arion_lib.pipeline.stores.addresses import checked_stream
from arion_lib.web.signatures import HmacVerifier, Verifier
from arion_lib.web.startup.options import FROM_FILE, age
from arion_lib.web.startup.texts import text_of
from arion_lib.web.streams import IdIn, Rules, Streams, shared_secrets

SCHEMES: Mapping[str, Mapping[str, str]] = {
    "github": {"header": "x-hub-signature-256", "prefix": "sha256=", "encoding": "hex"},
    "shopify": {"header": "x-shopify-hmac-sha256", "prefix": "", "encoding": "base64"},
}
DELIVERIES = {"github": "x-github-delivery", "shopify": "x-shopify-webhook-id", "svix": "svix-id"}
RECIPE = tuple(one.name for one in fields(Recipe))
KEYS = (*RECIPE, "secret_env", "secret_file", "scheme", "delivery_header", "delivery_field", "keep_headers", "keep")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")


def example() -> str:
    """Return the example above."""
    lines = (__doc__ or "").partition("the example below\n")[2].splitlines()
    return "\n".join(line.removeprefix("    ") for line in lines).strip() + "\n"


class ConfigError(ValueError):
    """The file cannot be followed; `mistakes` are all of them."""

    def __init__(self, name: str, mistakes: Sequence[str]) -> None:
        super().__init__(f"{name} must be a service's configuration, got " + "; ".join(mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True)
class Config:
    """What the file says: `options` are those of the command line that it sets, by their names there."""

    streams: Streams
    options: Mapping[str, Any]


def read_config(path: Path, secrets: Sequence[str] = ()) -> Config:
    """Read the file; `secrets` are those of the stream that names none. Raises `ValueError`, `OSError`."""
    mistakes: list[str] = []
    try:
        found = tomllib.loads(text_of(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [f"no TOML: {error}"]) from None
    _check_keys("", found, ("unknown_streams", "queries", "streams", *FROM_FILE), mistakes)
    unknown, queries = found.get("unknown_streams", "take"), found.get("queries", True)
    if unknown not in ("take", "refuse"):
        mistakes.append(f'unknown_streams must be "take" or "refuse", got {unknown!r:.60}')
    if not isinstance(queries, bool):
        mistakes.append(f"queries must be true or false, got {queries!r:.60}")
    ours = Verifier(secrets) if secrets else None
    named: dict[str, Rules] = {}
    for name in (streams := _table("streams", found, mistakes)):
        table = _table(f"streams.{name}", {f"streams.{name}": streams[name]}, mistakes)
        _noted(mistakes, f"[streams.{name}]", lambda name=name: checked_stream(name))  # type: ignore[misc]
        named[name] = _rules(f"[streams.{name}]", table, ours, mistakes)
    others = Rules(verifier=ours) if unknown == "take" else None
    if unknown == "refuse" and not streams:
        mistakes.append('unknown_streams must be "take" where no [streams.NAME] is named: nothing would be taken')
    mistakes += shared_secrets(named, others)
    options = {key: value for name in FROM_FILE for key, value in _options(name, found, mistakes)}
    if mistakes:
        raise ConfigError(str(path), mistakes)
    return Config(Streams(named, others, queries), options)


def _table(name: str, found: Mapping[str, Any], mistakes: list[str]) -> Mapping[str, Any]:
    table = found.get(name, {})
    if isinstance(table, dict):
        return table
    mistakes.append(f"[{name}] must be a table, got {table!r:.60}")
    return {}


def _options(name: str, found: Mapping[str, Any], mistakes: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the command's options that a table sets."""
    table, kinds = _table(name, found, mistakes), FROM_FILE[name]
    _check_keys(f"[{name}]", table, tuple(kinds), mistakes)
    for key in kinds.keys() & table.keys():
        try:
            yield key, kinds[key](str(table[key]))
        except argparse.ArgumentTypeError as error:
            mistakes.append(f"[{name}] {key} {error}")


def _rules(where: str, table: Mapping[str, Any], ours: Verifier | None, mistakes: list[str]) -> Rules:
    _check_keys(where, table, KEYS, mistakes)
    wishes = {name: table[name] for name in RECIPE if name in table}
    recipe = _noted(mistakes, where, lambda: read_recipe(wishes)) if wishes else None
    scheme = table.get("scheme", "standard")
    verifier = _noted(mistakes, where, lambda: _verifier(table, scheme)) or ours
    preset = DELIVERIES.get(scheme, "webhook-id") if isinstance(scheme, str) else "webhook-id"
    header = table.get("delivery_header", preset)
    if not isinstance(header, str) or not _HEADER.fullmatch(header.lower()):
        mistakes.append(f"{where} delivery_header must be a header's name, got {header!r:.60}")
        header = preset
    inside = table.get("delivery_field")
    if inside is not None and "delivery_header" in table:
        mistakes.append(f"{where} delivery_field must stand alone, got delivery_header as well")
    id_in = None if inside is None else _noted(mistakes, f"{where} delivery_field:", lambda: IdIn(inside))
    keep = _noted(mistakes, f"{where} keep", lambda: _age(table["keep"])) if "keep" in table else None
    kept = _kept(where, table, recipe, mistakes)
    make = partial(Rules, recipe, verifier, header.lower().encode(), id_in, kept, keep)
    return _noted(mistakes, where, make) or Rules()


def _age(text: object) -> float:
    if text == "forever":
        return math.inf
    try:
        return age(str(text))
    except argparse.ArgumentTypeError as error:
        raise ValueError(f'{error}, or be "forever"') from None


def _kept(where: str, table: Mapping[str, Any], recipe: Recipe | None, mistakes: list[str]) -> tuple[str, ...] | None:
    names = table.get("keep_headers")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(one, str) and _HEADER.fullmatch(one.lower()) for one in names):
        mistakes.append(f"{where} keep_headers must be a list of headers' names, got {names!r:.60}")
        return None
    if recipe is not None and recipe.groups:
        mistakes.append(f"{where} keep_headers must be left out where groups are summed: a sum keeps no rows")
    return tuple(name.lower() for name in names)


def _verifier(table: Mapping[str, Any], scheme: object) -> Verifier | HmacVerifier | None:
    places = [name for name in ("secret_env", "secret_file") if name in table]
    if len(places) != 1:
        if not places and "scheme" not in table:
            return None
        raise ValueError(f"scheme must come with one of secret_env and secret_file, got {len(places)}")
    place, name = places[0], table[places[0]]
    if not isinstance(name, str):
        raise TypeError(f"{place} must be text, got {name!r:.60}")
    text = os.environ.get(name, "") if place == "secret_env" else text_of(Path(name))
    secrets = text.split()
    if not secrets:
        raise ValueError(f"{place} must hold a secret, got none in {name}")
    if scheme in ("standard", "svix"):
        return Verifier(secrets, names="webhook" if scheme == "standard" else "svix")
    parts = SCHEMES.get(scheme) if isinstance(scheme, str) else scheme
    if not _is_scheme(parts):
        known = ", ".join(["standard", "svix", *SCHEMES])
        raise ValueError(f"scheme must be of {known}, or have header, prefix and encoding, got {scheme!r:.80}")
    return HmacVerifier(secrets, **parts)


def _is_scheme(parts: object) -> TypeGuard[Mapping[str, str]]:
    if not isinstance(parts, Mapping) or not all(isinstance(part, str) for part in parts.values()):
        return False
    return {"header"} <= set(parts) <= {"header", "prefix", "encoding"}


def _check_keys(where: str, table: Mapping[str, Any], known: Sequence[str], mistakes: list[str]) -> None:
    for name in table:
        if name not in known:
            close = nearest(name, known)
            meant = f": did you mean {close}?" if close else ""
            mistakes.append(f"{where} {name!r} must be one of {', '.join(known)}{meant}".strip())


def _noted(mistakes: list[str], where: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except (ValueError, TypeError, OSError) as error:
        mistakes.append(f"{where} {error}")
        return None
