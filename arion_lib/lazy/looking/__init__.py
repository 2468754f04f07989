"""A pipeline to look at, and results as tables of other libraries.

Idea        A description can be read without being run.
Invariant   Looking runs nothing.
When wrong  A library that is not installed raises `ImportError` with the command that installs it.
See         tests/lazy/test_show.py · tests/lazy/test_tables.py
"""
