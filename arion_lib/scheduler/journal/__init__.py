"""Calls that outlive their program: kept on disk until they have ended, run by its next start.

Idea        A wrapper around the submission writes each call down before it is submitted, and strikes it out at its end.
Invariant   What `submit` has returned for is run at least once, though the program is killed (test_journal.py).
When wrong  What cannot be kept (a lambda, a task that needs another's result) is refused at submit.
See         tests/scheduler/test_journal.py
"""

from arion_lib.scheduler.journal.book import Journal

__all__ = ["Journal"]
