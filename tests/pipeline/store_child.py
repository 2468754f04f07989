"""A writer in a process of its own, there to be killed: `python store_child.py URL`.

It goes on with one delivery from where the store is, three records a commit, and says after each how far it has come.
"""

from __future__ import annotations

import sys

from arion_lib.pipeline.batch import Aggregate, Batch
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.store import open_store


def main(url: str) -> None:
    with open_store(url) as store:
        known = store.done("s", "post")
        start = known.done if known else 0
        while True:
            numbers = range(start, start + 3)
            rows = [b'{"event":%d}' % number for number in numbers]
            groups = {("all",): Aggregate(3, sum=sum(numbers))}
            store.commit(Batch("s", rows, groups, rows, deliveries=[Delivery("post", start + 3, False, start=start)]))
            start += 3
            sys.stdout.write(f"{start}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
