"""Misuse is refused where it is written; a `StopIteration` never ends a loop silently."""
