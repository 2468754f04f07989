"""The manager's promises, in all four modes, with the standard library as control where it does not keep them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from arion_lib.resources import Resources, Retry, errors_of, resource
from arion_lib.resources.entry import AbsentError, ResourceError
from arion_lib.resources.graph import GraphError
from arion_lib.resources.settle import Phase
from tests.resources.probes import MODES, BodyError, Log, Probe, fail, manager, nested, run

pytestmark = pytest.mark.usefixtures("no_leaks")
every_mode = pytest.mark.parametrize("mode", MODES)
sequential = pytest.mark.parametrize("mode", ["sync", "async"])
parallel = pytest.mark.parametrize("mode", ["sync parallel", "async parallel"])


@pytest.fixture
def log() -> Log:
    return Log()


# All or nothing ----------------------------------------------------------------------------------------------------


@every_mode
def test_the_body_sees_every_resource_open(mode: str, log: Log) -> None:
    assert run(mode, manager(mode, **log.probes("a b c")), lambda r: (r.a, r["b"], r.get("c"))) == ("a", "b", "c")
    assert sorted(log.opened()) == sorted(log.closed()) == ["a", "b", "c"]


@sequential
def test_one_after_the_other_equals_nested_with_in_order(mode: str, log: Log) -> None:
    oracle = Log()
    nested(mode, oracle.probes("a b c"), lambda: None)
    run(mode, manager(mode, **log.probes("a b c")))
    assert log == oracle


@every_mode
def test_the_third_of_five_failing_releases_the_first_two_and_is_named(mode: str, log: Log) -> None:
    wrong = OSError("no route")
    probes = log.probes("a b c d e") | {"c": log.probe("c", on_open=wrong)}
    chain = {
        name: resource(probe, after=[before] if before else [])
        for (name, probe), before in zip(probes.items(), [None, "a", "b", "c", "d"], strict=True)
    }
    with pytest.raises(OSError, match="no route") as caught:
        run(mode, manager(mode, **chain), fail(AssertionError("the body must not run")))
    assert caught.value is wrong
    assert log.opened() == ["a", "b"]
    assert log.closed() == ["b", "a"]
    beside = ", whatever was being opened beside it" if "parallel" in mode else ""
    assert f"while acquiring 'c' (3 of 5); released again: b, a{beside}" in wrong.__notes__


@parallel
def test_the_note_of_a_failed_opening_does_not_leave_out_what_was_opened_beside_it(mode: str, log: Log) -> None:
    wrong = OSError("no route")
    with pytest.raises(OSError, match="no route"):
        run(mode, manager(mode, **log.probes("a b"), c=log.probe("c", on_open=wrong)))
    assert sorted(log.closed()) == sorted(log.opened())
    (note,) = [note for note in wrong.__notes__ if "while acquiring 'c'" in note]
    assert note.endswith("whatever was being opened beside it")


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_exit_stack_does_not_name_what_failed(mode: str, log: Log) -> None:
    wrong = OSError("no route")
    with pytest.raises(OSError, match="no route"):
        nested(mode, {"a": log.probe("a"), "b": log.probe("b", on_open=wrong)}, lambda: None)
    assert not hasattr(wrong, "__notes__")


@parallel
def test_two_that_fail_to_open_side_by_side_are_both_reported(mode: str, log: Log) -> None:
    together = threading.Barrier(2, timeout=10)
    errors = {name: OSError(name) for name in ("a", "b")}
    hooks = {"open": together.wait} if mode.startswith("sync") else {}
    probes = {name: log.probe(name, on_open=errors[name], hooks=hooks) for name in errors}
    with pytest.raises(OSError, match=r"[ab]") as caught:
        run(mode, manager(mode, **probes))
    assert {failure.error for failure in errors_of(caught.value)} == set(errors.values())


# Releases ----------------------------------------------------------------------------------------------------------


@every_mode
def test_every_release_is_attempted_whatever_fails(mode: str, log: Log) -> None:
    probes = {name: log.probe(name, on_close=ValueError(name)) for name in "abc"}
    with pytest.raises(ExceptionGroup) as caught:
        run(mode, manager(mode, **probes))
    assert sorted(log.closed()) == ["a", "b", "c"]
    assert sorted(str(error) for error in caught.value.exceptions) == ["a", "b", "c"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_exit_stack_raises_only_one_of_several_release_errors(mode: str, log: Log) -> None:
    probes = {name: log.probe(name, on_close=ValueError(name)) for name in "abc"}
    with pytest.raises(ValueError, match="a"):
        nested(mode, probes, lambda: None)


@every_mode
def test_a_single_release_error_is_raised_bare(mode: str, log: Log) -> None:
    wrong = ValueError("late")
    with pytest.raises(ValueError, match="late") as caught:
        run(mode, manager(mode, a=log.probe("a"), b=log.probe("b", on_close=wrong)))
    assert caught.value is wrong


@every_mode
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_and_exit_complete_the_clean_up_and_escape_bare(mode: str, log: Log, kind: type[BaseException]) -> None:
    error = kind()
    probes = {name: log.probe(name, on_close=ValueError(name)) for name in "abc"}
    with pytest.raises(kind) as caught:
        run(mode, manager(mode, **probes), fail(error))
    assert caught.value is error
    assert sorted(log.closed()) == ["a", "b", "c"]
    assert len(errors_of(error)) == 4


@every_mode
def test_users_are_released_before_what_they_use(mode: str, log: Log) -> None:
    probes = log.probes("db left right top")
    after = {"db": [], "left": ["db"], "right": ["db"], "top": ["left", "right"]}
    diamond = {name: resource(probe, after=after[name]) for name, probe in probes.items()}
    run(mode, manager(mode, **dict(reversed(diamond.items()))))
    assert (log.opened()[0], log.opened()[-1]) == ("db", "top")
    assert (log.closed()[0], log.closed()[-1]) == ("top", "db")
    assert len(log.opened()) == 4


# Errors ------------------------------------------------------------------------------------------------------------


@every_mode
def test_the_bodys_error_stays_primary_and_release_errors_ride_along(mode: str, log: Log) -> None:
    body, late = BodyError("body"), ValueError("late")
    with pytest.raises(BodyError) as caught:
        run(mode, manager(mode, a=log.probe("a"), b=log.probe("b", on_close=late)), fail(body))
    assert caught.value is body
    assert log.saw("a") is body
    assert [(failure.phase, failure.resource, failure.error) for failure in errors_of(body)] == [
        (Phase.BODY, None, body),
        (Phase.RELEASE, "b", late),
    ]
    assert "also while releasing 'b': ValueError: late" in body.__notes__


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_exit_stack_lets_a_release_error_hide_the_bodys(mode: str, log: Log) -> None:
    probes = {"a": log.probe("a"), "b": log.probe("b", on_close=ValueError("late"))}
    with pytest.raises(ValueError, match="late"):
        nested(mode, probes, fail(BodyError("body")))


@sequential
def test_suppression_is_seen_by_the_later_ones_as_in_nested_with(mode: str, log: Log) -> None:
    oracle = Log()
    for target, use in (
        (oracle, lambda probes: nested(mode, probes, fail(BodyError()))),
        (log, lambda probes: run(mode, manager(mode, **probes), fail(BodyError()))),
    ):
        use({"a": target.probe("a"), "b": target.probe("b", suppress=True), "c": target.probe("c")})
    assert [(name, type(error)) for _, name, error in log] == [(name, type(error)) for _, name, error in oracle]
    assert (type(log.saw("c")), log.saw("a")) == (BodyError, None)


@every_mode
def test_a_suppressed_body_error_does_not_hide_a_release_error(mode: str, log: Log) -> None:
    probes = {"a": log.probe("a", suppress=True), "b": log.probe("b", on_close=ValueError("late"))}
    chain = {"a": probes["a"], "b": resource(probes["b"], after=["a"])}
    with pytest.raises(ValueError, match="late"):
        run(mode, manager(mode, **chain), fail(BodyError()))


@sequential
def test_a_release_error_alone_is_told_to_the_outer_ones_who_may_suppress_it(mode: str, log: Log) -> None:
    probes = {"a": log.probe("a", suppress=True), "b": log.probe("b", on_close=ValueError("late"))}
    run(mode, manager(mode, **probes))
    assert str(log.saw("a")) == "late"


def test_a_generator_that_never_yields_is_an_error_that_says_so() -> None:
    def never() -> Iterator[None]:
        return
        yield

    with pytest.raises(RuntimeError, match="didn't yield"), Resources(a=never):
        pass


def test_a_generator_that_yields_twice_is_an_error_that_says_so() -> None:
    def twice() -> Iterator[int]:
        yield 1
        yield 2

    with pytest.raises(RuntimeError, match="didn't stop"), Resources(a=twice):
        pass


# Definitions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("define", "kind", "message"),
    [
        (lambda log: {"a": resource(log.probe("a"), after=["b"])}, GraphError, "'a' needs 'b', which is not defined"),
        (lambda log: {"a": 3}, TypeError, "a resource must be a context manager"),
        (lambda log: {"open_": log.probe("a"), "parallel": 1}, TypeError, "parallel must be True or False"),
        (lambda log: {"release": log.probe("a")}, ValueError, "must not be called 'release'"),
        (lambda log: {"_a": log.probe("a")}, ValueError, "must not begin with an underscore, got '_a'"),
        (
            lambda log: dict.fromkeys("ab", log.probe("a")),
            ValueError,
            "listed once, got the same object as 'a' and 'b'",
        ),
        (
            lambda log: {"a": resource(log.probe("a"), after=["b"]), "b": resource(log.probe("b"), after=["a"])},
            GraphError,
            "got the cycle a -> b -> a",
        ),
    ],
)
def test_a_wrong_definition_is_refused_before_anything_is_opened(
    log: Log, define: Callable[[Log], dict[str, Any]], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        Resources(**define(log))
    assert log == []


def test_an_asynchronous_resource_in_a_with_block_is_refused_before_anything_is_opened(log: Log) -> None:
    @contextlib.asynccontextmanager
    async def api() -> Any:
        yield

    with pytest.raises(TypeError, match="enter the manager with `async with`"), Resources(a=log.probe("a"), api=api()):
        pass
    assert log == []


# Life cycle --------------------------------------------------------------------------------------------------------


@every_mode
def test_the_same_manager_works_twice_in_a_row(mode: str, log: Log) -> None:
    managed = manager(mode, **log.probes("a b"))
    run(mode, managed)
    run(mode, managed)
    assert len(log.opened()) == len(log.closed()) == 4


def test_entering_a_manager_that_is_open_is_refused(log: Log) -> None:
    managed = manager("sync", a=log.probe("a"))
    with managed, pytest.raises(ResourceError, match="is open already"):
        managed.__enter__()
    assert log.closed() == ["a"]


def test_two_managers_of_one_definition_are_isolated(log: Log) -> None:
    class Shop(Resources):
        cache = resource(lambda: contextlib.nullcontext(set()))

    with Shop() as one, Shop() as two:
        one.cache.add(1)
        assert two.cache == set()


def test_a_lookup_after_the_end_says_what_to_do(log: Log) -> None:
    with manager("sync", a=log.probe("a")) as r:
        pass
    with pytest.raises(ResourceError, match="is not open: use it inside `with"):
        r.a  # noqa: B018  the lookup is the test


def test_an_unknown_name_gets_a_suggestion(log: Log) -> None:
    with (
        manager("sync", database=log.probe("a")) as r,
        pytest.raises(ResourceError, match="did you mean 'database'"),
    ):
        r.databse  # noqa: B018


def test_a_forgotten_manager_warns_and_names_what_is_open(log: Log) -> None:
    managed = manager("sync", a=log.probe("a"))
    managed.__enter__()
    forgotten = [managed]
    del managed
    with pytest.warns(ResourceWarning, match="still open: a"):
        forgotten.clear()


# Inside the block --------------------------------------------------------------------------------------------------


def test_a_lazy_resource_is_opened_once_however_many_threads_ask(log: Log) -> None:
    with manager("sync", a=log.probe("a"), b=resource(log.probe("b"), lazy=True, after=["a"])) as r:
        assert log.opened() == ["a"]
        barrier, seen = threading.Barrier(8, timeout=10), []
        threads = [threading.Thread(target=lambda: (barrier.wait(), seen.append(r.b))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == ["b"] * 8
    assert log.opened() == ["a", "b"]
    assert log.closed() == ["b", "a"]


def test_a_lazy_resource_is_opened_once_however_many_tasks_ask(log: Log) -> None:
    async def main() -> None:
        async with manager("async", b=resource(log.probe("b"), lazy=True)) as r:
            assert await asyncio.gather(*[r.aacquire("b") for _ in range(8)]) == ["b"] * 8

    asyncio.run(main())
    assert log.opened() == log.closed() == ["b"]


def test_a_release_before_the_end_happens_once_and_twice_is_harmless(log: Log) -> None:
    with manager("sync", **log.probes("a b")) as r:
        r.release("b")
        r.release("b")
        assert log.closed() == ["b"]
        assert "b" not in r
    assert log.closed() == ["b", "a"]


def test_releasing_what_another_still_uses_is_refused(log: Log) -> None:
    with (
        manager("sync", a=log.probe("a"), b=resource(log.probe("b"), after=["a"])) as r,
        pytest.raises(ResourceError, match="'a' is still used by b: release that first"),
    ):
        r.release("a")


@sequential
def test_a_resource_can_be_added_inside_the_block(mode: str, log: Log) -> None:
    if mode == "sync":
        with manager("sync", a=log.probe("a")) as r:
            assert r.acquire("b", log.probe("b")) == r.b == "b"
    else:

        async def main() -> None:
            async with manager("async", a=log.probe("a")) as r:
                assert await r.aacquire("b", log.probe("b")) == r.b == "b"
                await r.arelease("b")

        asyncio.run(main())
    assert log.closed() == ["b", "a"]


@every_mode
def test_an_optional_resource_may_be_absent_and_says_so(mode: str, log: Log) -> None:
    down = resource(log.probe("cache", on_open=OSError("down")), optional=True)

    def body(r: Resources) -> None:
        assert "cache" not in r
        assert r.get("cache") is None
        with pytest.raises(AbsentError, match="'cache' is optional and absent") as caught:
            r.cache  # noqa: B018
        assert str(caught.value.__cause__) == "down"

    run(mode, manager(mode, a=log.probe("a"), cache=down), body)
    assert log.opened() == ["a"]


@every_mode
def test_a_failing_acquisition_is_tried_again_as_often_as_said(mode: str, log: Log) -> None:
    tries: list[int] = []

    class Shy(Probe):
        def __enter__(self) -> str:
            tries.append(1)
            if len(tries) < 3:
                raise OSError("not yet")
            return super().__enter__()

    managed = manager(mode, a=resource(Shy("a", log), retry=Retry(attempts=3, backoff=0)))
    assert run(mode, managed, lambda r: r.a) == "a"
    assert (len(tries), managed.snapshot()["a"].failures) == (3, {"attempt": 2})


@every_mode
@pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError])
def test_neither_ctrl_c_nor_cancellation_is_tried_again(mode: str, log: Log, kind: type[BaseException]) -> None:
    tries: list[int] = []
    probe = log.probe("a", on_open=kind(), hooks={"open": lambda: tries.append(1)})
    with pytest.raises(kind):
        run(mode, manager(mode, a=resource(probe, retry=Retry(attempts=5, backoff=0))))
    assert tries == [1]


# Scopes ------------------------------------------------------------------------------------------------------------


def test_a_scope_shares_what_is_open_and_releases_only_its_own(log: Log) -> None:
    with manager("sync", a=log.probe("a")) as r:
        with r.scope(b=resource(log.probe("b"), after=["a"])) as inner:
            assert (inner.a, inner.b) == ("a", "b")
        assert log.closed() == ["b"]
        assert r.a == "a"


def test_a_scope_may_override_what_it_inherits(log: Log) -> None:
    with manager("sync", a=log.probe("a")) as r, r.scope(a=log.probe("mine")) as inner:
        assert (r.a, inner.a) == ("a", "mine")


def test_an_override_replaces_a_resource_for_a_test_and_leaves_the_definition_alone(log: Log) -> None:
    class Shop(Resources):
        db = resource(log.probe("real"))

    with Shop().override(db=log.probe("fake")) as shop:
        assert shop.db == "fake"
    with Shop() as shop:
        assert shop.db == "real"
    with pytest.raises(ResourceError, match="did you mean 'db'"):
        Shop().override(dbs=log.probe("fake"))


@every_mode
def test_functions_receive_the_resources_that_their_parameters_name(mode: str, log: Log) -> None:
    @contextlib.contextmanager
    def session(a: str, b: str) -> Iterator[str]:
        yield a + b

    assert run(mode, manager(mode, session=session, **log.probes("a b")), lambda r: r.session) == "ab"


# Contexts, threads, tasks ------------------------------------------------------------------------------------------

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


@every_mode
def test_a_resource_sees_the_callers_context_and_may_reset_its_own_token(mode: str) -> None:
    seen: list[str] = []

    class Setting:
        def __enter__(self) -> None:
            seen.append(color.get())
            self.token = color.set("mine")

        def __exit__(self, *exc: object) -> None:
            seen.append(color.get())
            color.reset(self.token)
            seen.append(color.get())

    token = color.set("callers")
    try:
        run(mode, manager(mode, a=Setting()))
    finally:
        color.reset(token)
    assert seen == ["callers", "mine", "callers"]


@every_mode
def test_a_resource_is_released_where_it_was_acquired(mode: str, log: Log) -> None:
    places: dict[str, list[object]] = {"a": [], "b": []}

    def here(name: str) -> Callable[[], object]:
        def note() -> None:
            with contextlib.suppress(RuntimeError):
                places[name].append(asyncio.current_task())
            places[name].append(threading.get_ident())

        return note

    run(mode, manager(mode, **{n: log.probe(n, hooks={"open": here(n), "close": here(n)}) for n in places}))
    for seen in places.values():
        assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_a_thread_bound_resource_stays_with_the_caller_also_in_parallel(log: Log) -> None:
    threads: list[int] = []
    note = {
        "open": lambda: threads.append(threading.get_ident()),
        "close": lambda: threads.append(threading.get_ident()),
    }
    bound = resource(log.probe("db", hooks=note), thread_bound=True)
    run("sync parallel", manager("sync parallel", a=log.probe("a"), db=bound))
    assert threads == [threading.get_ident()] * 2
