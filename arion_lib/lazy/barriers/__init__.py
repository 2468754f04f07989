"""Stages that end one loop and start another: batch, sort, a progress bar, calls that overlap.

Idea        A plain iterator joins two generated loops where elements must be collected or computed elsewhere.
Invariant   A barrier pulls nothing before the first element is asked for.
When wrong  What fails in a barrier is named there; the loop above has named its own errors.
See         tests/lazy/test_parallel.py · tests/lazy/test_chunks.py
"""
