"""A resource in a thread or in a task of its own: opened, held and closed there.

Idea        A carrier reports that its resource is open, waits for the order to close it, and reports again.
Invariant   Acquire and release of one resource happen in one thread or task, and in one context.
When wrong  A carrier that is past its deadline is left behind; what it still opens it closes at once.
See         tests/resources/test_beside.py
"""
