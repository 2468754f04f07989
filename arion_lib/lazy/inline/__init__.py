"""`compile()`: lambdas stand in the loop as text.

Idea        A call for each element costs more than most lambdas; an expression in the loop costs no call.
Invariant   A lambda is pasted only where it is verified to be a plain expression.
When wrong  What is not verified stays a call, and `explain()` says why.
See         tests/lazy/test_paste.py
"""
