"""Ours and the peers, side by side: one module for each challenge.

Idea        A claim of speed is a command that anybody can run again: `python -m arion_lib bench NAME`.
Invariant   Contenders run interleaved on equal input and are compared by ratio; memory is read in fresh processes.
When wrong  A missed target says NO in its table; a peer that is not installed is named and skipped.
See         arion_lib/bench/compare.py (the method) · arion_lib/bench/command.py (the command) · tests/bench/
"""
