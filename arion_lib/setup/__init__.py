"""From a fresh clone to a running workbook, by the standard library alone.

Idea        words (what was asked) -> environment (there, or to be made) -> installer (fetch, check, show).
Invariant   Nothing here imports anything outside the standard library, and nothing of ours outside this folder.
When wrong  `installer.SetupError` carries the sentence that a person needs.
See         README.md · tests/test_setup.py
"""
