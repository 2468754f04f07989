"""The learner's own copies of the notebooks: made, brought up to date, opened.

Idea        A copy is the notebook without its answers, marked with what it came from.
Invariant   What a learner wrote is never overwritten.
When wrong  A copy that is older than its notebook says so.
See         learner.py (the view) · copies.py (the files) · desk.py (the word `learner`) · lab.py (the word `lab`)
"""
