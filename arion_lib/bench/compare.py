"""Contenders timed side by side, as ratios.

Idea        A machine's speed drifts; a ratio taken within one round does not. So every round runs all contenders, each
            round starts with another one, and the figure is the median over rounds of "this one / the baseline".
Invariant   Contenders are called with nothing between the clock's two reads but the call, and only after all of them
            returned equal results.
When wrong  A contender whose package is not installed is listed as such and skipped; one that returns something else
            stops the comparison with a `ValueError` that names it.
See         arion_lib/bench/ratios.py (what is found) · tests/bench/test_compare.py

    from arion_lib.bench.compare import at_least, at_most, compare

    result = compare(
        {"ours": ours, "hand-written loop": loop, "polars": with_polars},  # functions without arguments
        baseline="hand-written loop",
        targets={"ours": at_most(1.2), "polars": at_least(0.5)},  # 1.2x the time; 0.5x the speed
        work=100_000_000, unit="B",                               # what one call handles: adds a MB/s column
    )
    print(result.table())
    result["ours"].ratio, result["ours"].speedup, result.ok

A contender may import its package inside the function (or be `None`): absent peers are reported, not crashed on.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from arion_lib.bench.ratios import Comparison, Row, Runs, compared
from arion_lib.bench.verdicts import ABSENT, Bound, Bounds, at_least, at_most, bounds_of, is_absent_peer
from arion_lib.short_repr import short_repr

__all__ = ["Bound", "Comparison", "Row", "at_least", "at_most", "compare"]

Contender = Callable[[], object]
IMMORTAL = 1_000
"""More objects are frozen only where somebody froze them: Python 3.12 itself sets some hundred immortal ones aside."""


def compare(
    contenders: Mapping[str, Contender | None],
    baseline: str,
    *,
    rounds: int = 5,
    targets: Bounds | None = None,
    min_seconds: float = 0.05,
    pause_gc: bool = False,
    work: float | None = None,
    unit: str = "",
    title: str = "",
) -> Comparison:
    """Time `contenders` in interleaved rounds and relate them to `baseline`.

    Each contender is called once untimed, and must return what the baseline returns. Then `rounds` rounds follow, each
    starting with the next contender; within a round a contender is called as often as it takes to last `min_seconds`
    (found as `timeit` does: 1, 2, 5, 10, ...). The garbage collector runs before each turn, never counts objects older
    than the comparison, and pauses during the turn if `pause_gc`. `work` is how much one call handles, in `unit`.

    Raises `ValueError` when an argument is wrong, the baseline cannot run, or results differ; what a contender
    raises goes through, apart from a package that is not installed.
    Cost: about rounds * contenders * max(min_seconds, one call).
    """
    if rounds < 1:
        raise ValueError(f"rounds must be >= 1, got {rounds}")
    wanted = bounds_of(targets, contenders, baseline)
    with _steady_collector():
        present, absent = _warm_up(contenders, baseline)
        calls = {name: _calls(fn, min_seconds) for name, fn in present.items()}
        seconds: dict[str, list[float]] = {name: [] for name in present}
        for name in in_turns(list(present), rounds):
            seconds[name].append(_turn(present[name], calls[name], pause_gc) / calls[name])
    runs: dict[str, Runs] = {**seconds, **absent}
    return compared(title, baseline, runs, wanted, work, unit)


def _warm_up(contenders: Mapping[str, Contender | None], baseline: str) -> tuple[dict[str, Contender], dict[str, str]]:
    """Call each once. Return those that ran, and a word for each that is not installed."""
    absent: dict[str, str] = {}
    found: dict[str, object] = {}
    for name in [baseline, *(n for n in contenders if n != baseline)]:  # its result is what the others are held to
        try:
            found[name] = _called(contenders[name])
        except ModuleNotFoundError as error:
            if not is_absent_peer(error):
                raise
            if name == baseline:
                raise ValueError(f"baseline must be able to run, got {name!r}: {error}") from error
            absent[name] = ABSENT
            continue
        if found[name] != found[baseline]:
            raise ValueError(
                f"contenders must return equal results, got {short_repr(found[name], 80)} from {name!r} "
                f"and {short_repr(found[baseline], 80)} from {baseline!r}"
            )
    return {name: fn for name, fn in contenders.items() if fn is not None and name in found}, absent


def _called(fn: Contender | None) -> object:
    if fn is None:
        raise ModuleNotFoundError(ABSENT)
    return fn()


def _calls(fn: Contender, min_seconds: float) -> int:
    """Find how many calls last `min_seconds` (the steps of `timeit.Timer.autorange`)."""
    step = 1
    while True:
        for number in (step, step * 2, step * 5):
            if _turn(fn, number, pause_gc=False) >= min_seconds:
                return number
        step *= 10


def in_turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Yield who runs when, so that nobody always follows the same neighbour's heat.

    >>> " ".join(in_turns("abc", 2))
    'a b c b c a'
    """
    for turn in range(rounds):
        shift = turn % len(names)
        yield from [*names[shift:], *names[:shift]]


def _turn(fn: Contender, number: int, pause_gc: bool) -> float:
    gc.collect()
    pause_gc = pause_gc and gc.isenabled()
    if pause_gc:
        gc.disable()
    loop = range(number)
    try:
        start = time.perf_counter()
        for _ in loop:
            fn()
        return time.perf_counter() - start
    finally:
        if pause_gc:
            gc.enable()


@contextmanager
def _steady_collector() -> Iterator[None]:
    # Without the freeze each collection would also walk the caller's data, and its cost would follow the set-up's size.
    gc.collect()
    if gc.get_freeze_count() > IMMORTAL:  # the caller's: what is frozen can only be thawed as a whole
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
