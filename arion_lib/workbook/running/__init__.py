"""Notebooks and tests run, and what a machine needs for that.

Idea        The words `run`, `test` and `doctor`: each runs what a reader would run, and says what it met.
Invariant   A notebook is run as the tests run it.
When wrong  What is missing is named with the command that repairs it.
See         notebooks.py, strict.py, hearing.py (notebooks) · suite.py (tests) · doctor.py, trial.py (the machine)
"""
