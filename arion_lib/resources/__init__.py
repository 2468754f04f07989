"""What happens to the other resources when one fails? They are released: all, once, in order, and no error is lost.

Idea        A manager is one `with` block over many resources; how each is opened and closed stays its own affair.
Invariant   All or nothing on the way in; everything, whatever fails, on the way out.
When wrong  One error is raised, and `errors_of` lists all of them. Several releases that fail alone come as a group.
See         notebooks/2_resource_manager.ipynb · tests/resources

Read in this order, the book:

    recipe     how one resource is made                  scopes   blocks inside blocks: whose name is it?
    graph      who must be open before whom              threads  open and close in a `with` block
    plan       a definition, checked; never changes      tasks    the same in an `async with` block
    settle     which of several errors is raised         manager  `Resources`: everything above behind `with`
    entry      what one block holds open
    unwinding  what to close next: decided here alone

    with ─> manager ─> threads, tasks ─> recipe: open ─> entry: keep ─> body ─> unwinding: close next ─> settle: raise

One failing acquisition runs through five of them: manager, threads (or tasks), entry, unwinding, settle. Of the annex
it meets interrupts, watch, events and metrics, which may be skipped at first.

The annex, a folder for each idea: making (retries, callbacks, coroutines, first uses), carriers (a thread or a task
for one resource), fast_path (closing while nothing fails), guarding (Ctrl-C, cancellation), monitoring (events,
figures, health), connections (database, cache, API).
"""

from arion_lib.resources.making.retry import Retry
from arion_lib.resources.manager import Resources
from arion_lib.resources.recipe import resource
from arion_lib.resources.settle import errors_of

__all__ = ["Resources", "Retry", "errors_of", "resource"]
