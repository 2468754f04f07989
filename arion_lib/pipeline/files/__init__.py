"""Files at rest: events to practise on, ranges of a file for many workers, and the command that takes files in.

Idea        A file that lies there can be read from many places at once.
Invariant   The answer does not depend on the ranges or the workers.
When wrong  Bad lines are counted and named.
See         tests/pipeline/test_ingest_files.py
"""
