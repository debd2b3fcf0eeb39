"""The client that a triggerer's watches share, against a real TLS server."""

import asyncio
import ssl
from types import SimpleNamespace

import pytest
import pytest_socket
from aiohttp import web

from fink_k8s.adapters.base.async_api import AsyncApi
from fink_k8s.adapters.base.cluster import Access
from testbed.certificates import Authority

LINES = [f"line {number} {'x' * 5000}".encode() for number in range(400)]


@pytest.fixture
def host(no_network):
    """The one host that such a test may reach."""
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    yield "127.0.0.1"
    pytest_socket._remove_restrictions()


def test_an_answer_that_goes_on_is_whole(host, tmp_path):
    authority = Authority(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.issue("server", "server", hosts=(host,)))

    async def said(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        for line in LINES:
            await answer.write(line + b"\n")
        return answer

    async def scene():
        app = web.Application()
        app.router.add_get("/log", said)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, host, 0, ssl_context=tls)
        await site.start()
        url = f"https://{host}:{runner.addresses[0][1]}"
        access = Access(url, "token", str(tmp_path / "ca.crt"), "", "", is_verified=True)
        there = AsyncApi(lambda: SimpleNamespace(access=lambda: access))
        async with there as api, api.lines("/log") as lines:
            read = [line async for line in lines]
        await runner.cleanup()
        return read

    assert asyncio.run(asyncio.wait_for(scene(), 30)) == LINES
