"""What the lifecycle wants done, carried out: queues filled, calls stopped, waiting threads woken.

Idea        One place knows which part of the scheduler an instruction is for.
Invariant   Instructions are carried out in order, each once; what follows from one is carried out, too.
When wrong  One that cannot be carried out is reported, and the tasks that it would have queued have failed by that.
See         tests/scheduler/test_hook_injection.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from arion_lib.scheduler.deciding.instructions import Instruction, Over, Queue, QueueFirst, Stop, Tell, Withdraw
from arion_lib.scheduler.lane import Lane
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.monitoring.figures import Figures
from arion_lib.scheduler.task import Task
from arion_lib.scheduler.waiting.audience import Audience


class Carrying:
    """Carries out what a lifecycle wants; `report` logs an error of the scheduler's own."""

    def __init__(
        self,
        life: Lifecycle,
        lanes: Mapping[str, Lane],
        audience: Audience,
        figures: Figures,
        report: Callable[[BaseException], None],
    ) -> None:
        self._life, self._lanes, self._audience, self._figures, self._report = life, lanes, audience, figures, report

    def settle(self) -> None:
        """Carry out what is wanted done so far, and what follows from that."""
        out = self._life.out
        while out:
            todo = out.copy()
            out.clear()
            for instruction in todo:
                try:
                    self._carry_out(instruction)
                except BaseException as error:  # noqa: BLE001  (any defect: the other instructions are about other tasks)
                    self._report(error)
                    for task in _queued_by(instruction):  # it may be nowhere now: nobody would ever come to it
                        self._life.reject(task, error, time.monotonic())

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Over(tasks):
                self._audience.over(tasks)
                self._figures.ended(tasks)
            case Queue(tasks):
                self._lanes[tasks[0].lane].ready.extend(tasks, tasks[0].options.priority)
            case QueueFirst(task):
                self._lanes[task.lane].ready.push_front(task, task.options.priority)
            case Withdraw(task):
                self._lanes[task.lane].ready.discard(task, task.options.priority)
            case Stop(task, at):
                self._lanes[task.lane].stop(at)
            case Tell(event):
                self._audience.tell(event)


def _queued_by(instruction: Instruction) -> list[Task[Any]]:
    """Return the tasks that an instruction would have queued."""
    if isinstance(instruction, Queue):
        return instruction.tasks
    return [instruction.task] if isinstance(instruction, QueueFirst) else []
