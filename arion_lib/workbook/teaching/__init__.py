"""What a teacher takes along: a page for each notebook, and a folder for a room without internet.

Idea        The words `guide` and `pack`; both are made from what is there, nothing is written twice.
Invariant   A guide follows its notebook: it is made anew each time.
When wrong  What cannot be packed for a system is named.
See         guide.py · pack.py
"""
