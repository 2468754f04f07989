"""How a worker process starts: by a fork server of our own, by a fork of this process, or as a fresh interpreter.

Idea        Three ways behind one seam; the supervisor asks for a worker and hears later that it is there.
Invariant   No worker outlives the program, and none imports the program's main module.
When wrong  A process that the system refuses is asked for again after a pause.
See         tests/scheduler/test_launch.py · tests/scheduler/test_exhaustion.py
"""
