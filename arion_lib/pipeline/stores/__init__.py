"""Databases behind the seam of `store`: one SQL store, two dialects, their connections; retention and dead letters.

Idea        What a batch asks is checked before the transaction; inside it there is only comparing and writing.
Invariant   All stores pass one suite.
When wrong  Every error of a driver becomes a `StoreError` that says whether to come again.
See         tests/pipeline/test_store.py

Read in this order: addresses (what a URL names), commit (the group commit: check, begin, compare, write, tell), plan
(what is checked and put together), sql (the store), writing, dialect and its two, letters, pruning, retention.
"""
