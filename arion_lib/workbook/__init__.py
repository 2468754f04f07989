"""What the notebooks ask of their reader: a prediction before a measurement, an answer before the solution.

Idea        A reader learns from the distance between what they expected and what happened: both stand side by side.
Invariant   Every report is deterministic: the same answer gets the same words, on any machine.
When wrong  A wrong answer is shown the smallest input it fails on and the likely misconception; an empty one is todo.
See         every notebook · tests/workbook
"""

from arion_lib.workbook import interrupted
from arion_lib.workbook.checks import check
from arion_lib.workbook.classroom import join_class
from arion_lib.workbook.outcome import counted
from arion_lib.workbook.predictions import compare, predict, prediction, recap
from arion_lib.workbook.verdicts import verdict

__all__ = ["check", "compare", "counted", "join_class", "predict", "prediction", "recap", "verdict"]

interrupted.watch()
