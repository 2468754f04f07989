"""Challenge 4: a collection that does its work when, and only when, a result is asked for.

Idea        Describe first, run later, as one loop: `lazy(source).map(f).filter(g).sum()` costs what a hand-written loop
            costs.
Invariant   Nothing runs before a terminal operation or an iteration; `take(n)` pulls n elements; memory does not follow
            the input.
When wrong  An error names its stage and its element; a second pass over a one-shot source raises instead of finding
            nothing.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/

Read in this order, the book:

    collection  describe: each method adds a stage          stages, sinks  the operations, as templates of a few lines
    terminal    ask: each method runs the pipeline          template       the language of those lines
    source      where elements come from                    fuse           the one loop that all templates together are
    pushdown    the value; cuts go to the source            engine         choose the loops, join them, run
    failure     name the stage and the element

The annex, a folder for each idea: barriers (batch, sort, calls that overlap), cache, asynchronous, inline (`compile`),
looking, refusals.
"""

from arion_lib.lazy.collection import LazyCollection, lazy

__all__ = ["LazyCollection", "lazy"]
