"""What a manager tells of itself: events, lives, figures, health, and all of them for other tools.

Idea        Opening and closing leave a few numbers behind; whoever wants to know reads them later.
Invariant   Memory is bounded, and no text is built that nobody reads.
When wrong  What was never measured is None or a dash; a health check that raises is an answer, not an error.
See         tests/resources/test_events.py · tests/resources/test_metrics.py · tests/resources/test_show.py
"""
