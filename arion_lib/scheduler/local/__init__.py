"""The lanes of this process: threads, and coroutines on an event loop.

Idea        What waits for a socket needs no process of its own, and what cannot leave this process has none.
Invariant   Both ask and answer as the lane of processes does: one conformance suite runs on all.
When wrong  Python cannot end a thread: what does not stop is left behind as a daemon, and replaced.
See         tests/scheduler/test_threads.py · tests/scheduler/test_loop.py
"""
