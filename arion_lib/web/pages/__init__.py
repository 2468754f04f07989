"""Typed pages: what became of the events, resources, plugins.

Idea        A page is a function with typed parameters and a typed answer; the interactive docs come from these types.
Invariant   No page takes more than a bounded body, or answers with more than a bounded page.
When wrong  A problem document that names the parameter.
See         tests/web/test_pages.py · tests/web/test_pipeline_pages.py · tests/web/test_plugin_pages.py

Read in this order: bounds and refusals (what all pages have in common), documents and paging, pipeline and
letters (challenge 1), health, resources and resource_runs (challenge 2), plugins (challenge 3).
"""
