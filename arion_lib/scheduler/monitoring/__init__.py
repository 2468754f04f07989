"""Looking at a scheduler: the history of a task, statistics of the last ones, numbers for Prometheus.

Idea        What happened is told from the few times that a task keeps: most histories are never read.
Invariant   Looking changes nothing and keeps no result alive.
When wrong  What is not known is left out, never guessed.
See         tests/scheduler/test_watching.py · tests/scheduler/test_figures.py
"""
