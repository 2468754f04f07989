"""Figures that stay exact, and stretches of time.

Idea        Sums of ints and Decimals never round; what a database cannot keep as a number it keeps as tagged text.
Invariant   The same figures whatever the order, the batches and the database.
When wrong  A number or key that could not be kept exactly is refused before anything is written.
See         tests/pipeline/test_exact.py
"""
