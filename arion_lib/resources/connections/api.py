"""An HTTP API as a resource: a client with one base URL, one time-out, and connections that are closed.

Idea        httpx speaks to the server; the resource says where, for how long, and how to see that it is well.
Invariant   Leaving the block closes every connection of the client.
When wrong  A server that is away is a `ServerAwayError`: on entry when `ping` names a path, else at the health check.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_connections.py
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from arion_lib.masking import masked
from arion_lib.resources.connections.away import away

if TYPE_CHECKING:
    import httpx


class Api:
    """A client of the HTTP API at `url`; `with` gives an `httpx.Client`, `async with` an `httpx.AsyncClient`.

    `timeout` is the seconds of each step of a request. `ping` is a path to ask for on entry and at each health check.

    Raises ValueError for a URL that is not http(s), ServerAwayError when it is entered and `ping` gets no good answer.
    """

    def __init__(
        self, url: str, *, timeout: float = 5.0, headers: Mapping[str, str] | None = None, ping: str | None = None
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url must begin with http:// or https://, got {masked(url)!r}")
        if timeout <= 0:
            raise ValueError(f"timeout must be > 0 seconds, got {timeout}")
        self.url, self.timeout, self.headers, self.ping = url, timeout, dict(headers or {}), ping
        self._open: list[Any] = []

    def fresh(self) -> Api:
        """A copy to be opened once: one description may be open in several managers."""
        return Api(self.url, timeout=self.timeout, headers=self.headers, ping=self.ping)

    def resource_options(self) -> dict[str, Any]:
        """What `resource` reads."""
        return {"check": self.check}

    @property
    def in_tasks(self) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """This API, for `async with` alone."""
        return _InTasks(self)

    def _options(self) -> dict[str, Any]:
        return {"base_url": self.url, "timeout": self.timeout, "headers": self.headers, "trust_env": False}

    def __enter__(self) -> httpx.Client:
        import httpx

        client = httpx.Client(**self._options())
        try:
            if self.ping is not None:
                self.check(client)
        except BaseException:
            client.close()
            raise
        self._open.append(client)
        return client

    def __exit__(self, *exc: object) -> None:
        self._open.pop().close()

    async def __aenter__(self) -> httpx.AsyncClient:
        import httpx

        client = httpx.AsyncClient(**self._options())
        try:
            if self.ping is not None:
                await self.check(client)
        except BaseException:
            await client.aclose()
            raise
        self._open.append(client)
        return client

    async def __aexit__(self, *exc: object) -> None:
        await self._open.pop().aclose()

    def check(self, client: Any) -> Any:
        """Ask the server whether it is well; in a task the answer must be awaited."""
        import httpx

        return self._acheck(client) if isinstance(client, httpx.AsyncClient) else self._check(client)

    def _check(self, client: Any) -> None:
        import httpx

        try:
            self._judge(client.get(self.ping or "/"))
        except httpx.TransportError as error:
            raise away(self.url, error) from error

    async def _acheck(self, client: Any) -> None:
        import httpx

        try:
            self._judge(await client.get(self.ping or "/"))
        except httpx.TransportError as error:
            raise away(self.url, error) from error

    def _judge(self, answer: Any) -> None:
        """A named path must answer with success; without one, any answer but the server's own failure will do."""
        if answer.is_server_error or (self.ping is not None and not answer.is_success):
            raise away(self.url, f"{self.ping or '/'} answered {answer.status_code} {answer.reason_phrase}")

    def __repr__(self) -> str:
        return f"Api({masked(self.url)!r})"


class _InTasks:
    def __init__(self, api: Api) -> None:
        self._api = api

    def fresh(self) -> _InTasks:
        return _InTasks(self._api.fresh())

    async def __aenter__(self) -> httpx.AsyncClient:
        return await self._api.__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        await self._api.__aexit__(*exc)

    def resource_options(self) -> dict[str, Any]:
        return self._api.resource_options()
