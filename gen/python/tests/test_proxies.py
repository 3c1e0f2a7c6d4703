"""The client behind real proxies, those that are installed, whose server dies and comes back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from latchkey_client import Client, LatchkeyError, connect
from latchkey_client.session import (
    CreateSessionRequest,
    CreateSessionResponse,
    GetSessionRequest,
    WatchSessionsRequest,
    WatchSessionsResponse,
)

from .proxies import ARGUMENTS, Server, proxy

PATIENCE = 60.0
"""Seconds that a call may take whose server comes back meanwhile."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    try:
        started.start()
        yield started
    finally:
        started.kill()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_watch_and_a_read_outlast_the_death_of_the_server(
    name: str, tmp_path: Path, server: Server
) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    with (
        proxy(name, tmp_path, server.port) as address,
        connect(address) as client,
        client.watch(WatchSessionsRequest(app="proxied")) as watch,
        ThreadPoolExecutor() as pool,
    ):
        users = _users_of(watch)
        assert next(users) == "snapshot"
        token = _create(client, "before").token
        assert next(users) == "before"

        server.kill()
        request = GetSessionRequest(app="proxied", token=token)
        read = pool.submit(lambda: client.sessions.GetSession(request, timeout=PATIENCE))
        with pytest.raises(LatchkeyError) as away:
            client.sessions.GetSession(request, timeout=1)
        assert away.value.reason == ""
        print(f"\n{name}: away: {away.value}")
        tell = _stopwatch(name)
        server.start()
        tell("the server listened")
        assert read.result().session.user_id == "before"
        tell("the read was answered")
        _create(client, "after")
        tell("the write was answered")
        assert next(users) == "after"
        tell("the watch told it")


def _users_of(watch: Iterator[WatchSessionsResponse]) -> Iterator[str]:
    """Whose sessions a watch tells of, one after the other."""
    for response in watch:
        if response.HasField("snapshot_end"):
            yield "snapshot"
        if response.HasField("reset"):
            yield "reset"
        for event in response.events.events:
            yield event.user_id


def _create(client: Client, user_id: str) -> CreateSessionResponse:
    """Tries for long: calls fail for a while after the server was away."""
    end = monotonic() + PATIENCE
    while True:
        try:
            created: CreateSessionResponse = client.sessions.CreateSession(
                CreateSessionRequest(app="proxied", user_id=user_id)
            )
            return created
        except LatchkeyError:
            if monotonic() > end:
                raise


def _stopwatch(name: str) -> Callable[[str], None]:
    start = monotonic()
    return lambda what: print(f"{name}: {what} after {monotonic() - start:.1f} s")
