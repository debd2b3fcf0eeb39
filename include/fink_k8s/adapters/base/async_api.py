"""The API server, asked from an event loop: one client that many share, for reading only."""

import asyncio
import contextlib
import json
import random
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from fink_k8s.adapters.base.api_errors import Away, away, error_of
from fink_k8s.adapters.base.cluster import Access, Cluster
from fink_k8s.core.base.errors import Unavailable
from fink_k8s.core.base.kubernetes import Manifest

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 15
# An object has 1.5 MB at most; a driver may write a line without end.
_LINE_BYTES = 4 * 2**20
# A server that is gone without a word is noticed after about 25 s.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class AsyncApi:
    """One account's API server; open it as a context, in the event loop that asks it.

    Credentials are read again, by `make_cluster` in a thread, when the server refuses them: tokens
    end, and connections are edited.
    """

    def __init__(self, make_cluster: Callable[[], Cluster]) -> None:
        self._make_cluster = make_cluster
        self._renewing = asyncio.Lock()
        self._door: _Door
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        """Read the credentials and open the client."""
        self._door = await asyncio.to_thread(_door_of, self._make_cluster)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self._session.close()

    async def get(self, path: str, seconds: float = _ANSWER_SECONDS, **query: str) -> Manifest:
        """Return an answer that is a JSON object; also see `text` for its errors.

        Raises:
            InvalidRequest: the answer is something else.
        """
        text = await self.text(path, seconds, **query)
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise error_of(200, f"no JSON object but {text[:80]!r}", f"GET {path}")
        return found

    async def text(self, path: str, seconds: float = _ANSWER_SECONDS, **query: str) -> str:
        """Return an answer as text.

        Raises:
            Away: the API server does not answer within `seconds`.
            NotThere, NotPermitted, InvalidRequest, Unavailable: by the answer's status.
        """
        with _ours(f"GET {path}"):
            async with asyncio.timeout(seconds), self._answer(path, query) as answer:
                return (await answer.read()).decode(errors="replace")

    @contextlib.asynccontextmanager
    async def lines(
        self, path: str, silence_seconds: float | None = None, **query: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an answer that goes on, whose lines come one by one; errors as those of `text`.

        A line that is cut off is not given out: the iteration raises Away, as it does after
        `silence_seconds`.
        """
        what = f"GET {path}"
        async with contextlib.AsyncExitStack() as stack:
            with _ours(what):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    answer = await stack.enter_async_context(
                        self._answer(path, query, silence_seconds)
                    )
            yield await stack.enter_async_context(contextlib.aclosing(_lines_of(answer, what)))

    @contextlib.asynccontextmanager
    async def _answer(
        self, path: str, query: Mapping[str, str], silence: float | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        door = self._door
        answer = await self._open(path, query, silence)
        if answer.status == 401:
            answer.close()
            await self._renew(door)
            answer = await self._open(path, query, silence)
        try:
            if answer.status != 200:
                said = await answer.text(errors="replace")
                raise error_of(answer.status, said or str(answer.reason), f"GET {path}")
            yield answer
        finally:
            # What was read to its end goes back to the pool by itself, the rest is cut off.
            answer.close()

    async def _open(
        self, path: str, query: Mapping[str, str], silence: float | None
    ) -> aiohttp.ClientResponse:
        door = self._door
        return await self._session.get(
            door.access.server + path,
            params=[(key, value) for key, value in query.items() if value],
            headers=door.headers,
            ssl=door.tls,
            proxy=door.access.proxy or None,
            server_hostname=door.access.server_name or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence
            ),
        )

    async def _renew(self, used: "_Door") -> None:
        """Read the credentials again, unless another task has done so since `used` was used."""
        async with self._renewing:
            if self._door is used:
                try:
                    self._door = await asyncio.to_thread(_door_of, self._make_cluster)
                except Exception as error:
                    # Whatever it is, a file that is being replaced or a connection that is being
                    # edited: it must not end the watch for all who follow.
                    raise Unavailable(f"the credentials cannot be read again: {error}") from error


@dataclass(frozen=True)
class Backoff:
    """The seconds to wait from one failure to the next, between `least` and `most`.

    They grow and are drawn by lot, so that many who failed together do not return together.
    """

    least: float = 0.5
    most: float = 15

    def seconds(self) -> Iterator[float]:
        """Yield one wait after the other, without end."""
        wait = self.least
        while True:
            wait = min(self.most, random.uniform(self.least, wait * 3))  # noqa: S311 - no secret
            yield wait


@dataclass(frozen=True)
class _Door:
    access: Access
    tls: ssl.SSLContext | bool
    headers: dict[str, str]


def _door_of(make_cluster: Callable[[], Cluster]) -> _Door:
    """Read the credentials; slow, for a thread: the system's authorities may have to be read."""
    access = make_cluster().access()
    headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
    if not access.server.startswith("https:"):
        return _Door(access, True, headers)
    tls = ssl.create_default_context(cafile=access.authority or None)
    if access.certificate:
        tls.load_cert_chain(access.certificate, access.key or None)
    if not access.is_verified:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return _Door(access, tls, headers)


def _socket(address: Any) -> socket.socket:
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if option := getattr(socket, name, None):
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


async def _lines_of(answer: aiohttp.ClientResponse, what: str) -> AsyncGenerator[bytes]:
    rest = b""
    with _ours(what):
        async for chunk in answer.content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line
            if len(rest) > _LINE_BYTES:
                yield rest
                rest = b""
    if rest:
        raise Away(f"the API server's answer to {what} ends in the middle of a line")


@contextlib.contextmanager
def _ours(what: str) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise away(what, error) from error
