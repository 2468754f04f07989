"""Contenders that live in processes of their own: rounds in turns, and a time limit for each turn.

Idea        A machine's speed drifts, a ratio within one round does not: every round runs all contenders, each round
            starts with another one. A contender that hangs or fails drops out; its row says so.
Invariant   While one contender is measured no other has a pool open.
When wrong  "hangs" is an answer that did not come within `limit` seconds; what else went wrong stands in its own words.
See         arion_lib/bench/child.py (the process) · tests/bench/test_scheduler.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from arion_lib.bench.child import Child, ChildFailedError, Hangs
from arion_lib.bench.compare import in_turns
from arion_lib.bench.ratios import Runs
from arion_lib.bench.verdicts import ABSENT


@dataclass(frozen=True, slots=True)
class Lab:
    """What to measure against whom, and how much of it.

    `size` is the share of the full number of tasks; `rounds` are interleaved; `peers` are the contenders beside ours;
    `grace` is the scheduler's own, in seconds; `limit` is how many seconds one turn may take.
    """

    rounds: int = 5
    size: float = 1.0
    peers: tuple[str, ...] = ()
    grace: float = 0.1
    limit: float = 150.0

    def tasks(self, full: int, least: int = 10) -> int:
        """Return how many of something to take at this size.

        >>> Lab(size=0.1).tasks(1_000), Lab(size=0.001).tasks(1_000)
        (100, 10)
        """
        return max(least, round(full * self.size))

    def present(self, *names: str) -> list[str]:
        """Return ours and those of the named peers that were asked for.

        >>> Lab(peers=("PPE",)).present("PPE", "dask")
        ['ours', 'PPE']
        """
        return ["ours", *(name for name in names if name in self.peers)]

    def turns(self, job: Callable[..., float], arguments: Mapping[str, tuple[Any, ...]]) -> dict[str, Runs]:
        """Return what `job(*arguments[contender])` returned in each contender's process, once in each round."""
        found: dict[str, list[float]] = {name: [] for name in arguments}
        out: dict[str, str] = {}
        children: dict[str, Child] = {}
        with ExitStack() as stack:
            for name in in_turns(list(arguments), self.rounds):
                if name in out:
                    continue
                if name not in children:
                    children[name] = stack.enter_context(Child())
                value = asked(children[name], job, arguments[name], self.limit)
                if isinstance(value, str):
                    out[name] = value
                else:
                    found[name].append(value)
        return {**found, **out}

    def once(self, job: Callable[..., Any], *arguments: Any, limit: float | None = None) -> Any:
        """Call a job in a fresh process; return what it returned, or in a word why it did not."""
        with Child() as child:
            return asked(child, job, arguments, limit or self.limit)


def asked(child: Child, job: Callable[..., Any], arguments: tuple[Any, ...], limit: float) -> Any:
    """Return a job's answer, or a word in its place."""
    try:
        return child.call(job, *arguments, limit=limit)
    except Hangs:
        return f"hangs (no answer in {limit:g} s)"
    except ChildFailedError as error:
        return ABSENT if error.absent else str(error)[:90]
