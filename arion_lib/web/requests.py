"""What one post asks for, read from its head: the only place that knows header and query names.

Idea        Everything that can be refused early is refused here, before a byte of the body is read.
Invariant   A `Post` that exists has a stream's name, a recipe that makes sense and a length that the limits allow.
When wrong  A `Problem`: 400 for a query or header that makes no sense, 405, 413, 415, each with what to send instead.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_webhook.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

from arion_lib.pipeline.formats.records import LINE_TYPES, SNIFFED_TYPES
from arion_lib.pipeline.shapes.recipe import Recipe, read_recipe
from arion_lib.pipeline.shapes.rows import row_reader
from arion_lib.pipeline.stores.addresses import checked_stream
from arion_lib.pipeline.stores.plan import LETTER_LIMIT
from arion_lib.web.problems import Problem
from arion_lib.web.streams import Rules, Streams

PREFIX = "/webhook/"

_ID_LIMIT = 256  # characters of a webhook-id: what the Standard Webhooks senders keep to, with room
_ID = re.compile(rb"[ -~]{1,%d}" % _ID_LIMIT)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one post, and all posts together, may take of the server. Sizes are bytes, times are seconds."""

    max_body: int = 16 << 30  # as sent
    max_inflated: int = 64 << 30  # of a compressed body
    max_record: int = 1 << 20
    max_spool: int = 4 << 30  # of signed bodies longer than a block, together, until they are verified
    max_in_flight: int = 1_024  # posts being received or committed
    max_waiting: int = 4_096  # batches that wait for a transaction
    idle: float = 30.0
    slowest: float = 100.0  # bytes a second of waiting

    def __post_init__(self) -> None:
        """Check that each is positive, and a record's size what decoders and dead letters take. Raises `ValueError`."""
        if not 64 <= self.max_record <= LETTER_LIMIT:
            raise ValueError(f"max_record must be >= 64 and <= {LETTER_LIMIT} bytes, got {self.max_record}")
        for name in self.__slots__:
            if getattr(self, name) <= 0 and name != "slowest":
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Target:
    """What a post's path, query and types ask for; the same value for all posts that ask the same."""

    stream: str
    rules: Rules
    recipe: Recipe | None  # None: the body's first line is the recipe
    content_type: str  # without parameters, in lower case; "" when the sender did not say
    gzip: bool
    read_row: Callable[[bytes], bytes | None] | None  # the short way for a single event, where there is one


@dataclass(slots=True)
class Post:
    """The head of one post, understood. Never changed; not frozen because one is made for every post."""

    target: Target
    delivery: str | None  # the webhook-id
    headers: Mapping[bytes, bytes]


def read_post(scope: Mapping[str, Any], limits: Limits, streams: Streams) -> Post:
    """Understand the head of a post to `/webhook/{stream}`. Raises `Problem`. Cost: microseconds, no waiting."""
    if scope["method"] != "POST":
        raise Problem(405, "the method must be POST", scope["method"], "post the event", headers={"allow": "POST"})
    headers = dict(scope["headers"])
    get = headers.get
    read = read_target if len(scope["query_string"]) + len(scope["path"]) <= 1_024 else read_target.__wrapped__
    target = read(
        _path(scope),
        scope["query_string"],
        get(b"content-type", b""),
        get(b"content-encoding", b""),
        limits.max_record,
        streams,
    )
    if (length := get(b"content-length")) is not None:
        _check_length(length, limits.max_body)
    delivery = None if target.rules.id_in else delivery_of(headers, target.rules.delivery_header)
    return Post(target, delivery, headers)


@lru_cache(maxsize=512)
def read_target(
    path: str, query: bytes, content_type: bytes, encoding: bytes, max_record: int, streams: Streams
) -> Target:
    """Understand what stays the same from post to post. Raises `Problem`."""
    stream = _stream(path)
    rules = streams.of(stream)
    streams.check_query(rules, query)
    recipe = rules.recipe or _recipe(query)
    return Target(
        stream,
        rules,
        recipe,
        _content_type(content_type),
        _gzip(encoding),
        None if recipe is None or rules.keep_headers is not None else _row_reader(recipe, max_record),
    )


def _row_reader(recipe: Recipe, max_record: int) -> Callable[[bytes], bytes | None] | None:
    try:
        return row_reader(recipe, max_record)
    except (ValueError, TypeError, RecursionError) as error:
        raise Problem.of(400, "the configuration must fit the body", error, "see /docs") from error


def _path(scope: Mapping[str, Any]) -> str:
    """Return the path; one whose escapes are not UTF-8 names no stream, lest two such names become one."""
    path: str = scope["path"]
    if "\ufffd" in path:
        try:
            unquote_to_bytes(scope.get("raw_path") or path.encode()).decode()
        except UnicodeDecodeError:
            raise Problem(400, "the path must be UTF-8", repr(path[:80]), "post to /webhook/{stream}") from None
    return path


def _stream(path: str) -> str:
    try:
        return checked_stream(path.removeprefix(PREFIX))
    except ValueError as error:
        do = "post to /webhook/{stream}"
        raise Problem.of(400, "the path must name a stream", error, do) from error


def _recipe(query: bytes) -> Recipe | None:
    wishes = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    if wishes.pop("config", None) == ["body"]:
        if wishes:
            raise Problem(
                400, "config=body must stand alone", ", ".join(wishes), "move them into the body's first line"
            )
        return None
    return recipe_of(wishes)


def recipe_of(wishes: Mapping[str, Any]) -> Recipe:
    """Make the recipe that a query or a body's first line wishes for. Raises `Problem` 400."""
    try:
        return read_recipe(wishes)
    except ValueError as error:
        do = "see /docs for the parameters of this webhook"
        raise Problem.of(400, "the configuration must be understood", error, do) from error


_PARAMETER = re.compile(r"""[ \t]*;[ \t]*(?:([^\s;=,"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?""")


def _content_type(value: bytes) -> str:
    media_type, semicolon, rest = value.decode("latin-1").partition(";")
    name, parameters = media_type.strip().lower(), (semicolon + rest).rstrip()
    place = 0
    while place < len(parameters):
        found = _PARAMETER.match(parameters, place)
        if found is None:
            got = repr(parameters[:40])
            raise Problem(415, "content-type's parameters must be like charset=utf-8", got, "leave them out")
        place, charset = found.end(), (found[2] or "").strip('"').lower()
        if (found[1] or "").lower() == "charset" and charset not in ("utf-8", "utf8", "us-ascii"):
            raise Problem(415, "the charset must be utf-8", repr(charset[:40]), "encode the body as UTF-8")
    if name in LINE_TYPES or name in SNIFFED_TYPES or name.endswith("+json"):
        return name
    raise Problem(
        415,
        "content-type must say JSON (application/json, text/json, ...+json), lines of it (application/x-ndjson, "
        "application/jsonl), or leave it to the body's first bytes (text/plain, application/octet-stream)",
        repr(name[:100]),
        "say what the body is, or leave the header out and let its first bytes tell",
        headers={"accept-post": "application/json, application/x-ndjson"},
    )


def _gzip(encoding: bytes) -> bool:
    name = encoding.strip().lower()
    if name in (b"gzip", b"x-gzip"):
        return True
    if name in (b"identity", b""):
        return False
    raise Problem(
        415,
        "content-encoding must be gzip or identity",
        repr(name[:40].decode("latin-1")),
        "compress with gzip, or not at all",
        headers={"accept-encoding": "gzip, identity"},
    )


def _check_length(value: bytes, most: int) -> None:
    # uvicorn's parser has refused what is not a number already; h11 and other servers may not.
    if not value.isdigit():
        raise Problem(
            400, "content-length must be digits", repr(value[:40].decode("latin-1")), "send the body's length"
        )
    if int(value[:20]) > most:
        raise Problem(413, f"the body must be <= {most} bytes", f"{int(value[:20])} bytes", "send it in several posts")


def delivery_of(headers: Mapping[bytes, bytes], header: bytes) -> str | None:
    """Return the delivery's id, where the sender gave one. Raises `Problem` 400."""
    value = headers.get(header)
    if value is None:
        return None
    name = value.decode("latin-1")
    if _ID.fullmatch(value) is None:
        raise Problem(
            400,
            f"{header.decode()} must be 1 to {_ID_LIMIT} printable ASCII characters",
            repr(name[:80]),
            "use a UUID, say",
        )
    return name


def first_line(block: bytes) -> tuple[Recipe, bytes]:
    """Split a body whose first line is its recipe (`config=body`). Raises `Problem` 400.

    >>> first_line(b'{"group_by": ["type"]}\\n{"type": "a"}')[1]
    b'{"type": "a"}'
    """
    line, newline, rest = block.partition(b"\n")
    try:
        wishes = json.loads(line)
    except (ValueError, RecursionError):
        wishes = None
    if not newline or not isinstance(wishes, dict):
        raise Problem(
            400,
            "with config=body the first line must be a JSON object",
            repr(line[:80].decode("latin-1")),
            'send {"group_by": ["type"]} and a newline first, say',
        )
    return recipe_of(wishes), rest
