"""The client that a triggerer's watches share, against a real TLS server."""

import asyncio
import socket
import ssl
from types import SimpleNamespace

import pytest
import pytest_socket
from aiohttp import web

from fink_k8s.adapters.base import async_api
from fink_k8s.adapters.base.async_api import AsyncApi
from fink_k8s.adapters.base.cluster import Access
from fink_k8s.core.base.errors import InvalidRequest, NotPermitted
from testbed.certificates import Authority

LINES = [f"line {number} {'x' * 5000}".encode() for number in range(400)]


@pytest.fixture
def host(no_network):
    """The one host that such a test may reach."""
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1", "localhost"])
    yield "127.0.0.1"
    pytest_socket._remove_restrictions()


async def serve(host, tls=None, **pages):
    """Serve pages by name; return the runner and the address."""
    app = web.Application()
    for name, page in pages.items():
        app.router.add_get(f"/{name}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, host, 0, ssl_context=tls).start()
    return runner, f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}"


def client_of(url, *tokens, authority=""):
    """Return the client of an account; its token is the next one whenever it is read."""
    left = list(tokens)

    def access():
        token = left.pop(0) if len(left) > 1 else left[0]
        return Access(url, token, authority, "", "", is_verified=True)

    return AsyncApi(lambda: SimpleNamespace(access=access))


def play(scene):
    return asyncio.run(asyncio.wait_for(scene, 30))


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
        runner, url = await serve(host, tls, log=said)
        there = client_of(url, "token", authority=str(tmp_path / "ca.crt"))
        async with there as api, api.lines("/log") as lines:
            read = [line async for line in lines]
        await runner.cleanup()
        return read

    assert play(scene()) == LINES


def test_a_page_of_a_driver_leads_nowhere_else(host):
    """A driver is not trusted: it must not choose where the triggerer and its token go."""
    visits = []

    async def away(request):
        raise web.HTTPFound("/secret")

    async def secret(request):
        visits.append(request.headers)
        return web.Response(text="{}")

    async def scene():
        runner, url = await serve(host, page=away, secret=secret)
        async with client_of(url, "token") as api:
            with pytest.raises(InvalidRequest, match="302"):
                await api.text("/page")
        await runner.cleanup()

    play(scene())
    assert visits == []


def test_a_page_of_a_driver_leaves_no_cookie(host):
    seen = []

    async def page(request):
        seen.append(dict(request.cookies))
        answer = web.Response(text="{}")
        answer.set_cookie("session", "of another")
        return answer

    async def scene():
        # Cookies of a host that is an address are dropped by default: this one has a name.
        runner, url = await serve(host, page=page)
        async with client_of(url.replace(host, "localhost"), "token") as api:
            for _ in range(2):
                await api.text("/page")
        await runner.cleanup()

    play(scene())
    assert seen == [{}, {}]


def test_a_token_that_ended_is_read_anew_once(host):
    seen = []

    async def page(request):
        seen.append(request.headers["Authorization"])
        return web.Response(text="{}", status=200 if seen[-1] == "Bearer new" else 401)

    async def scene(*tokens):
        runner, url = await serve(host, page=page)
        async with client_of(url, *tokens) as api:
            try:
                return await api.get("/page")
            finally:
                await runner.cleanup()

    assert play(scene("old", "new")) == {}
    assert seen == ["Bearer old", "Bearer new"]
    with pytest.raises(NotPermitted):
        play(scene("old"))
    assert seen[2:] == ["Bearer old", "Bearer old"]


def test_a_server_that_goes_without_a_word_is_noticed(host):
    """A followed log may be silent for long: the kernel asks whether the server is there."""
    with async_api._socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        idle, pause, count = (
            made.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names
        )
        assert idle + pause * count <= 25
