"""Pipelines with more than one source: zip, concat, join.

Idea        Another source is an argument of a stage; each pass opens it anew.
Invariant   Nothing is opened before the first element is asked for.
When wrong  What fails in another source is named at the stage that reads it.
See         tests/lazy/test_others.py
"""
