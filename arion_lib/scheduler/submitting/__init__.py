"""From a call that somebody writes to a task that the supervisor has.

Idea        Everything here happens in the caller's thread: functions are looked up, arguments copied, options chosen.
Invariant   Nothing here changes a task that has been handed over.
When wrong  Misuse raises at once; what cannot travel is a task that has failed.
See         tests/scheduler/test_scheduler.py · tests/scheduler/test_options.py
"""
