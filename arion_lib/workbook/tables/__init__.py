"""The same faults put to several tools, for the tables of the notebooks.

Idea        A claim about other tools is computed where it is read: what each does is run, not written down.
Invariant   Every tool gets the same faults; only what makes it this tool differs.
When wrong  A tool that is not installed is left out of the table.
See         same_faults.py (notebook 2) · specimens.py (notebook 3) · tests/workbook
"""
