"""Ctrl-C at each instruction of a block in turn: `python every_instruction_child.py WAY STEP`.

WAY is `sync` or `async`, or one of them and `parallel`; each STEP-th instruction that the library, `threading` or
`contextlib` runs in the main thread is struck. Prints how many were, and a line for each after which something was
open, Ctrl-C was lost or came out as something else, or the handler that had been there was not back.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from types import FrameType
from typing import Any

from arion_lib.resources import Resources

STRUCK = ("arion_lib", "threading.py", "contextlib.py", "every_instruction_child.py")
opened: set[str] = set()


class Probe:
    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        opened.add(self.name)

    def __exit__(self, *exc: object) -> None:
        opened.discard(self.name)


class AsyncProbe(Probe):
    async def __aenter__(self) -> None:
        await asyncio.sleep(0)
        self.__enter__()

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__()
        await asyncio.sleep(0)


class Strike:
    """Counts instructions, and sends Ctrl-C in front of the `number`-th."""

    def __init__(self, number: int) -> None:
        self.number, self.count, self.where = number, 0, ""

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if not any(name in frame.f_code.co_filename for name in STRUCK):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.count += 1
            if self.count == self.number:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return self.trace

    def __enter__(self) -> None:
        sys._getframe().f_trace_opcodes = True  # Python 3.12 asks the frame that is there when the tracing begins
        sys.settrace(self.trace)

    def __exit__(self, *exc: object) -> None:
        sys.settrace(None)


def block(way: str, strike: Strike) -> None:
    with strike, Resources(parallel="parallel" in way, **{name: Probe(name) for name in "abc"}):
        pass


async def async_block(way: str, strike: Strike) -> None:
    with strike:
        async with Resources(parallel="parallel" in way, **{name: AsyncProbe(name) for name in "abc"}):
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # asyncio's Ctrl-C cancels, which the next `await` hears


def struck(way: str, number: int) -> tuple[str, str]:
    """Where Ctrl-C arrived, "" for nowhere; and what was wrong afterwards, "" for nothing."""
    strike, wrong = Strike(number), ["Ctrl-C was lost"]
    try:
        asyncio.run(async_block(way, strike)) if "async" in way else block(way, strike)
    except KeyboardInterrupt:
        wrong = []
    except BaseException as error:  # noqa: BLE001 (what came out in its place is what is asked)
        wrong = [repr(error)]
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        wrong.append("the handler was left")
    if opened:
        wrong.append(f"open: {sorted(opened)}")
        opened.clear()
    return strike.where, ", ".join(wrong)


def main(way: str, step: int) -> None:
    logging.disable()  # of a resource that was cancelled
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a script starts in the background
    lines, number = [], 1
    while (found := struck(way, number))[0]:
        lines += [": ".join(found)] if found[1] else []
        number += step
    sys.stdout.write("\n".join([str(number // step), *lines]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
