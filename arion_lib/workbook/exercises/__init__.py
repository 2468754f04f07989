"""The exercises: one module a notebook, each with a tuple `EXERCISES`.

Idea        To add exercises, add a file here: a reference solution, cases from small to large, and wrong answers, each
            with the misconception behind it.
Invariant   tests/workbook/test_exercises.py holds every exercise found here: the solution passes, each wrong answer is
            rejected with its own misconception, and the answer printed in the notebook is accepted.
When wrong  A module without `EXERCISES`, or an id used twice, stops the catalogue with its name.
See         arion_lib/workbook/checking/exercise.py · tests/workbook/test_exercises.py
"""
