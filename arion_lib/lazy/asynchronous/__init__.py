"""Event loops: coroutines in a pipeline, and `async for` over one.

Idea        A pipeline is synchronous; what has to be awaited runs on an event loop in another thread.
Invariant   The thread of an event loop never waits for a pipeline.
When wrong  A run that would make a loop wait for itself raises `RuntimeError`.
See         tests/lazy/test_async.py · tests/lazy/test_turns.py
"""
