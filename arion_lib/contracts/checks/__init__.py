"""The annex of checks: annotations as code, guards before methods, attributes that are checked, classes patched.

Idea        The book judges a class once; what is here looks at values, at each call and each assignment.
Invariant   Nothing here decides whether a class keeps its contract, but for the glance, which may only say "yes".
When wrong  `ContractCallError` at the call or the assignment.
See         tests/contracts/

To read in this order: hints, generics, structural · callables, glance · levels, predicates, streams, guards, plans ·
attributes · installation, patches, adoption.
"""
