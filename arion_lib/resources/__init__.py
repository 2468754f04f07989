"""What happens to the other resources when one fails? They are released: all, once, in order, and no error is lost.

Idea        A manager is one `with` block over many resources; how each is opened and closed stays its own affair.
Invariant   All or nothing on the way in; everything, whatever fails, on the way out.
When wrong  One error is raised, and `errors_of` lists all of them. Several releases that fail alone come as a group.
See         notebooks/2_resource_manager.ipynb · tests/resources

Read in this order, the book:

    recipe   how one resource is made                threads  open and close, in the caller's thread or in its own
    graph    who must be open before whom            tasks    the same two ways on an event loop
    plan     a definition, checked; never changes    scopes   a manager inside another one
    settle   which of several errors is raised       manager  `Resources`: everything above behind `with`
    entry    what one `with` block holds open

One failing acquisition runs through six of them: manager, plan, threads (or tasks), entry, recipe, settle. Of the annex
it meets wrappers, interrupts, watch, events and metrics, which may be skipped at first.

The annex, a folder for each idea: making (retries, callbacks, coroutines), guarding (Ctrl-C, cancellation), monitoring
(events, figures, health, exports), connections (database, cache, HTTP API).
"""

from arion_lib.resources.making.retry import Retry
from arion_lib.resources.manager import Resources
from arion_lib.resources.recipe import resource
from arion_lib.resources.settle import errors_of

__all__ = ["Resources", "Retry", "errors_of", "resource"]
