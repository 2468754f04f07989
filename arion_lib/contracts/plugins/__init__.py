"""The annex of plugins: found in installed packages, measured, shown as a table, combined with other frameworks.

Idea        What an application does with classes that keep their contracts.
Invariant   The book needs none of it: a registry without discovery works, and a class without metrics.
When wrong  One broken plugin never hides the others.
See         tests/contracts/

To read in this order: report, discovery · metrics, plugin_table · combine · processors, validators, transformers
(contracts that ship, with plugins as a user writes them).
"""
