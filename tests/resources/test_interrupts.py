"""Ctrl-C, for real: sent to a process of its own while it opens and closes resources."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arion_lib.resources import Resources
from tests.resources.probes import BodyError, Log

CHILD = Path(__file__).with_name("ctrl_c_child.py")
ROUNDS = int(os.environ.get("ARION_CTRL_C_ROUNDS", "350"))

real_signals = pytest.mark.posix("a process cannot send itself Ctrl-C on Windows")


def interrupted(way: str, rounds: int = ROUNDS) -> tuple[int, int]:
    """How many rounds were interrupted before their end, and how many resources were left open."""
    inside, left = map(int, said(CHILD, way, rounds)[0].split())  # `threading`'s own callbacks may lose a Ctrl-C
    return inside, left


def said(child: Path, *args: object) -> tuple[str, str]:
    """What a process that must end well prints, and what Python says of what went wrong where nobody hears it."""
    command = [sys.executable, str(child), *map(str, args)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@real_signals
@pytest.mark.parametrize("way", ["sync", "sync parallel"])
def test_ctrl_c_at_random_moments_leaves_nothing_open(way: str) -> None:
    inside, left = interrupted(way)
    assert left == 0
    assert inside >= ROUNDS // 20  # the interrupts did arrive while resources were opened, held or closed


@pytest.mark.parametrize(
    ("way", "step", "least"),
    [("sync", 3, 700), ("sync parallel", 17, 200), ("async", 17, 150), ("async parallel", 17, 200)],
)
def test_ctrl_c_at_any_instruction_leaves_nothing_open_and_comes_out_as_itself(way: str, step: int, least: int) -> None:
    printed, unheard = said(Path(__file__).with_name("every_instruction_child.py"), way, step)
    struck, *wrong = printed.splitlines()
    assert (wrong, unheard) == ([], "")
    assert int(struck) >= least


@real_signals
def test_an_exit_stack_leaves_resources_open_on_ctrl_c() -> None:
    _, left = interrupted("exit stack", 200)
    assert left > 0


@pytest.fixture
def handler() -> Any:
    before = signal.getsignal(signal.SIGINT)
    yield before
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_that_was_there_is_back_after_the_block(handler: Any) -> None:
    with Resources(**Log().probes("a")):
        assert signal.getsignal(signal.SIGINT) is not handler


def test_an_interrupt_in_an_acquisition_waits_for_it_and_releases_everything(handler: Any) -> None:
    log = Log()
    strike = {"open": lambda: signal.raise_signal(signal.SIGINT)}
    with pytest.raises(KeyboardInterrupt), Resources(a=log.probe("a", hooks=strike), b=log.probe("b")):
        raise AssertionError("the body must not run")
    assert (log.opened(), log.closed()) == (["a"], ["a"])


def test_a_second_interrupt_does_not_wait(handler: Any) -> None:
    log, reached = Log(), []

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        reached.append("first waited")
        signal.raise_signal(signal.SIGINT)
        reached.append("second waited")

    with pytest.raises(KeyboardInterrupt), Resources(a=log.probe("a"), b=log.probe("b", hooks={"open": twice})):
        pass
    assert reached == ["first waited"]
    assert log.closed() == ["a"]


def test_an_interrupt_in_a_release_comes_after_all_releases_and_before_the_bodys_error(handler: Any) -> None:
    log = Log()
    strike = {"close": lambda: signal.raise_signal(signal.SIGINT)}
    with pytest.raises(KeyboardInterrupt) as caught, Resources(a=log.probe("a"), b=log.probe("b", hooks=strike)):
        raise BodyError("body")
    assert log.closed() == ["b", "a"]
    assert any("BodyError: body" in note for note in caught.value.__notes__)


def test_an_interrupt_in_the_body_is_raised_there_at_once(handler: Any) -> None:
    log = Log()
    with pytest.raises(KeyboardInterrupt):
        with_an_interrupt_in_the_body(log)
    assert log.closed() == ["a"]


def with_an_interrupt_in_the_body(log: Log) -> None:
    with Resources(a=log.probe("a")):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the interrupt came too late")


def test_a_forgotten_manager_gives_the_handler_back(handler: Any) -> None:
    forgotten = [Resources(**Log().probes("a"))]
    forgotten[0].__enter__()
    assert signal.getsignal(signal.SIGINT) is not handler
    with pytest.warns(ResourceWarning, match="still open: a"):
        forgotten.clear()


def test_managers_in_other_threads_leave_the_handler_alone(handler: Any) -> None:
    seen: list[Any] = []

    def body() -> None:
        with Resources(**Log().probes("a")):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [handler]


def in_another_thread(call: Callable[[], object]) -> None:
    """Call it there; what it raises is raised here."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - whatever it is
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for error in raised:
        raise error


def test_a_block_left_in_another_thread_keeps_its_errors_and_the_next_block_gives_the_handler_back(
    handler: Any,
) -> None:
    log = Log()
    managed = Resources(a=log.probe("a"), b=log.probe("b", on_close=ValueError("late")))
    managed.__enter__()
    with pytest.raises(ValueError, match="late"):
        in_another_thread(lambda: managed.__exit__(None, None, None))
    assert log.closed() == ["b", "a"]
    with Resources(**Log().probes("c")):
        pass


def test_after_a_block_left_in_another_thread_a_ctrl_c_is_heard_and_gives_the_handler_back(handler: Any) -> None:
    managed = Resources(**Log().probes("a"))
    managed.__enter__()
    in_another_thread(lambda: managed.__exit__(None, None, None))
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_manager_forgotten_in_another_thread_gives_the_handler_back_with_the_next_block(handler: Any) -> None:
    forgotten = [Resources(**Log().probes("a"))]
    forgotten[0].__enter__()
    with pytest.warns(ResourceWarning, match="still open: a"):
        in_another_thread(forgotten.clear)
    with Resources(**Log().probes("b")):
        pass
