"""Challenge 5 over HTTP: tasks by the name of a registered function.

Idea        A request names a function and its arguments; the scheduler does the rest, in processes of its own.
Invariant   Only registered functions run; records of ended tasks are bounded.
When wrong  A problem document; a task that fails is a state, not an error of the page.
See         tests/web/test_scheduler_pages.py · tests/web/test_top.py

Read in this order: functions (what may be run), tasks (records of what was run), documents and pages, samples (the
functions that ship), top (the word `top`: the same figures in a terminal).
"""
