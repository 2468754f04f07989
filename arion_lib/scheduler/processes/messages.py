"""The kinds of message that a worker writes.

Idea        (number, kind, value, started, ended) for a call; (0, kind, ...) for what belongs to no call.
Invariant   One such message for each call that was begun, in order; the times are seconds of
            `time.monotonic()`, a clock that all processes of a machine share.
When wrong  SKIPPED says that a call was not run, nor those after it up to the number that is its value: they were
            revoked, or needed a call that failed.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_conformance.py
"""

RETURNED, RETURNED_PACKED, FAILED, INTERRUPTED, SKIPPED = range(5)
NO_CALL = 0
PRINTED, LOGGED, BEGUN = range(3)
