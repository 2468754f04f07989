"""What the notebooks ask of their reader: a prediction before a measurement, an answer before the solution.

Idea        A reader learns from the distance between what they expected and what happened: both stand side by side.
Invariant   Every report is deterministic: the same answer gets the same words, on any machine.
When wrong  A wrong answer is shown the smallest input it fails on and the likely misconception; an empty one is todo.
See         every notebook · tests/workbook

    checking/  exercises, what an answer came to, what is said of it · exercises/: those of each notebook
    record/    predictions, verdicts, what was kept of them · copying/: the learner's own copies
    running/   notebooks and tests as the suite runs them, the machine · teaching/: the guide, the pack · site/
    The files beside these folders, and tables/, are what the notebooks' cells import by name.
"""

from arion_lib.workbook.checking import interrupted
from arion_lib.workbook.checking.checks import check
from arion_lib.workbook.checking.outcome import counted
from arion_lib.workbook.record.classroom import join_class
from arion_lib.workbook.record.predictions import compare, predict, prediction, recap
from arion_lib.workbook.record.verdicts import verdict

__all__ = ["check", "compare", "counted", "join_class", "predict", "prediction", "recap", "verdict"]

interrupted.watch()
