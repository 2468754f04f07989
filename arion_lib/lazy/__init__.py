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
    selection   describe: which elements, and how it runs   template       the language of those lines
    terminal    ask: each method runs the pipeline          fuse           the one loop that all templates together are
    source      where elements come from                    pushdown       the value; cuts go to the source
                                                            failure        name the stage and the element

        lazy(xs) --.map(f)--> stages + .filter(g) --.sum()--> templates --> one function --> the result
                                                    terminal  stages, sinks  fuse             (or a note: failure)

The annex, a folder for each idea: barriers (where one loop ends and another begins: batch, sort, calls that overlap),
others (zip, concat, join), keys (results by key), remote (catch, retry, throttle), files, cache, asynchronous, inline
(`compile`), looking, refusals.
"""

from arion_lib.lazy.collection import LazyCollection, lazy

__all__ = ["LazyCollection", "lazy"]
