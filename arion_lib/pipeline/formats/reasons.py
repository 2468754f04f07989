"""What is wrong with a record, worded so that its sender finds it.

Idea        A parser says what it saw; what the sender did is often known: another encoding, lost newlines, gzip.
Invariant   Every dead letter has a reason of one line, its record's number and its place.
When wrong  Where nothing better is known the parser's own words stay.
See         tests/pipeline/test_decoder.py
"""

from __future__ import annotations

import json

from arion_lib.pipeline.batch import DeadLetter


def dead_letter(record: int, offset: int, error: BaseException | str, raw: bytes) -> DeadLetter:
    """Make the dead letter for a record that could not be read.

    >>> dead_letter(3, 120, "no object", b"[1]")
    DeadLetter(record=3, offset=120, reason='no object', raw=b'[1]')
    """
    return DeadLetter(record, offset, reason(error, raw), bytes(raw))


def reason(error: BaseException | str, raw: bytes) -> str:
    r"""Say what is wrong with a record, so that its sender finds it.

    >>> reason("JSON is malformed: invalid character (byte 0)", "{}".encode("utf-16"))
    'the body looks like UTF-16: send it as UTF-8'
    >>> reason(UnicodeDecodeError("utf-8", b"", 0, 0, "..."), b'{"a": "\xff"}')
    'not UTF-8: 0xff at byte 7'
    """
    for head, what in _FOREIGN.items():
        if raw.startswith(head):
            return what
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return _not_utf8(raw) or str(error)
    text = str(error)
    if "truncated" in text and _is_python_json(raw):
        return "JSON is malformed: a \\u escape is half of a surrogate pair"
    if "trailing characters" in text:
        return f"{text}: more follows on the same line (curl keeps newlines with --data-binary, not with -d)"
    return text


_FOREIGN = {
    b"\xff\xfe": "the body looks like UTF-16: send it as UTF-8",
    b"\xfe\xff": "the body looks like UTF-16: send it as UTF-8",
    b"{\0": "the body looks like UTF-16: send it as UTF-8",
    b"\0{": "the body looks like UTF-16: send it as UTF-8",
    b"\x1f\x8b": "the body looks like gzip: send it with content-encoding: gzip",
    b"\x28\xb5\x2f\xfd": "the body looks like zstd: send it with gzip, or as it is",
}


def _not_utf8(raw: bytes) -> str | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {raw[error.start]:#04x} at byte {error.start}"
    return None


def _is_python_json(raw: bytes) -> bool:
    """Say whether Python reads the text, as it does with half of a surrogate pair."""
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True
