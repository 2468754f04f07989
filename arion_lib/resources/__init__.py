"""What happens to the other resources when one fails? They are released: all, once, in order, and no error is lost.

Idea        A manager is one `with` block over many resources; how each is opened and closed stays its own affair.
Invariant   All or nothing on the way in; everything, whatever fails, on the way out.
When wrong  One error is raised, and `errors_of` lists all of them. Several releases that fail alone come as a group.
See         notebooks/2_resource_manager.ipynb · tests/resources
"""

from arion_lib.resources.making.retry import Retry
from arion_lib.resources.manager import Resources
from arion_lib.resources.recipe import resource
from arion_lib.resources.settle import errors_of

__all__ = ["Resources", "Retry", "errors_of", "resource"]
