"""Worker processes: calls go there as bytes, answers come back, and a death costs one call.

Idea        Supervisor and worker share two pipes and a page of memory; each side is one file, what travels is another.
Invariant   At most one call runs in a worker at a time, and only that one can be lost with it.
When wrong  A worker that dies or does not stop is replaced; its other calls are queued again.
See         tests/scheduler/test_processes.py · tests/scheduler/test_chaos.py
"""
