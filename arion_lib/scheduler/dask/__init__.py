"""The same program past one machine: each call is a task of Dask's own, run in a process of ours on a dask worker.

Idea        Dask decides where and when (its priorities, its dashboard, its spilling, its adaptive clusters); inside
            each dask worker a `WorkerPlugin` has a `Scheduler` of ours, which can stop what runs.
Invariant   What holds for a task on one machine holds here, but for the differences that `DaskScheduler` lists.
When wrong  A task's process that dies costs no dask worker; what runs on a dask worker that is lost is begun again.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py

::

    submit ─> handle ─> life (a coroutine each, in the link's thread)
                          needs met? another attempt? ended?
                             │
                          attempts ─> Client.map(run_calls, bundles) ─> dask's scheduler
                                                                             │
    teller (a thread) <─ the end <─ results: gather, or "it stays there"     │
      waiters, callbacks, events                    run_calls on a dask worker ─> plugin ─> Scheduler ─> process

Read: scheduler (what people call), submission, handle, ledger (who is told), life (what follows from what), attempts
(calls become dask tasks), results, view (what is known of the cluster), link (the connection), plugin (there), wire
(what travels).
"""

from arion_lib.scheduler.dask.scheduler import DaskScheduler

__all__ = ["DaskScheduler"]
