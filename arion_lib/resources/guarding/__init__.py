"""Nothing from outside may cut a step in two: Ctrl-C, cancellation, a manager that is forgotten.

Idea        What comes in the middle of an acquisition or a release waits for its end, and is delivered then.
Invariant   Each request that was held back is delivered, once.
When wrong  A release that ignores its deadline is cut off and reported; a manager forgotten open warns.
See         tests/resources/test_interrupts.py · tests/resources/test_shield.py · tests/resources/test_cancellation.py
"""
