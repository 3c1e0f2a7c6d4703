"""What calls do when the connection, or the server, says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import grpc
import pytest

from latchkey_client import Client, LatchkeyError, connect, session
from latchkey_client.connection import Connection
from latchkey_client.retry import Clock

from .fake_server import fake_server
from .servers import Servers
from .silent_proxy import silent_proxy


def create(client: Client, app: str) -> str:
    request = session.CreateSessionRequest(app=app, user_id="ann")
    token: str = client.sessions.CreateSession(request).token
    return token


def test_calls_leave_a_connection_that_a_balancer_forgot_within_their_deadline(
    servers: Servers, app_name: str
) -> None:
    with silent_proxy(servers.grpc["open"]) as proxy, connect(proxy.address) as client:
        token = create(client, app_name)
        proxy.forget()
        start = monotonic()
        read = session.GetSessionRequest(app=app_name, token=token)
        assert client.sessions.GetSession(read).session.user_id == "ann"
        assert monotonic() - start < 4.5
        proxy.forget()
        update = session.UpdateSessionRequest(app=app_name, token=token)
        update.data["a"] = 1
        assert client.sessions.UpdateSession(update).session.version == 2
        # What follows does not wait.
        start = monotonic()
        client.sessions.GetSession(read)
        assert monotonic() - start < 1


def test_a_slow_call_does_not_replace_a_connection_that_answers_others() -> None:
    time = [0.0]
    opened: list[Any] = []

    class Channel:
        def unary_unary(self, method: str, **_: Any) -> str:
            return method

    def open_channel() -> Any:
        opened.append(Channel())
        return opened[-1]

    connection = Connection(open_channel, Clock(now=lambda: time[0]))
    connection.call("unary_unary", "a", {})
    time[0] = 1.0
    connection.on_answer()
    time[0] = 2.0
    connection.replace(since=0.5)
    connection.call("unary_unary", "b", {})
    assert len(opened) == 1
    # Of two calls that found it silent the first replaces it.
    connection.replace(since=1.5)
    connection.call("unary_unary", "a", {})
    connection.replace(since=1.6)
    connection.call("unary_unary", "a", {})
    assert len(opened) == 2


def test_after_a_silence_calls_fail_at_once_but_one_a_second() -> None:
    time = [0.0]
    connection = Connection(lambda: pytest.fail("no call is made"), Clock(now=lambda: time[0]))
    time[0] = 5.0
    connection.on_silence(0.0)
    assert not connection.admits()
    time[0] = 6.1
    assert [connection.admits() for _ in range(3)] == [True, False, False]
    connection.on_answer()
    assert [connection.admits() for _ in range(3)] == [True, True, True]
    # A call that waited little, or while others were answered, says nothing.
    connection.on_silence(6.0)
    connection.on_silence(0.0)
    assert connection.admits()


def test_a_server_that_is_silent_is_waited_for_once(servers: Servers) -> None:
    read = session.GetSessionRequest(app="shop", token="0" * 64)
    with silent_proxy(servers.grpc["open"]) as proxy, connect(proxy.address, deadline=2) as client:
        proxy.mute = True
        took = []
        for _ in range(3):
            start = monotonic()
            with pytest.raises(LatchkeyError) as failure:
                client.sessions.GetSession(read)
            assert failure.value.reason == ""
            took.append(monotonic() - start)
        assert took[0] < 2.8
        assert max(took[1:]) < 0.2
        proxy.mute = False
        start = monotonic()
        while failure.value.reason != "NOT_FOUND":
            assert monotonic() - start < 10
            with pytest.raises(LatchkeyError) as failure:
                client.sessions.GetSession(read)


def test_a_client_may_be_made_before_a_fork() -> None:
    def answer(_request: Any, _context: Any) -> Any:
        return session.GetSessionResponse()

    code = """
import os, sys
from latchkey_client import connect, session
client = connect(sys.argv[1])
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        client.sessions.GetSession(session.GetSessionRequest(app="shop", token="t"))
        os._exit(0)
    children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children])
"""
    source = Path(__file__).parents[1] / "src"
    with fake_server(GetSession=answer) as address:
        ran = subprocess.run(
            [sys.executable, "-c", code, address],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(source)},
            text=True,
            timeout=30,
        )
    assert ran.stdout.strip() == "[0, 0]"


def test_a_call_that_waits_under_gevent_does_not_hold_other_greenlets() -> None:
    def silent(_request: Any, context: grpc.ServicerContext) -> Any:
        ended = Event()
        context.add_callback(ended.set)
        ended.wait(10)

    code = """
from gevent import monkey
monkey.patch_all()
import sys, time
import gevent
from latchkey_client import LatchkeyError, connect, session
client = connect(sys.argv[1], deadline=2)
def call():
    try:
        client.sessions.GetSession(session.GetSessionRequest(app="shop", token="t"))
    except LatchkeyError as error:
        return error.code.name
waiting = gevent.spawn(call)
longest, last = 0.0, time.monotonic()
while not waiting.ready():
    gevent.sleep(0.01)
    longest, last = max(longest, time.monotonic() - last), time.monotonic()
print(waiting.value, longest < 1)
"""
    source = Path(__file__).parents[1] / "src"
    with fake_server(GetSession=silent) as address:
        ran = subprocess.run(
            [sys.executable, "-c", code, address],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(source)},
            text=True,
            timeout=30,
        )
    assert ran.stdout.strip() == "DEADLINE_EXCEEDED True"
