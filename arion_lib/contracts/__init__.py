"""Challenge 3: classes that keep their promise, or do not come into being; plugins found by name.

Idea        A contract is a base class; its metaclass compares each subclass with it at the `class` statement, puts
            guards before its methods and registers it.
Invariant   A class that can be named keeps its contracts, as far as signatures show it; a guarded call shows the rest.
When wrong  One error with all violations: code, place, contract against class, reason, fix. Nothing is registered.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/

To read in this order: signatures, subtypes (the judge's two halves) · promises, members, judge · predicates, guards,
plans, attributes (at run time) · contract (the metaclass) · registry, discovery, metrics, plugin_table · processors,
validators, transformers (contracts that ship, with plugins as a user writes them) · combine (other metaclasses).
"""
