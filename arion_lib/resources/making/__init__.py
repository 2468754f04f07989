"""Resources that are not simply there: tried again, made by a coroutine, or a mere call at the end.

Idea        A recipe stays one description; what is special about its making is a small object beside it.
Invariant   Neither sleeps nor opens anything by itself: whoever enters the resource does.
When wrong  The last attempt's own error is raised; a `with` that would not close its resource warns.
See         tests/resources/test_retry.py · tests/resources/test_wrappers.py
"""
