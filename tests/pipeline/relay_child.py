"""A relay in a process of its own, there to be killed: `python relay_child.py STORE_URL QUEUE_URL`.

It says one line for each block that it is about to publish.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.queues.file_queue import FileBroker
from arion_lib.pipeline.store import open_store


class Telling(FileBroker):
    def publish(self, stream: str, messages: Sequence[bytes], ids: Sequence[str] | None = None) -> None:
        sys.stdout.write(f"{len(messages)}\n")
        sys.stdout.flush()
        super().publish(stream, messages, ids)


def main(store_url: str, queue_url: str) -> None:
    with open_store(store_url) as store, Telling(queue_url) as queue:
        Relay(store, queue, limit=2).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
