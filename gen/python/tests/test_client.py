from __future__ import annotations

from base64 import b64encode
from threading import Event
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from latchkey_client import LatchkeyError, Tls, connect, rke, session
from latchkey_client.error import to_error

from .fake_server import fail, fake_server
from .servers import Servers

GET = session.GetSessionRequest(app="shop", token="t")


def test_credentials_go_with_every_call() -> None:
    seen: list[Any] = []

    def note(context: grpc.ServicerContext) -> None:
        metadata = dict(context.invocation_metadata())
        seen.append((metadata.get("authorization"), metadata.get("mine")))

    def get(_request: Any, context: grpc.ServicerContext) -> Any:
        note(context)
        return session.GetSessionResponse()

    def watch(_request: Any, context: grpc.ServicerContext) -> Any:
        note(context)
        yield session.WatchSessionsResponse(revision=1)

    with fake_server(GetSession=get, WatchSessions=watch) as address:
        with connect(address, api_key="lk_1") as client:
            client.sessions.GetSession(GET, metadata=(("mine", "too"),))
            list(client.sessions.WatchSessions(session.WatchSessionsRequest()))
        with connect(address, basic=("ann", "p:w")) as client:
            client.sessions.GetSession(GET)
        with connect(address) as client:
            client.sessions.GetSession(GET)
    assert seen == [
        ("Bearer lk_1", "too"),
        ("Bearer lk_1", None),
        (f"Basic {b64encode(b'ann:p:w').decode()}", None),
        (None, None),
    ]


def test_an_account_has_one_kind_of_credentials() -> None:
    with pytest.raises(ValueError, match="not both"):
        connect("localhost:1", api_key="lk_1", basic=("ann", "pw"))


def test_secrets_are_not_shown() -> None:
    with connect("localhost:1", api_key="lk_secret") as client:
        assert "lk_secret" not in repr(client)
    assert "secret" not in repr(Tls(cert=b"cert", key=b"secret"))


def test_an_error_says_all_that_the_server_says() -> None:
    def handle(_request: Any, context: grpc.ServicerContext) -> Any:
        fail(
            context,
            grpc.StatusCode.INVALID_ARGUMENT,
            ErrorInfo(reason="INVALID", domain="latchkey", metadata={"exchange_reason": "no_srv"}),
            BadRequest(field_violations=[BadRequest.FieldViolation(field="app", description="d")]),
        )

    with (
        fake_server(GetSession=handle) as address,
        connect(address) as client,
        pytest.raises(LatchkeyError) as failure,
    ):
        client.sessions.GetSession(GET)
    error = failure.value
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.message, str(error)) == ("INVALID", "as told", "INVALID: as told")
    assert error.fields == {"app": "d"}
    assert error.metadata == {"exchange_reason": "no_srv"}


def test_details_that_cannot_be_read_leave_code_and_message() -> None:
    def handle(_request: Any, context: grpc.ServicerContext) -> Any:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "gone")

    with (
        fake_server(GetSession=handle) as address,
        connect(address) as client,
        pytest.raises(LatchkeyError, match="NOT_FOUND: gone") as failure,
    ):
        client.sessions.GetSession(GET)
    assert failure.value.reason == ""


def test_streams_raise_the_same_errors(servers: Servers) -> None:
    with connect(servers.grpc["open"]) as client:
        with pytest.raises(LatchkeyError) as failure:
            list(client.sessions.WatchSessions(session.WatchSessionsRequest(app="no")))
        assert list(failure.value.fields) == ["app"]
        start = rke.StreamStart(session_id="0" * 32)
        with pytest.raises(LatchkeyError) as failure:
            list(client.rke.EncryptStream(iter([rke.EncryptStreamRequest(start=start)])))
        assert failure.value.reason == "NOT_FOUND"


def test_a_future_raises_the_same_errors_and_can_be_cancelled() -> None:
    def handle(_request: Any, context: grpc.ServicerContext) -> Any:
        ended = Event()
        context.add_callback(ended.set)
        ended.wait(10)

    with fake_server(GetSession=handle) as address, connect(address) as client:
        call = client.sessions.GetSession.future(GET)
        assert not call.done()
        call.cancel()
        failure = call.exception()
    assert isinstance(failure, LatchkeyError)
    assert failure.code is grpc.StatusCode.CANCELLED


def test_generated_code_works_without_the_layer(servers: Servers) -> None:
    with grpc.insecure_channel(servers.grpc["open"]) as channel:
        stub = session.SessionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as failure:
            stub.GetSession(session.GetSessionRequest(app="shop", token="0" * 64))
        assert to_error(failure.value).reason == "NOT_FOUND"  # type: ignore[arg-type] # It is a Call.
