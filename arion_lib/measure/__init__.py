"""Seconds, bytes and throughput of a function, read in a fresh process.

Idea        A process that has once used much memory does not give it back, so each measurement gets a new interpreter.
Invariant   Memory and throughput come from separate runs: watching the one never slows the other.
When wrong  What the function raises is raised here, with the child's traceback; a killed child is an error saying how.
See         arion_lib/measure/run.py (how to use) · arion_lib/measure/plots.py · tests/measure/
"""

from arion_lib.measure.counter import tick
from arion_lib.measure.fresh import ChildDied
from arion_lib.measure.results import Measurement, Memory, Throughput
from arion_lib.measure.run import measure, measure_memory, measure_throughput
from arion_lib.measure.tables import Growth, Table, measure_each, measure_growth

__all__ = [
    "ChildDied",
    "Growth",
    "Measurement",
    "Memory",
    "Table",
    "Throughput",
    "measure",
    "measure_each",
    "measure_growth",
    "measure_memory",
    "measure_throughput",
    "tick",
]
