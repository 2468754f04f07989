"""One metaclass out of several, for classes that keep a contract and belong to a framework with its own.

Idea        Python asks that a class's metaclass derives from those of all its bases. Make that one, once for each
            combination: the contract's comes first, so it sees the class after the framework has finished it.
Invariant   Equal combinations give the same metaclass; what needs none gets the metaclass it has.
When wrong  Bases whose metaclasses cannot be combined are refused by Python with its own `TypeError`.
See         tests/contracts/test_combine.py

    class Settings(Processor, pydantic.BaseModel, metaclass=combine(Processor, pydantic.BaseModel)): ...
"""

from __future__ import annotations

from functools import cache

from arion_lib.contracts.contract import ContractMeta


def combine(*bases: type) -> type[type]:
    """Return a metaclass for a class with these bases: contracts, Enum, pydantic, Django and SQLAlchemy models, ...

    >>> import enum
    >>> from abc import abstractmethod
    >>> from arion_lib.contracts.contract import Contract
    >>> combine(Contract, enum.Enum).__name__, combine(Contract) is ContractMeta
    ('ContractMetaWithEnumType', True)
    """
    found: list[type[type]] = []
    for kind in sorted(map(type, bases), key=lambda kind: not issubclass(kind, ContractMeta)):
        if not any(issubclass(known, kind) for known in found):
            found = [known for known in found if not issubclass(kind, known)] + [kind]
    return found[0] if len(found) == 1 else _made(tuple(found))


@cache
def _made(kinds: tuple[type[type], ...]) -> type[type]:
    name = "With".join(kind.__name__ for kind in kinds)
    return type(name, kinds, {"__doc__": f"Made of {', '.join(kind.__name__ for kind in kinds)}."})
