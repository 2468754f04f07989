"""Results by key: a dict, groups, counts.

Idea        One value a key, updated where the element is; only `group_by` and `to_dict` hold the elements.
Invariant   Keys stand in the order in which they first came.
When wrong  A key that cannot be hashed is named with its stage and element.
See         tests/lazy/test_random_pipelines.py
"""
