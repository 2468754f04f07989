"""The supervisor's side of one worker: what it was given, what it is doing, how to stop it.

Idea        Calls are numbered per worker; the note says how far it is, so the rest can be taken back without asking it.
Invariant   `outstanding` holds exactly the calls that were sent and not answered, in order.
When wrong  A worker that died is asked for nothing: its last answers are still in its pipe, its note is readable.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py
"""

from __future__ import annotations

import math
import weakref
from typing import Any, NamedTuple

from arion_lib.scheduler.calls.functions import Function
from arion_lib.scheduler.errors import MemoryLimitError
from arion_lib.scheduler.processes.frames import Buffer, FrameParser, Message, frame
from arion_lib.scheduler.processes.note import HEARD, INTERRUPT, REVOKED_AFTER, REVOKED_TO, SINCE, STARTED
from arion_lib.scheduler.processes.pipes import rest_of
from arion_lib.scheduler.processes.worker import INTERRUPTION
from arion_lib.scheduler.starting.child import Child
from arion_lib.scheduler.task import Task

MOST_RECEIVED = 500
"""Answers taken in at once: something urgent may wait."""
PER_CALL = 5e-6
"""Seconds that a call takes on top of its function: unpacking it, writing its answer."""
AGAIN = 0.05
"""Seconds after which an interruption is sent again that the worker has not heard: Python may miss a signal that comes
in the moment in which it takes its lock back from a system call."""
MOST_KNOWN = 1_000
"""Functions that a worker keeps; past that it is told to forget them all."""


class TooLarge(NamedTuple):
    """A worker that has more memory than it may: the call that ran when this was seen, and what ends it."""

    call: int
    error: MemoryLimitError | None = None


class WorkerHandle:
    """One worker process. All methods are called under the scheduler's lock."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.number = child.number
        self.outstanding: dict[int, Task[Any]] = {}
        self.load = 0.0
        """Seconds that what is outstanding should take."""
        self.lowest: int | None = None
        """No unstarted call here has a lower priority."""
        self.known: set[int] = set()
        """The functions that it has been sent."""
        self.passing: dict[int, weakref.ref[Function]] = {}
        """Those of them that only tasks submitted already will call."""
        self.last = 0
        """The number of the last call sent."""
        self.done = self.failed = 0
        self.heard = False
        self.printed = False
        """Whether the call that runs has printed or logged something."""
        self.draining = False
        self.moved_at = 0.0
        """When it was last sent something, or heard of."""
        self.still = False
        """Whether what it was sent waits for too long: it is sent nothing until it is heard of."""
        self.unwatched = False
        """Whether nobody tells when its full pipe takes more."""
        self.at_end = False
        """Its pipe has ended: the process is ending."""
        self.too_large: TooLarge | None = None
        """Since its memory was seen to be over the limit."""
        self.window = 0.0
        self.interrupting: tuple[int, float] | None = None
        """The call that is being interrupted, and when the worker is killed if that did not stop it."""
        self._again_at = math.inf
        """When the interruption is sent again."""
        self.revoking: tuple[int, float] | None = None
        """The last call that is being taken back, and when the note may be trusted."""
        self.closing_since: float | None = None
        self._parser = FrameParser()
        self.unsent: list[Buffer] = []
        """What its full pipe has not taken yet."""

    # --- sending ---

    def forgettable(self) -> tuple[int, ...]:
        """Return, and take for forgotten, the functions that nothing will call any more; all when they are too many."""
        if len(self.known) > MOST_KNOWN:
            gone = tuple(self.known)
        elif self.passing:
            gone = tuple(number for number, function in self.passing.items() if function() is None)
        else:
            return ()
        for number in gone:
            self.known.discard(number)
            self.passing.pop(number, None)
        return gone

    def send(self, message: Message, buffers: list[Buffer]) -> bool:
        """Send some calls; False when the pipe is full and `flush` has to be called once it is not."""
        self.unsent += frame(message, buffers)
        return self.flush()

    def flush(self) -> bool:
        """Write what is unsent as far as the pipe takes it; True when nothing is left."""
        try:
            while self.unsent:
                self.unsent = rest_of(self.unsent, self.child.inbox.write(self.unsent))
        except BlockingIOError:
            return False
        except ConnectionError:  # the worker has died: its end is told another way
            self.unsent.clear()
        except OSError:  # half a message may be written, and none can follow it
            self.unsent.clear()
            self.kill()
        return True

    # --- receiving ---

    def receive(self) -> list[Message]:
        """Return the messages that have come; sets `at_end` when no more can."""
        found: list[Message] = []
        try:
            while len(found) < MOST_RECEIVED:
                room = self._parser.room()
                if room is not None:
                    size = self.child.outbox.read_into(room)
                    self.at_end = not size
                    if self.at_end:
                        break
                    found += self._parser.filled(size)
                    continue
                data = self.child.outbox.read()
                self.at_end = not data
                if self.at_end:
                    break
                found += self._parser.feed(data)
                if len(data) < 4_096:  # nothing more is waiting: spare the call that would say so
                    break
        except BlockingIOError:
            pass
        except OSError:
            self.at_end = True
        return found

    # --- looking ---

    def current(self) -> Task[Any] | None:
        """Return the task whose code runs now, as far as the note tells; None when idle."""
        return self.outstanding.get(self.child.note.words[STARTED])

    def in_doubt(self) -> bool:
        """Whether the current call was revoked as it began: the worker runs it or skips it, and its answer tells."""
        words = self.child.note.words
        return bool(words[REVOKED_AFTER] < words[STARTED] <= words[REVOKED_TO])

    def began(self, number: int) -> float | None:
        """Return when a call began, in seconds of the monotonic clock; None when it has not.

        0.0 when the worker is past the call already, having run or skipped it: when it began comes with its answer.
        """
        words = self.child.note.words
        if words[STARTED] < number:
            return None
        return float(self.child.note.times[SINCE]) if words[STARTED] == number else 0.0

    def unstarted(self) -> int:
        """Return how many outstanding calls have not been begun."""
        return len(self.outstanding) - (self.child.note.words[STARTED] in self.outstanding)

    # --- stopping ---

    def revoke(self, now: float, trust_after: float) -> None:
        """Forbid the worker to begin what it has not begun; the note can be believed `trust_after` seconds later.

        While that is under way, what has been sent behind it is forbidden, too.
        """
        if self.revoking is not None and self.revoking[0] == self.last:
            return
        words = self.child.note.words
        started = words[STARTED]
        words[REVOKED_TO] = self.last
        if self.revoking is None:
            words[REVOKED_AFTER] = started
        self.revoking = self.last, now + trust_after

    def taken_back(self) -> list[Task[Any]]:
        """Return, and forget, the calls that the worker will never begin. For a revocation that is old enough.

        Where it has begun a later call already, it tells by itself what it passed over.
        """
        last = self.revoking[0] if self.revoking is not None else 0
        started = self.child.note.words[STARTED]
        numbers = [number for number in self.outstanding if started < number <= last]
        self.revoking = None
        tasks = [self.outstanding.pop(number) for number in numbers]
        self.forget_load()
        return tasks

    def forget_load(self) -> None:
        """Count the load anew."""
        self.load = sum(task._function.mean or 0.0 for task in self.outstanding.values())  # near enough, and at once
        self.lowest = min((task.options.priority for task in self.outstanding.values()), default=None)

    def interrupt(self, number: int, kill_at: float) -> None:
        """Interrupt a running call; the worker is to be killed at `kill_at` if it is still at it."""
        self.interrupting, self._again_at = (number, kill_at), math.inf
        self.child.note.words[INTERRUPT] = number
        if INTERRUPTION is None:  # no signal reaches a call on this system: the process is the only handle on it
            self.child.kill()
        else:
            self.child.signal(INTERRUPTION)

    def insist(self, now: float) -> float:
        """Send the interruption again if it is time and the worker has not heard it; return when to look again."""
        if INTERRUPTION is None or self.interrupting is None or self.child.note.words[HEARD] == self.interrupting[0]:
            return math.inf
        if now >= self._again_at and self.child.pid is not None:
            self.child.signal(INTERRUPTION)
        if not now < self._again_at < math.inf:
            self._again_at = now + AGAIN
        return self._again_at

    def kill(self) -> None:
        """End the process at once."""
        self.child.kill()

    def close_inbox(self, now: float) -> None:
        """Let the worker end by itself: it sees the end of its inbox."""
        if self.closing_since is None:
            self.closing_since = now
            self.child.close_inbox()
