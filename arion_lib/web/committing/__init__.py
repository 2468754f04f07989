"""Around the one thread that commits: how batches become few, and how those who wait are told.

Idea        What waits together is written together, and told together.
Invariant   Each batch keeps its rows in order and hears of its own fate.
When wrong  One waiter that raises leaves no other untold.
See         arion_lib/web/group_commit.py · tests/web/test_group_commit.py

Read in this order: joining (batches of rows to one a stream), waiters (who is told, on the thread of its loop), blocks
(a long body, a batch at a time), arriving (one sender of a delivery at a time).
"""
