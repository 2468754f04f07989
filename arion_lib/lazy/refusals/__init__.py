"""Misuse is refused where it is written.

Idea        An error far from the mistake costs hours; so look at arguments at once.
Invariant   A check never calls what it is given.
When wrong  `name must be rule, got value`.
See         tests/lazy/test_collection.py · tests/lazy/test_failure.py
"""
