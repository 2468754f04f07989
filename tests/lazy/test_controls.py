"""The controls of tests about old faults: each test fails when the fault that it was written for is put in again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from arion_lib.lazy import LazyCollection, fuse
from arion_lib.lazy.barriers import consume, engine, parallel
from arion_lib.lazy.cache.replay import Replay
from arion_lib.lazy.inline import paste, verify
from arion_lib.lazy.looking import show
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.selection import Selection
from arion_lib.lazy.source import cut
from arion_lib.lazy.template import Code
from tests.lazy import test_async, test_collection, test_failure, test_parallel, test_paste, test_replay, test_show
from tests.lazy import test_source as source
from tests.with_fault import fails_with

Fault = tuple[Any, str, str]


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Let functions and files be written and read anew, with the fault and after it."""
    for kept in (fuse.fuse, verify._parsed):
        kept.cache_clear()
    try:
        yield
    finally:
        for kept in (fuse.fuse, verify._parsed):
            kept.cache_clear()


def named(describe: Callable[[Any], Any]) -> Callable[[], object]:
    test = test_failure.test_an_error_of_the_source_is_named_whatever_stage_comes_first
    return lambda: test(describe, LazyCollection.to_list)


def with_monkeypatch(test: Callable[..., object], *given: object) -> Callable[[], object]:
    def run() -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            test(*given, monkeypatch)

    return run


def in_an_edited_file() -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        test_paste.test_a_source_file_that_changed_since_the_import_takes_no_service_down(Path(folder))


def asynchronously() -> None:
    async def first(fn: Any) -> object:
        return await anext(aiter(test_async.lazy([1]).map(fn, threads=1)))

    assert not test_async.loop_was_held(first, 3)


def windowed(c: Any) -> Any:
    return c.window(1).map(lambda v: v[0])


CONTROLS: dict[str, tuple[list[Fault], Callable[[], object]]] = {
    "L1 what was pasted before has no module": (
        [(paste.paste, "if module is not None else found", "if module or isinstance(stage, Pasted) else found")],
        test_paste.test_a_pipeline_compiled_twice_computes_what_the_calls_compute_with_lambdas_of_several_modules,
    ),
    "L2 a thread has a context of its own": (
        [(parallel._in_threads, "copy_context().run, fn, x", "fn, x")],
        test_parallel.test_threads_compute_what_a_plain_map_computes_whatever_the_context_is,
    ),
    "L3 looking spends": (
        [(show._at_hand, "if collection.stages or", "return list(collection.take(1)), ''\n    if")],
        test_show.test_looking_uses_no_one_shot_source_up,
    ),
    "L3 looking pulls": (
        [(show._at_hand, "if collection.stages or", "return list(collection.take(1)), ''\n    if")],
        test_show.test_looking_pulls_nothing_and_calls_nothing,
    ),
    "L4 an async for waits in the loop": (
        [(Selection.__aiter__, "in_thread(self._run(EACH)) if self.waits else", "")], asynchronously,
    ),
    "L5 each sequence is cut by index": (
        [(cut, "if kind.__iter__ is Sequence.__iter__ or", "if isinstance(source, Sequence) or")],
        source.test_a_cut_uses_no_index_that_is_not_known_to_be_cheap,
    ),
    "L6 a cache keeps what was raised": (
        [(Replay._pull, 'f"{type(error).__name__}: {error}"', "error")],
        test_replay.test_a_failed_cache_keeps_no_traceback_and_no_variables_of_its_readers,
    ),
    "L6 an error stays for ever": (
        [
            (
                Replay._grow_beyond,
                "while len(kept) <= at and not",
                "if self._failed:\n            raise OSError(self._failed)\n        while len(kept) <= at and not",
            )
        ],
        lambda: test_replay.test_a_cache_goes_on_after_an_error_that_passes(OSError),
    ),
    "L7 a file that cannot be read any more is an error": (
        [(verify._parsed, "except SyntaxError:", "except KeyError:")], in_an_edited_file,
    ),
    "L7 what the file says is taken for what was compiled": (
        [
            (verify._node, "if _same_code(_compiled(n, code.co_freevars, imported), code)", "if True"),
            (verify._node, "if _same_code(_compiled(again, code.co_freevars, imported), code)", "if True"),
        ],
        in_an_edited_file,
    ),
    "L8 a loop does not know its source": (
        [(fuse._lines, 'Line(2, "for x in source:", Place(SOURCE, "x"))', 'Line(2, "for x in source:")')],
        named(lambda c: c.map(str)),
    ),
    "L8 a barrier does not name its source": (
        [(engine.join, "if not end and type(plan.source) not in PLAIN:", "if False:")], named(lambda c: c.sort()),
    ),
    "L9 a sum that fails is a flat_map that fails": (
        [(consume.sum_of_parts, "if _is_sound(part, error):", "if False:")],
        lambda: test_failure.test_a_sum_that_fails_behind_a_flat_map_is_not_blamed_on_the_flat_map(list),
    ),
    "L10 an async function is taken without a word": (
        [(checks.function, "if is_async(value):", "if False:")],
        lambda: test_collection.test_an_async_function_is_refused_where_nothing_would_await_it(
            test_collection.fetched, lambda fn: test_collection.C.map(fn)
        ),
    ),
    "L12 a helper hides a module's own name": (
        [
            (Code._name, "self.terminal or word in HELPERS else", "self.terminal else word if word in HELPERS else"),
            (fuse._lines, '*(f"{name}_" for name in code.helpers)', "*code.helpers"),
        ],
        with_monkeypatch(
            test_paste.test_no_helper_of_the_loop_hides_a_builtin_that_the_module_rebinds, windowed
        ),
    ),
    "L13 a text is a flag": (
        [(checks.flag, "if value is not True and value is not False:", "if False:")],
        lambda: test_collection.test_misuse_is_refused_when_the_call_is_written(
            lambda: test_collection.C.sort(reverse="no"), "reverse must be True or False"  # type: ignore[call-overload]
        ),
    ),
    "L14 a cache shows all that it is made of": (
        [(Replay.__init__, "what if len(what) <= LABEL else", "what if True else")],
        test_replay.test_the_text_of_nested_caches_stays_short,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("faults", "test"), CONTROLS.values(), ids=CONTROLS)
def test_a_test_fails_with_its_fault_in_place(faults: list[Fault], test: Callable[[], object]) -> None:
    test()
    with nothing_kept():
        fails_with(faults, test)


def test_a_collection_with_a_length_that_raises_would_be_sized() -> None:
    """L11: what the two libraries are told decides; a class with a `__len__` that raises counts as sized."""
    from collections.abc import Sized

    class Sizing:
        def __len__(self) -> int:
            raise TypeError

    assert isinstance(Sizing(), Sized)
    assert not isinstance(test_collection.C, Sized)


def test_an_async_for_that_closes_what_it_reads_from_would_close_a_users_file() -> None:
    """L4: a file is an iterator that has a `close`, as a generator has."""
    import asyncio
    import io

    async def closing(elements: Any) -> Any:
        try:
            for x in elements:
                yield x
        finally:
            elements.close()

    async def leave(elements: Any) -> None:
        async for _ in elements:
            break

    closed, kept = io.StringIO("a\nb\n"), io.StringIO("a\nb\n")
    asyncio.run(leave(closing(closed)))
    asyncio.run(leave(test_async.lazy(kept)))
    assert (closed.closed, kept.closed) == (True, False)
