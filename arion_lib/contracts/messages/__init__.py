"""The annex of messages: where a thing is written down, and a class held against its contract member by member.

Idea        What people read is made here from what the book found.
Invariant   Texts are the same on every machine.
When wrong  What has no source is called "built in".
See         tests/contracts/test_places.py

To read in this order: places, written, explanation, warned.
"""
