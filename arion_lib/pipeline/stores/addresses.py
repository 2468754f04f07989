"""Where a store or a queue is, as one line of text that may be shown.

Idea        A URL says which implementation and where; `masked` is the only form that enters a message or a log.
Invariant   A password never appears in a repr, an error or a log line.
When wrong  An unknown scheme is refused with the list of those that exist.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_addresses.py
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

from arion_lib.masking import masked

_DRIVE = re.compile(r"/?[A-Za-z]:[\\/]")

STREAM_LIMIT = 80
"""Bytes (UTF-8) of a stream's name, at most: it becomes part of keys, headers and file names."""


def scheme(url: str | os.PathLike[str]) -> str:
    """Return what stands before `://`, in lower case; "" for a plain path.

    >>> scheme("postgresql://db/x"), scheme("C:/data/x.db")
    ('postgresql', '')
    """
    head, found, _ = os.fspath(url).partition("://")
    return head.lower() if found else ""


def local_path(url: str | os.PathLike[str]) -> Path:
    """Return the path that a `sqlite:` or `file:` URL, or a plain path, names.

    As in SQLAlchemy `sqlite:///x.db` is relative to the working folder and `sqlite:////srv/x.db` absolute; a `file:`
    URL is always absolute. A drive letter is absolute in both. When in doubt use `local_url`, which spells it right.

    >>> local_path("sqlite:///x.db").as_posix(), local_path("sqlite:////srv/a%20b.db").as_posix()
    ('x.db', '/srv/a b.db')
    >>> local_path("file:///srv/queue").as_posix(), local_path("file:///C:/queue").as_posix()
    ('/srv/queue', 'C:/queue')
    """
    text = os.fspath(url)
    kind = scheme(text)
    if not kind:
        return Path(text)
    host, slash, path = text.split("://", 1)[1].partition("/")
    if host not in ("", "localhost") or not slash or not path:
        raise ValueError(f"a local URL must be {kind}:///path, got {masked(text)}")
    path = unquote(path)
    if _DRIVE.match(path):
        return Path(path.lstrip("/"))
    return Path(path) if kind == "sqlite" else Path("/" + path.lstrip("/"))


def local_url(kind: str, path: str | os.PathLike[str]) -> str:
    """Return the URL of `kind` ("sqlite" or "file") that names `path`; the inverse of `local_path`.

    >>> local_path(local_url("sqlite", "a b%.db")) == Path("a b%.db").absolute()
    True
    """
    text = quote(Path(path).absolute().as_posix(), safe="/:")
    return f"{kind}:///{text if kind == 'sqlite' and text.startswith('/') else text.lstrip('/')}"


def queue_name(url: str) -> tuple[str, str]:
    """Return the server's address, and the name of the queue there: what stands after `#`, or "arion".

    >>> queue_name("redis://host/0#orders"), queue_name("amqp://host/%2F")
    (('redis://host/0', 'orders'), ('amqp://host/%2F', 'arion'))
    """
    address, _, name = url.partition("#")
    return address, unquote(name) or "arion"


def checked_stream(stream: str) -> str:
    """Return `stream` when it can name a stream everywhere.

    Raises
    ------
    ValueError
        It is not 1 to 80 bytes of UTF-8 without control characters.

    >>> checked_stream("orders/éu")
    'orders/éu'
    """
    if not isinstance(stream, str) or not stream.isprintable() or not 0 < len(stream.encode()) <= STREAM_LIMIT:
        raise ValueError(f"stream must be 1 to {STREAM_LIMIT} bytes of printable text, got {stream!r:.100}")
    return stream
