"""The Arion workbook's backing package: five challenges, one folder each.

arion_lib.pipeline    Can a webhook of any size be processed in constant memory?
arion_lib.resources   What happens to the other resources when one fails?
arion_lib.contracts   Can a class that breaks its promise be refused before anybody uses it?
arion_lib.lazy        When does the work happen?
arion_lib.scheduler   Who runs the task, and what if the worker dies?

Beside them: `measure` (seconds, bytes and throughput of a fresh process), `workbook` (predict, check, learner view),
`web` (one application, a router a challenge), `bench` (ours and the peers in one run) and `setup` (from a fresh clone
to all of that). Importing `arion_lib` imports none of them.
"""

__version__ = "0.1.0"
