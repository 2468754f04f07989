"""The fast path: what needs nothing but opening and closing, while nothing fails.

Idea        Most resources have no deadline, no retry and no error; they should not pay for those that have.
Invariant   Every block ends as it would without this folder.
When wrong  The first error leaves the fast path: `unwinding` decides about the rest.
See         tests/resources/test_fast_path.py
"""
