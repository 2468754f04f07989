"""Seconds, bytes and throughput of a function, read in a fresh process.

Idea        A process that has once used much memory does not give it back, so each measurement gets a new interpreter.
Invariant   Memory and throughput come from separate runs: watching the one never slows the other.
When wrong  What the function raises is raised here, with the child's traceback; a killed child is an error that says how.
See         notebooks/1_streaming_pipeline.ipynb · tests/measure/
"""
