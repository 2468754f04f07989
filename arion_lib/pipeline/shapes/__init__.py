"""What the records of a body become in a batch: rows with their messages, or the sums of groups.

Idea        Both gather records and hand over what a batch is made of; `ingest` need not know which it has.
Invariant   Each record is counted once: accepted, or refused with its number.
When wrong  A record that does not fit is a dead letter.
See         tests/pipeline/test_ingest.py

Read in this order: recipe (what becomes of the records: a value, checked when made), rows, sums, buckets (how a block
is sorted by key), meta (what is known beside a row).
"""
