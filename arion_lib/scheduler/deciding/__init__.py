"""What the lifecycle decides with: needs, times, turns, and the words in which it says what is to be done.

Idea        Each is a value or a small table without a clock; lifecycle.py puts them together.
Invariant   Nothing here waits, locks or calls anybody.
When wrong  Random histories against an oracle find it.
See         tests/scheduler/test_lifecycle_fuzz.py
"""
