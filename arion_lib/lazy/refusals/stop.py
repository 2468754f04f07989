"""A `StopIteration` that a user's function let out.

Idea        To a `for` loop it looks like the end of the source: half the elements would be missing, and nobody told.
Invariant   It becomes a `RuntimeError` wherever a user's function is called, as PEP 479 does for generators.
When wrong  The message says what to do; the original is the cause, and keeps its notes.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_failure.py · PEP 479
"""

from __future__ import annotations


def refuse_stop(error: BaseException) -> None:
    """Raise `RuntimeError` from `error` if that is a `StopIteration`; else do nothing."""
    if isinstance(error, StopIteration):
        raised = RuntimeError(
            "a function in the pipeline must not raise StopIteration, which would silently end the loop; "
            "give next() a default, or use take_while"
        )
        for text in getattr(error, "__notes__", ()):
            raised.add_note(text)
        raise raised from error
