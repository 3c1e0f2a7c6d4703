from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from latchkey_client import Client, connect

from .servers import Servers, start_servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with start_servers() as started:
        yield started


@pytest.fixture
def client(servers: Servers) -> Iterator[Client]:
    with connect(servers.grpc["open"]) as connected:
        yield connected


@pytest.fixture
def app_name() -> str:
    """An app that no other test knows."""
    return f"py-{secrets.token_hex(7)}"
