"""What the service shows of itself.

Idea        Counting costs the hot route an addition; whoever looks pays for the rest.
Invariant   Looking changes nothing.
When wrong  A part that cannot be asked says so in its place.
See         tests/web/test_pipeline_pages.py · tests/web/test_status_page.py

Read in this order: figures (plain integers that the hot route adds to), metrics (for Prometheus), status_page (for
people, live).
"""
