"""Calls of another machine: leave out what fails, try it again, do not call too often.

Idea        Another machine fails at times, and does not want to be called too often.
Invariant   What is left out is told; what is tried again is tried a bounded number of times.
When wrong  An error that is not named in the call goes through.
See         tests/lazy/test_remote.py
"""
