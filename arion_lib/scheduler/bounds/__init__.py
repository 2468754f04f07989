"""How much at once: tasks of a tag, and worker processes.

Idea        A bound is counted where tasks become ready, so that what waits for its turn keeps no worker.
Invariant   What a bound holds back runs as soon as there is room.
When wrong  A bound that cannot be met is refused where it is written.
See         tests/scheduler/test_limits.py · tests/scheduler/test_adapt.py
"""
