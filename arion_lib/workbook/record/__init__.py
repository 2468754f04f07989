"""What a reader said, and what was measured or checked: kept, shown again, told to a class.

Idea        One record for the learner's folder; a class hears of it only from those who joined.
Invariant   Nothing is sent anywhere unless the learner said where.
When wrong  A record that cannot be written stops no notebook.
See         predictions.py, verdicts.py (the words) · progress.py (the record) · classroom.py (the class)
"""
