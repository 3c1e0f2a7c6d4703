from __future__ import annotations

from threading import Event
from time import monotonic
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from latchkey_client import LatchkeyError, connect, session
from latchkey_client.retry import Clock

from .fake_server import Handle, fail, fake_server

GET = session.GetSessionRequest(app="shop", token="t")
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class FakeClock:
    """Sleeping takes no time, but the clock goes on."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, sleep=self.sleep, random=lambda: 0.5)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def failing(times: int, code: grpc.StatusCode, seen: list[Any], *details: Any) -> Handle:
    """Fails so often, then answers."""

    def handle(request: Any, context: grpc.ServicerContext) -> Any:
        seen.append(request)
        if len(seen) <= times:
            fail(context, code, *details)
        name = type(request).__name__.replace("Request", "Response")
        return getattr(session, name)()

    return handle


def test_a_read_is_tried_until_the_deadline_with_growing_delays(clock: FakeClock) -> None:
    seen: list[Any] = []
    with (
        fake_server(GetSession=failing(99, UNAVAILABLE, seen)) as address,
        connect(address, clock=clock.clock()) as client,
    ):
        with pytest.raises(LatchkeyError) as failure:
            client.sessions.GetSession(GET)
        assert isinstance(failure.value.__cause__, grpc.RpcError)
    assert clock.slept[:4] == [0.1, 0.2, 0.4, 0.5]
    assert set(clock.slept[3:]) == {0.5}
    assert 4.4 < sum(clock.slept) < 5
    assert len(seen) == len(clock.slept) + 1


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
def test_a_break_that_a_proxy_made_another_error_is_tried_again(
    code: grpc.StatusCode, clock: FakeClock
) -> None:
    seen: list[Any] = []
    with (
        fake_server(GetSession=failing(6, code, seen)) as address,
        connect(address, clock=clock.clock()) as client,
    ):
        client.sessions.GetSession(GET)
    assert len(seen) == 7


def test_no_delay_goes_beyond_the_deadline(clock: FakeClock) -> None:
    seen: list[Any] = []
    with (
        fake_server(GetSession=failing(9, UNAVAILABLE, seen)) as address,
        connect(address, deadline=0.25, clock=clock.clock()) as client,
        pytest.raises(LatchkeyError),
    ):
        client.sessions.GetSession(GET)
    assert clock.slept == [0.1]


def test_attempts_share_one_deadline(clock: FakeClock) -> None:
    left: list[float] = []

    def handle(_request: Any, context: grpc.ServicerContext) -> Any:
        left.append(context.time_remaining())
        fail(context, UNAVAILABLE)

    with (
        fake_server(GetSession=handle) as address,
        connect(address, clock=clock.clock()) as client,
        pytest.raises(LatchkeyError),
    ):
        client.sessions.GetSession(GET, timeout=8)
    # The first has a share, the others what is left; the wire rounds.
    assert left[0] < 2.1
    assert left[1] - left[-1] > 6


def test_an_address_that_refuses_fails_the_call_at_once() -> None:
    with fake_server() as address:
        pass
    with connect(address) as client:
        for _ in range(3):
            start = monotonic()
            with pytest.raises(LatchkeyError, match="UNAVAILABLE: Latchkey cannot be") as failure:
                client.sessions.GetSession(GET)
            assert monotonic() - start < 1
            assert failure.value.code is UNAVAILABLE


def test_a_server_that_comes_back_is_found_within_seconds() -> None:
    with fake_server() as address:
        pass
    with connect(address) as client:
        with pytest.raises(LatchkeyError):
            client.sessions.GetSession(GET)
        with fake_server(address, GetSession=failing(0, UNAVAILABLE, [])):
            start = monotonic()
            while True:
                try:
                    client.sessions.GetSession(GET)
                    break
                except LatchkeyError:
                    assert monotonic() - start < 10


def test_only_the_cause_of_an_error_names_the_address() -> None:
    with fake_server() as address:
        pass
    with connect(address) as client, pytest.raises(LatchkeyError) as failure:
        client.sessions.GetSession(GET)
    assert "127.0.0.1" not in f"{failure.value} {failure.value!r}"
    assert address in str(failure.value.__cause__)


def test_a_write_is_repeated_under_one_request_id_and_the_callers_message_is_left_alone(
    clock: FakeClock,
) -> None:
    seen: list[Any] = []
    request = session.CreateSessionRequest(app="shop", user_id="ann")
    with (
        fake_server(CreateSession=failing(2, UNAVAILABLE, seen)) as address,
        connect(address, clock=clock.clock()) as client,
    ):
        client.sessions.CreateSession(request)
        client.sessions.CreateSession(request)
    first, second, third, other = (UUID(each.request_id) for each in seen)
    assert first == second == third != other
    assert request == session.CreateSessionRequest(app="shop", user_id="ann")


def test_a_request_id_of_the_caller_is_kept(clock: FakeClock) -> None:
    seen: list[Any] = []
    request = session.DeleteSessionRequest(app="shop", token="t", request_id="mine")
    with (
        fake_server(DeleteSession=failing(1, UNAVAILABLE, seen)) as address,
        connect(address, clock=clock.clock()) as client,
    ):
        client.sessions.DeleteSession(request)
    assert [each.request_id for each in seen] == ["mine", "mine"]


def test_a_write_without_a_request_id_is_made_once(clock: FakeClock) -> None:
    seen: list[Any] = []
    with (
        fake_server(SetAppPolicy=failing(1, UNAVAILABLE, seen)) as address,
        connect(address, clock=clock.clock()) as client,
        pytest.raises(LatchkeyError),
    ):
        client.sessions.SetAppPolicy(session.SetAppPolicyRequest(app="shop"))
    assert len(seen) == 1


@pytest.mark.parametrize(
    "code",
    [code for code in grpc.StatusCode if code not in (grpc.StatusCode.OK, UNAVAILABLE)],
)
def test_no_other_code_is_retried(code: grpc.StatusCode, clock: FakeClock) -> None:
    seen: list[Any] = []
    with (
        fake_server(GetSession=failing(1, code, seen, ErrorInfo(reason="TOLD"))) as address,
        connect(address, clock=clock.clock()) as client,
        pytest.raises(LatchkeyError) as failure,
    ):
        client.sessions.GetSession(GET)
    assert failure.value.code is code
    assert len(seen) == 1


def test_a_limit_is_retried_when_the_server_says_so(clock: FakeClock) -> None:
    seen: list[Any] = []
    when = RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    handle = failing(1, grpc.StatusCode.RESOURCE_EXHAUSTED, seen, when)
    with fake_server(GetSession=handle) as address, connect(address, clock=clock.clock()) as client:
        client.sessions.GetSession(GET)
    assert clock.slept == [1.5]


def test_the_default_deadline_ends_a_call() -> None:
    def handle(_request: Any, context: grpc.ServicerContext) -> Any:
        ended = Event()
        context.add_callback(ended.set)
        ended.wait(10)

    with (
        fake_server(GetSession=handle) as address,
        connect(address, deadline=0.2) as client,
        pytest.raises(LatchkeyError) as failure,
    ):
        client.sessions.GetSession(GET)
    assert failure.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
