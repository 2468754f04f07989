"""Bodies that are not plain lines: arrays, documents, one object, gzip; and which of them a body is.

Idea        The book reads lines; each other format is a decoder of its own behind the same `feed` and `close`.
Invariant   Whatever the format, live memory is one chunk and one record.
When wrong  What is no JSON from here on is `broken`; a record that is none is a dead letter.
See         tests/pipeline/test_records.py
"""
