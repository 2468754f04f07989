"""A store that is closed by another thread in just the moment in which a connection is given back to it."""

from __future__ import annotations

from typing import Any

from arion_lib.pipeline.stores.sql import SqlStore


class Meeting(list[Any]):
    """Read connections that nobody uses; another thread closes the store while they are counted, once."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__()
        self._store: SqlStore | None = store

    def __len__(self) -> int:
        size = super().__len__()
        store, self._store = self._store, None
        if store is not None:
            store.close()
        return size
