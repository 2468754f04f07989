"""A worker on blocks in a process of its own, there to be killed between commit and ack.

python block_child.py QUEUE STORE CLAIM_TIMEOUT    works on blocks; says how many it has committed before it acks them,
                                                   and goes on when it reads a line
"""

from __future__ import annotations

import sys
from typing import Any

from arion_lib.pipeline import blocks
from arion_lib.pipeline.broker import open_broker
from arion_lib.pipeline.recipe import Recipe
from arion_lib.pipeline.store import open_store


def main(queue: str, store: str, claim_timeout: str) -> None:
    commit = blocks.commit_blocks

    def commit_and_wait(*arguments: Any) -> dict[str, ValueError]:
        wrong = commit(*arguments)
        sys.stdout.write("committed\n")
        sys.stdout.flush()
        sys.stdin.readline()  # until somebody lets us go on, or kills us
        return wrong

    blocks.commit_blocks = commit_and_wait
    with open_broker(queue, claim_timeout=float(claim_timeout)) as broker, open_store(store) as opened:
        blocks.work(broker, opened, Recipe(group_by=("type",), sum_field="amount"), timeout=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
