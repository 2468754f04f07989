"""A block of messages as it travels through a queue, readable by any client of it.

Idea        Messages are JSON, so a block of them is lines of JSON (one alone is itself); what else a consumer needs
            stands beside them in texts: stream, content type, ids, and what is known of each where anything is.
Invariant   unpack(pack(messages)) == messages, any bytes; each message has an id, and it is the same however often, and
            in whatever company, the message is published.
When wrong  What is not whole, or of a content type that nobody here writes, raises `TornBlock`.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_messages.py

How any client reads a block:

  Redis      an entry of the stream `{NAME}:blocks`: fields stream, type, ids, data, and meta where there is any
  RabbitMQ   a message of the queue NAME: its body, content type, and headers stream, ids and meta
  a folder   a file: one line of JSON with the members stream, type, ids and meta, then the data

Of the type application/json the data is one message, of application/x-ndjson a message a line. The ids are a JSON array
of runs: `[["5f0c-17", 1, 3]]` names 5f0c-17.1, 5f0c-17.2 and 5f0c-17.3. Meta is one too: `[[2, {"received": ...}],
[1, null]]` stands beside the first two messages, and nothing beside the third.
A consumer in JavaScript that needs nothing but node and Redis: .github/consumer.js in the repository.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import groupby
from uuid import uuid4

from arion_lib.pipeline.queues import frames
from arion_lib.pipeline.queues.frames import TornBlock

ONE = "application/json"
LINES = "application/x-ndjson"
FRAMES = "application/x-arion-frames"
"""Of a block in which a message holds a newline: lengths and bytes, as `frames` writes them."""

_CRC = b'{"crc":"%08x",'
_CRC_END = len(_CRC % 0)


def new_ids(count: int) -> list[str]:
    """Return ids that nobody else has given."""
    return numbered(uuid4().hex, count)


def numbered(base: str, count: int, first: int = 1) -> list[str]:
    """Return the ids of `count` messages that came into the world together.

    >>> numbered("5f0c-17", 2)
    ['5f0c-17.1', '5f0c-17.2']
    """
    return [f"{base}.{number}" for number in range(first, first + count)]


def pack_ids(ids: Sequence[str]) -> str:
    """Write ids as runs.

    >>> pack_ids(["5f0c-17.1", "5f0c-17.2", "5f0c-19.1"])
    '[["5f0c-17",1,2],["5f0c-19",1,1]]'
    """
    runs = []
    for (base, _), run in groupby(enumerate(ids), lambda one: _run(*one)):
        numbers = [name.rpartition(".")[2] for _, name in run]
        runs.append([base, int(numbers[0]), len(numbers)])
    return json.dumps(runs, separators=(",", ":"))


def _run(place: int, name: str) -> tuple[str, int]:
    base, _, number = name.rpartition(".")
    if not base or not number.isdecimal():
        raise ValueError(f"a message's id must end with a dot and a number, got {name!r:.80}")
    return base, int(number) - place


def unpack_ids(text: str | bytes, count: int) -> list[str]:
    """Read the ids of `count` messages. Raises `TornBlock`.

    >>> unpack_ids('[["5f0c-17",1,2]]', 2)
    ['5f0c-17.1', '5f0c-17.2']
    """
    try:
        ids = [name for base, first, many in json.loads(text) for name in numbered(str(base), many, first)]
    except (ValueError, TypeError) as error:
        raise TornBlock(f"a block's ids must be runs of [base, first, count], got {text[:80]!r}") from error
    if len(ids) != count:
        raise TornBlock(f"a block must have as many ids as messages, got {len(ids)} and {count}")
    return ids


def pack_metas(metas: Sequence[str | None]) -> str:
    """Write what stands beside messages as runs; nothing where there is nothing.

    >>> pack_metas(['{"a":1}', '{"a":1}', None]), pack_metas([None])
    ('[[2,{"a":1}],[1,null]]', '')
    """
    if not any(metas):
        return ""
    runs = (f"[{len(list(run))},{meta or 'null'}]" for meta, run in groupby(metas))
    return f"[{','.join(runs)}]"


def unpack_metas(text: str | bytes, count: int) -> list[str | None]:
    """Read what stands beside `count` messages. Raises `TornBlock`.

    >>> unpack_metas('[[2,{"a":1}],[1,null]]', 3)
    ['{"a":1}', '{"a":1}', None]
    """
    metas: list[str | None] = []
    try:
        for many, meta in json.loads(text) if text else ():
            known = None if meta is None else json.dumps(meta, separators=(",", ":"))
            metas += [known] * min(many, count + 1)
    except (ValueError, TypeError) as error:
        raise TornBlock(f"a block's meta must be runs of [count, object], got {text[:80]!r}") from error
    if metas and len(metas) != count:
        raise TornBlock(f"a block must have as many metas as messages, got {len(metas)} and {count}")
    return metas


def pack(messages: Sequence[bytes]) -> tuple[str, bytes]:
    r"""Write messages as one text, and return its content type and the text.

    >>> pack([b"1"]), pack([b"1", b"2"])
    (('application/json', b'1'), ('application/x-ndjson', b'1\n2'))
    """
    if not set(map(type, messages)) <= {bytes}:
        raise TypeError("messages must be bytes")
    data = b"\n".join(messages)
    if data.count(b"\n") >= max(1, len(messages)):
        return FRAMES, frames.encode(messages)
    return (ONE if len(messages) == 1 else LINES), data


def unpack(content_type: str, data: bytes) -> list[bytes]:
    r"""Read the messages of a block. Raises `TornBlock`.

    >>> unpack("application/x-ndjson", b"1\n2")
    [b'1', b'2']
    """
    if content_type == LINES:
        return data.split(b"\n")
    if content_type == ONE:
        return [data]
    if content_type == FRAMES:
        return frames.decode(data)
    raise TornBlock(f"a block's content type must be {ONE}, {LINES} or {FRAMES}, got {content_type!r:.80}")


def encode_file(stream: str, messages: Sequence[bytes], ids: Sequence[str], metas: Sequence[str | None] = ()) -> bytes:
    r"""Write a block as a file: a line of JSON that says what it is, and the messages as `pack` writes them.

    >>> encode_file("orders", [b'{"id": 1}'], ["5f0c-17.1"])
    b'{"crc":"61b6b0c0","stream":"orders","type":"application/json","ids":[["5f0c-17",1,1]]}\n{"id": 1}'
    """
    content_type, data = pack(messages)
    meta = f',"meta":{runs}' if (runs := pack_metas(metas)) else ""
    head = f'"stream":{json.dumps(stream)},"type":"{content_type}","ids":{pack_ids(ids)}{meta}}}\n'.encode()
    return b"".join((_CRC % zlib.crc32(data, zlib.crc32(head)), head, data))


def decode_file(block: bytes) -> tuple[str, list[bytes], list[str], list[str | None]]:
    """Read the stream, the messages, their ids and metas of a file, also of an older layout. Raises `TornBlock`."""
    if block.startswith(b"ARN1"):
        old, *messages = frames.decode(block)
        return old.decode(), messages, [], []
    if block[:_CRC_END] != _CRC % zlib.crc32(memoryview(block)[_CRC_END:]):
        raise TornBlock(f"the checksum of a block of {len(block)} bytes does not fit: it was cut short or changed")
    line, _, data = block.partition(b"\n")
    head = json.loads(line)
    messages = unpack(head["type"], data)
    metas = unpack_metas(json.dumps(head.get("meta") or []), len(messages))
    return head["stream"], messages, unpack_ids(json.dumps(head["ids"]), len(messages)), metas
