"""Exercises and their judges: what is asked, what is answered, and what is said of it.

Idea        An exercise is a value with cases and wrong answers; a reader's code is run so that all it does is a value.
Invariant   The same answer gets the same words, on any machine.
When wrong  An answer that hangs, exits or raises is judged like any other.
See         exercise.py, catalogue.py (what is asked) · outcome.py, last_cell.py, interrupted.py (what was answered) ·
            checks.py (what is said)
"""
