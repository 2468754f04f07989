"""What one reader pulled, every other reader finds.

Idea        Keep what was pulled; a reader is a position.
Invariant   Each element is kept once, whoever asks.
When wrong  A broken cache never looks like a short one.
See         tests/lazy/test_replay.py
"""
