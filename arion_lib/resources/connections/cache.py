"""A cache as a resource: in memory by default, a Redis server by URL.

Idea        What was put in is there for `ttl` seconds, as long as there is room; the least recently used goes first.
Invariant   A cache in memory never holds more than `size` values, and never gives one that is older than `ttl`.
When wrong  A server that is away is a `ServerAwayError` on entry; what is not there is the default, never an error.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_connections.py
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from arion_lib.masking import masked
from arion_lib.resources.connections.away import away


class Store(Protocol):
    """An open cache. Values are what JSON can hold (in memory: anything)."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value for the cache's time to live."""

    def delete(self, key: str) -> None:
        """Forget a key; one that is not there is no error."""


class AsyncStore(Protocol):
    """An open cache, for tasks."""

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default."""

    async def set(self, key: str, value: Any) -> None:
        """Keep a value for the cache's time to live."""

    async def delete(self, key: str) -> None:
        """Forget a key; one that is not there is no error."""


class MemoryStore:
    """A bounded dictionary whose values grow old.

    >>> now = 0.0
    >>> store = MemoryStore(size=2, ttl=10, clock=lambda: now)
    >>> for key in "abc": store.set(key, key.upper())
    >>> store.get("a"), store.get("c")
    (None, 'C')
    >>> now = 10.0
    >>> store.get("c"), len(store)
    (None, 1)
    """

    def __init__(self, size: int, ttl: float, clock: Callable[[], float]) -> None:
        self._size, self._ttl, self._clock = size, ttl, clock
        self._values: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, default: Any = None) -> Any:
        with self._lock:
            until, value = self._values.get(key, (float("-inf"), default))
            if until <= self._clock():
                self._values.pop(key, None)
                return default
            self._values.move_to_end(key)
            return value

    def set(self, key: str, value: Any) -> None:
        with self._lock:
            self._values[key] = (self._clock() + self._ttl, value)
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)

    def delete(self, key: str) -> None:
        with self._lock:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()

    def __len__(self) -> int:
        return len(self._values)


class AsyncMemoryStore:
    """The same for tasks: nothing here waits, but the calls read as those to a server do."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def get(self, key: str, default: Any = None) -> Any:
        return self._store.get(key, default)

    async def set(self, key: str, value: Any) -> None:
        self._store.set(key, value)

    async def delete(self, key: str) -> None:
        self._store.delete(key)


class RedisStore:
    """A store on a server; keys carry a prefix, values are JSON text."""

    def __init__(self, client: Any, prefix: str, ttl: float) -> None:
        self.client, self._prefix, self._ms = client, prefix, max(1, round(ttl * 1000))

    def get(self, key: str, default: Any = None) -> Any:
        text = self.client.get(self._prefix + key)
        return default if text is None else json.loads(text)

    def set(self, key: str, value: Any) -> None:
        self.client.set(self._prefix + key, json.dumps(value), px=self._ms)

    def delete(self, key: str) -> None:
        self.client.delete(self._prefix + key)


class AsyncRedisStore(RedisStore):
    """The same for tasks."""

    async def get(self, key: str, default: Any = None) -> Any:
        text = await self.client.get(self._prefix + key)
        return default if text is None else json.loads(text)

    async def set(self, key: str, value: Any) -> None:  # type: ignore[override]
        await self.client.set(self._prefix + key, json.dumps(value), px=self._ms)

    async def delete(self, key: str) -> None:  # type: ignore[override]
        await self.client.delete(self._prefix + key)


class Cache:
    """Keep up to `size` values for `ttl` seconds each: in memory, or at `redis://host:6379/0` under `prefix`.

    `clock` gives seconds (in memory only); `timeout` is the seconds to wait for a server, whose own bound holds there.

    Raises ValueError for an argument out of range, ServerAwayError when it is entered and the server is away.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        size: int = 1_024,
        ttl: float = 60.0,
        prefix: str = "arion:",
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if url is not None and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError(f"url must begin with redis://, rediss:// or unix://, got {masked(url)!r}")
        if size < 1 or ttl <= 0 or timeout <= 0:
            raise ValueError(f"size must be >= 1, ttl and timeout > 0, got {size}, {ttl} and {timeout}")
        self.url, self.size, self.ttl, self.prefix, self.timeout, self.clock = url, size, ttl, prefix, timeout, clock
        self._open: list[Any] = []

    def fresh(self) -> Cache:
        """A copy to be opened once: one description may be open in several managers."""
        return Cache(self.url, size=self.size, ttl=self.ttl, prefix=self.prefix, timeout=self.timeout, clock=self.clock)

    def resource_options(self) -> dict[str, Any]:
        """What `resource` reads."""
        return {"check": check}

    @property
    def in_tasks(self) -> AbstractAsyncContextManager[AsyncStore]:
        """This cache, for `async with` alone."""
        return _InTasks(self)

    def __enter__(self) -> Store:
        if self.url is None:
            store = MemoryStore(self.size, self.ttl, self.clock)
            self._open.append(store)
            return store
        from redis import Redis, RedisError

        client = Redis.from_url(self.url, socket_timeout=self.timeout, socket_connect_timeout=self.timeout)
        try:
            client.ping()
        except BaseException as error:
            client.close()
            if isinstance(error, RedisError):
                raise away(self.url, error) from error
            raise
        self._open.append(client)
        return RedisStore(client, self.prefix, self.ttl)

    def __exit__(self, *exc: object) -> None:
        opened = self._open.pop()
        opened.clear() if self.url is None else opened.close()

    async def __aenter__(self) -> AsyncStore:
        if self.url is None:
            store = MemoryStore(self.size, self.ttl, self.clock)
            self._open.append(store)
            return AsyncMemoryStore(store)
        from redis import RedisError
        from redis.asyncio import Redis

        client = Redis.from_url(self.url, socket_timeout=self.timeout, socket_connect_timeout=self.timeout)
        try:
            await client.ping()
        except BaseException as error:
            await client.aclose()
            if isinstance(error, RedisError):
                raise away(self.url, error) from error
            raise
        self._open.append(client)
        return AsyncRedisStore(client, self.prefix, self.ttl)

    async def __aexit__(self, *exc: object) -> None:
        opened = self._open.pop()
        if self.url is None:
            opened.clear()
        else:
            await opened.aclose()

    def __repr__(self) -> str:
        return f"Cache({masked(self.url or 'in memory')!r})"


class _InTasks:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def fresh(self) -> _InTasks:
        return _InTasks(self._cache.fresh())

    async def __aenter__(self) -> AsyncStore:
        return await self._cache.__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        await self._cache.__aexit__(*exc)

    def resource_options(self) -> dict[str, Any]:
        return self._cache.resource_options()


def check(store: Any) -> Any:
    """Look up a key that is not there; in a task the answer must be awaited."""
    return store.get("health check")
