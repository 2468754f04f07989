"""The text of a file that a person wrote: a configuration, a secret, a token.

Idea        Editors and shells of Windows put a byte-order mark before UTF-8, or write UTF-16 (`> arion.toml`).
Invariant   The mark is no part of the text: no signature fits a secret that begins with it, and nobody would see why.
When wrong  Bytes that are no text are a `ValueError` that names the file and shows nothing of it.
See         tests/web/test_config.py
"""

from __future__ import annotations

import codecs
from pathlib import Path


def text_of(path: Path) -> str:
    """Return the text of a file. Raises `ValueError`, `OSError`."""
    data = path.read_bytes()
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8, got other bytes at {error.start}: save it as UTF-8") from None
