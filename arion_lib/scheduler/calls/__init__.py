"""A call as data: its function, its arguments, its context, what it returned or raised.

Idea        What crosses a border between processes is pickled once, and alone.
Invariant   A call means what it meant when it was submitted.
When wrong  What cannot travel raises `NotTransferableError`, for its own task only.
See         tests/scheduler/test_calls.py · tests/scheduler/test_values.py · tests/scheduler/test_failures.py
"""
