"""Challenge 3: classes that keep their promise, or do not come into being; plugins found by name.

Idea        A contract is a base class; its metaclass compares each subclass with it at the `class` statement, puts
            guards before its methods and registers it.
Invariant   A class whose name was bound keeps its contracts as far as signatures show it; guarded calls show the rest.
            A program that works without a contract works under one that it keeps.
When wrong  One error with all violations: code, place, contract against class, reason, fix. Nothing is registered.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/

The book, to read in this order:

    signatures   does every call that one signature allows also suit another?
    subtypes     does every value that fits one annotation fit the other?
    violations   the table of what can be broken: code, reason, fix; and the errors
    members      what stands under a name in a class
    promises     what a contract promises
    resolution   what was promised, and what the class has in its place
    judge        one promise against one member: the rules
    options      the words of a class statement, and what is remembered of it
    registry     plugins by contract, name and version
    contract     the metaclass: read the promises, judge, guard, register

    class statement --> contract --> promises, resolution --> judge (signatures, subtypes) --> violations
                                 \\-> checks/ (guards) ----> registry

The annex: `checks/` (what happens at calls and assignments), `plugins/` (discovery, metrics, the contracts that
ship), `messages/` (places, explanations, warnings).
"""
