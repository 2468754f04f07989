"""Contracts and frameworks with metaclasses of their own."""

from __future__ import annotations

import enum
from abc import abstractmethod
from typing import Any

import pytest

from arion_lib.contracts.contract import Contract, ContractMeta
from arion_lib.contracts.plugins.combine import combine
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import ContractCallError, ContractError

registry = Registry()


class Pricing(Contract, kind="pricing", registry=registry):
    @abstractmethod
    def price(self, count: int) -> int: ...


class Labelled(Contract, kind="labelled", registry=registry):
    label: str

    @abstractmethod
    def price(self, count: int) -> int: ...


def test_it_gives_one_metaclass_for_each_combination() -> None:
    assert combine(Pricing, enum.Enum) is combine(enum.Enum, Labelled)
    assert issubclass(combine(Pricing, enum.Enum), ContractMeta)
    assert combine(Pricing, dict) is ContractMeta
    assert combine(int) is type


def test_an_enum_keeps_a_contract() -> None:
    class Size(Pricing, enum.Enum, metaclass=combine(Pricing, enum.Enum)):
        SMALL = 1
        LARGE = 2

        def price(self, count):  # type: ignore[no-untyped-def]
            return self.value * count

    assert Size.LARGE.price(3) == 6
    assert [member.name for member in Size] == ["SMALL", "LARGE"]
    assert registry.get("pricing", "size") is Size
    with pytest.raises(ContractCallError, match="'count'"):
        Size.SMALL.price("x")
    with pytest.raises(ContractError, match="parameter-missing"):

        class Broken(Pricing, enum.Enum, metaclass=combine(Pricing, enum.Enum)):
            ONE = 1

            def price(self) -> int:
                return 1


def test_a_pydantic_model_keeps_a_contract() -> None:
    pydantic = pytest.importorskip("pydantic")
    base: Any = pydantic.BaseModel

    class Item(Labelled, base, metaclass=combine(Labelled, base), name="model"):  # type: ignore[misc]
        label: str
        euro: int = 1

        def price(self, count):  # type: ignore[no-untyped-def]
            return self.euro * count

    item = Item(label="a", euro="4")
    assert (item.price(2), item.model_dump(), item.label) == (8, {"label": "a", "euro": 4}, "a")
    with pytest.raises(ContractCallError):
        item.price("x")
    with pytest.raises(pydantic.ValidationError):
        Item(label=[1])
    with pytest.raises(ContractError, match="attribute-type"):

        class Broken(Labelled, base, metaclass=combine(Labelled, base)):  # type: ignore[misc]
            label: int

            def price(self, count: int) -> int:
                return 1


@pytest.mark.parametrize("style", ["declarative_base", "DeclarativeBase"])
def test_a_sqlalchemy_model_keeps_a_contract(style: str) -> None:
    orm = pytest.importorskip("sqlalchemy.orm")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    base: Any = orm.declarative_base() if style == "declarative_base" else type("Base", (orm.DeclarativeBase,), {})

    class Item(Labelled, base, metaclass=combine(Labelled, base)):  # type: ignore[misc]
        __tablename__ = "items"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        label = sqlalchemy.Column(sqlalchemy.String)

        def price(self, count):  # type: ignore[no-untyped-def]
            return count

    engine = sqlalchemy.create_engine("sqlite://")
    base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(Item(label="a"))
        session.commit()
        found = session.scalars(sqlalchemy.select(Item).where(Item.label == "a")).one()
        assert (found.label, found.price(3)) == ("a", 3)
        with pytest.raises(ContractCallError):
            found.price("x")
    engine.dispose()
    assert registry.get("labelled", "item", "") is Item
    registry.remove("labelled", "item")
    with pytest.raises(ContractError, match="parameter-name"):

        class Broken(Labelled, base, metaclass=combine(Labelled, base)):  # type: ignore[misc]
            __tablename__ = "broken"
            id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
            label = sqlalchemy.Column(sqlalchemy.String)

            def price(self, number: int) -> int:
                return number


def test_a_django_model_keeps_a_contract() -> None:
    django = pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        settings.configure(INSTALLED_APPS=[], DATABASES={}, USE_TZ=True)
        django.setup()
    from django.db import models

    class Item(Labelled, models.Model, metaclass=combine(Labelled, models.Model), name="django-item"):
        label = models.CharField(max_length=10)

        class Meta:
            app_label = __name__.rpartition(".")[2]

        def price(self, count):  # type: ignore[no-untyped-def]
            return count

    item = Item(label="a")
    assert (item.label, item.price(2), Item._meta.get_field("label").max_length) == ("a", 2, 10)
    with pytest.raises(ContractCallError):
        item.price("x")
    with pytest.raises(ContractError, match="missing"):

        class Broken(Labelled, models.Model, metaclass=combine(Labelled, models.Model)):
            class Meta:
                app_label = __name__.rpartition(".")[2]

            def price(self, count: int) -> int:
                return count
