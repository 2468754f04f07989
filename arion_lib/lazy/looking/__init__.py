"""A pipeline to look at, and results as tables of other libraries."""
