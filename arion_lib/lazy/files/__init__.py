"""Files as sources.

Idea        A file is opened for each pass and closed when the pass ends.
Invariant   A file is never left open by a pass that ends early.
When wrong  A line that cannot be read is named.
See         tests/lazy/test_readers.py
"""
