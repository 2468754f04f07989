"""Threads that wait for one another: a signal, a question with its answer, a thread for users' code.

Idea        The supervisor's thread must wait for nobody; all waiting is done elsewhere, by the few means here.
Invariant   Ctrl-C ends a wait at any moment and leaves no lock held.
When wrong  An error travels to the thread that asked.
See         tests/scheduler/test_interrupts.py · tests/scheduler/test_users_code.py
"""
