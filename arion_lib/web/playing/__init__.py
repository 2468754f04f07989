"""A service to play with on one machine: for the notebook and for measurements.

Idea        Everything is real: server, store, sender.
Invariant   Leaving a block ends what it started.
When wrong  A sender that loses its server says so; nothing is sent twice to hide it.
See         tests/web/test_playground.py · tests/web/test_load.py

Read in this order: sender (bytes out, statuses in), load (a process that sends at a rate), playground (server, slow
store and sender together).
"""
