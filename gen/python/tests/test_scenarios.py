"""Plays test/system/clients/scenarios.json, by the rules of test/system/clients/README.md."""

from __future__ import annotations

import json
import re
import secrets
import string
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import Queue
from threading import Thread, Timer
from time import monotonic
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from latchkey_client import Client, LatchkeyError, Tls, connect, rke, session
from latchkey_client.error import to_error
from latchkey_client.gen.latchkey.rke.v1 import rke_service_pb2
from latchkey_client.gen.latchkey.session.v1 import session_service_pb2

from .servers import ROOT, Servers

SCENARIOS = json.loads((ROOT / "test/system/clients/scenarios.json").read_text())["scenarios"]
SERVICES = {
    **session_service_pb2.DESCRIPTOR.services_by_name,
    **rke_service_pb2.DESCRIPTOR.services_by_name,
}
LETTERS = string.ascii_lowercase + string.digits


def random_letters(count: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(count))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["title"])
def test_scenario(scenario: dict[str, Any], servers: Servers) -> None:
    with ExitStack() as at_end:
        player = Player(scenario, servers, at_end)
        for step in scenario["steps"]:
            player.play(step)


def wait_until_found(client: Client) -> None:
    """While a watch tries to come back, a channel pauses for up to a second between attempts, in
    which a call gives up where nothing listened at the last one."""
    end = monotonic() + 60
    while True:
        try:
            client.sessions.GetCurrentSession(session.GetCurrentSessionRequest())
            return
        except LatchkeyError as error:
            if error.reason:
                return
            if monotonic() > end:
                raise


class Player:
    def __init__(self, scenario: dict[str, Any], servers: Servers, at_end: ExitStack) -> None:
        self.server = scenario["server"]
        self.caller = scenario.get("as", "none")
        self.servers = servers
        self.at_end = at_end
        self.clients: dict[str, Client] = {}
        self.raw: dict[str, grpc.Channel] = {}
        self.watches: dict[str, Iterator[dict[str, Any]]] = {}
        self.closers: dict[str, Callable[[], None]] = {}
        self.variables = {
            "app": f"u-{random_letters(16)}",
            "unique": random_letters(32),
            "noToken": "0" * 64,
            "long": "x" * 1_100_000,
            **servers.rke,
        }

    def play(self, step: dict[str, Any]) -> None:
        step = self.fill(step)
        if "stop" in step or "start" in step:
            self.servers.command(f"{'stop' if 'stop' in step else 'start'} {self.server}")
            if "start" in step:
                for client in self.clients.values():
                    wait_until_found(client)
        elif "watch" in step:
            self.watch(step)
        elif "close" in step:
            self.closers[step["close"]]()
        elif "next" in step:
            self.check(step, lambda: next(self.watches[step["next"]]))
        else:
            self.check(step, lambda: self.call(step))

    def fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$\{(\w+)\}", lambda found: self.variables[found[1]], value)
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        return value

    def check(self, step: dict[str, Any], act: Callable[[], dict[str, Any]]) -> None:
        try:
            answer = act()
        except LatchkeyError as error:
            if "error" not in step:
                raise
            told = {
                "code": error.code.name,
                "fields": list(error.fields),
                "metadata": dict(error.metadata),
                "message": error.message,
            }
            if error.reason:
                told["reason"] = error.reason
            match(told, step["error"])
            return
        assert "error" not in step, f"it succeeded: {answer}"
        match(answer, step.get("expect", {}))
        for name, path in step.get("save", {}).items():
            found: Any = answer
            for part in path.split("."):
                found = found[int(part)] if isinstance(found, list) else found[part]
            self.variables[name] = found

    def call(self, step: dict[str, Any]) -> dict[str, Any]:
        service, _, method = step["call"].partition("/")
        make = getattr(self.stub(service, step), method)
        request_class = GetMessageClass(SERVICES[service].methods_by_name[method].input_type)
        timeout = step["deadlineMs"] / 1000 if "deadlineMs" in step else None
        try:
            if "stream" in step:
                requests = [ParseDict(each, request_class()) for each in step["stream"]]
                return joined(make(iter(requests), timeout=timeout))
            request = ParseDict(step["request"], request_class())
            if "cancelAfterMs" in step:
                future = make.future(request, timeout=timeout)
                Timer(step["cancelAfterMs"] / 1000, future.cancel).start()
                return MessageToDict(future.result())
            return MessageToDict(make(request, timeout=timeout))
        except grpc.RpcError as failure:
            assert step.get("raw"), "the client raises LatchkeyError alone"
            raise to_error(failure) from failure  # type: ignore[arg-type] # It is a Call, too.

    def watch(self, step: dict[str, Any]) -> None:
        watch = self.client(step).watch(ParseDict(step["request"], session.WatchSessionsRequest()))
        self.at_end.callback(watch.close)
        told: Queue[dict[str, Any] | LatchkeyError] = Queue()

        def listen() -> None:
            try:
                for response in watch:
                    for each in taken_apart(response):
                        told.put(each)
            except LatchkeyError as error:
                told.put(error)

        def following() -> Iterator[dict[str, Any]]:
            while True:
                each = told.get(timeout=10)
                if isinstance(each, LatchkeyError):
                    raise each
                yield each

        thread = Thread(target=listen)
        thread.start()
        self.at_end.callback(thread.join)
        self.at_end.callback(watch.close)
        self.watches[step["watch"]] = following()
        self.closers[step["watch"]] = watch.close

    def stub(self, service: str, step: dict[str, Any]) -> Any:
        if step.get("raw"):
            assert "as" not in step
            assert self.server == "open", "raw calls have no credentials here"
            if self.server not in self.raw:
                channel = grpc.insecure_channel(self.servers.grpc[self.server])
                self.raw[self.server] = self.at_end.enter_context(channel)
            stub = {
                "SessionService": session.SessionServiceStub,
                "RkeService": rke.RkeServiceStub,
            }[service]
            return stub(self.raw[self.server])
        client = self.client(step)
        return {"SessionService": client.sessions, "RkeService": client.rke}[service]

    def client(self, step: dict[str, Any]) -> Client:
        caller = step.get("as", self.caller)
        if caller not in self.clients:
            own = {"cert": self.servers.cert, "key": self.servers.key}
            tls = Tls(ca=self.servers.ca, **(own if caller == "certificate" else {}))
            connected = connect(
                self.servers.grpc[self.server],
                api_key=self.servers.keys.get(caller),
                tls=tls if self.server in ("tls", "mtls") else None,
            )
            self.clients[caller] = self.at_end.enter_context(connected)
        return self.clients[caller]


def joined(responses: Iterator[Message]) -> dict[str, Any]:
    parts = [value for response in responses for _, value in response.ListFields()]
    return {"joined": b64encode(b"".join(parts)).decode()}


def taken_apart(response: session.WatchSessionsResponse) -> Iterator[dict[str, Any]]:
    kind = response.WhichOneof("content")
    if kind == "snapshot":
        for each in response.snapshot.sessions:
            yield {"session": MessageToDict(each)}
    elif kind == "events":
        for event in response.events.events:
            yield {"event": MessageToDict(event)}
    elif kind == "snapshot_end":
        yield {"snapshotEnd": {}}
    elif kind == "reset":
        yield {"reset": {}}


def match(found: Any, expected: Any, path: str = "it") -> None:
    if expected == "<any>":
        return
    if isinstance(expected, dict):
        assert isinstance(found, dict), f"{path} is {found!r}"
        for key, each in expected.items():
            if each == "<absent>":
                assert key not in found, f"{path}.{key} is {found[key]!r}"
            else:
                assert key in found, f"{path} has no {key}: {found!r}"
                match(found[key], each, f"{path}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list), f"{path} is {found!r}"
        assert len(found) == len(expected), f"{path} is {found!r}"
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            match(one, other, f"{path}[{index}]")
    else:
        # In Python, True is 1.
        assert isinstance(found, bool) == isinstance(expected, bool), f"{path} is {found!r}"
        assert found == expected, f"{path} is {found!r}, not {expected!r}"
