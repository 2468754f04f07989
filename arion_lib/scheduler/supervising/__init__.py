"""The supervisor's parts: how it sleeps, how it carries out what the lifecycle wants, how it cancels many at once.

Idea        Each is one thing that the one thread does; supervisor.py puts them together in a turn.
Invariant   All of it happens in the supervisor's thread.
When wrong  An error in a step is reported, and the next step is made.
See         tests/scheduler/test_hook_injection.py · tests/scheduler/test_fault_injection.py
"""
