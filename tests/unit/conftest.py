"""Unit tests open no socket, and know no installation: not even the testbed that runs beside."""

import os

import pytest
import pytest_socket

from tests.inbox import open_inbox


@pytest.fixture(autouse=True)
def no_installation(monkeypatch):
    for name in [name for name in os.environ if name.startswith("FINK_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_network():
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture
def inbox(no_network):
    """Return a server that takes messages: the one host that such a test may reach."""
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    with open_inbox() as inbox:
        yield inbox
    pytest_socket._remove_restrictions()
