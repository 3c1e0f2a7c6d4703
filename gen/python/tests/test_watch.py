from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from latchkey_client import LatchkeyError, connect, session
from latchkey_client.retry import Clock

from .fake_server import fail, fake_server

REQUEST = session.WatchSessionsRequest(app="shop")
AT_ONCE = Clock(random=lambda: 0.0)
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED

SNAPSHOT = session.WatchSessionsResponse(snapshot=session.WatchSnapshot())


def progress(revision: int) -> session.WatchSessionsResponse:
    return session.WatchSessionsResponse(revision=revision, progress=session.WatchProgress())


def telling(
    *calls: list[Any], seen: list[Any]
) -> Callable[..., Iterator[session.WatchSessionsResponse]]:
    """Answers the calls in their order with these responses, then the code or, without one, when
    the caller has gone."""
    left = iter(calls)

    def handle(
        request: session.WatchSessionsRequest, context: grpc.ServicerContext
    ) -> Iterator[session.WatchSessionsResponse]:
        seen.append(request)
        for each in next(left):
            if each is grpc.StatusCode.OK:
                return
            if isinstance(each, grpc.StatusCode):
                fail(context, each)
            if isinstance(each, tuple):
                fail(context, each[0], ErrorInfo(reason=each[1]))
            else:
                yield each
        ended = Event()
        context.add_callback(ended.set)
        ended.wait(10)

    return handle


def resumptions(seen: list[session.WatchSessionsRequest]) -> list[int | None]:
    return [each.resume_revision if each.HasField("resume_revision") else None for each in seen]


def test_it_resumes_after_the_last_response_that_was_taken() -> None:
    seen: list[Any] = []
    handle = telling(
        [progress(3), progress(5), UNAVAILABLE],
        [UNAVAILABLE],
        [progress(6), (EXHAUSTED, "LIMIT")],
        [progress(7), grpc.StatusCode.OK],
        [progress(8)],
        seen=seen,
    )
    with fake_server(WatchSessions=handle) as address, connect(address, clock=AT_ONCE) as client:
        with client.watch(REQUEST) as watch:
            assert [next(watch).revision for _ in range(5)] == [3, 5, 6, 7, 8]
        assert list(watch) == []
    assert resumptions(seen) == [None, 5, 5, 6, 7]
    assert session.WatchSessionsRequest(app="shop") == REQUEST


def test_half_a_snapshot_is_begun_anew_with_a_reset() -> None:
    seen: list[Any] = []
    handle = telling([SNAPSHOT, UNAVAILABLE], [progress(1)], seen=seen)
    with (
        fake_server(WatchSessions=handle) as address,
        connect(address, clock=AT_ONCE) as client,
        client.watch(REQUEST) as watch,
    ):
        assert next(watch) == SNAPSHOT
        assert next(watch).revision == 1
    # Which no server has, so that it answers `reset`.
    assert resumptions(seen) == [None, 0]


def test_half_a_snapshot_after_a_reset_is_begun_anew_too() -> None:
    seen: list[Any] = []
    reset = session.WatchSessionsResponse(reset=session.WatchReset())
    handle = telling([progress(5), UNAVAILABLE], [reset, SNAPSHOT, UNAVAILABLE], [reset], seen=seen)
    with (
        fake_server(WatchSessions=handle) as address,
        connect(address, clock=AT_ONCE) as client,
        client.watch(REQUEST) as watch,
    ):
        assert [next(watch) for _ in range(4)] == [progress(5), reset, SNAPSHOT, reset]
    assert resumptions(seen) == [None, 5, 0]


def test_it_begins_where_it_is_told_to() -> None:
    seen: list[Any] = []
    handle = telling([UNAVAILABLE], [progress(9)], seen=seen)
    request = session.WatchSessionsRequest(app="shop", resume_revision=8)
    with (
        fake_server(WatchSessions=handle) as address,
        connect(address, clock=AT_ONCE) as client,
        client.watch(request) as watch,
    ):
        assert next(watch).revision == 9
    assert resumptions(seen) == [8, 8]


@pytest.mark.parametrize(
    "code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
)
def test_any_break_without_a_reason_of_latchkey_is_resumed(code: grpc.StatusCode) -> None:
    seen: list[Any] = []
    handle = telling([progress(3), code], [code], [progress(4)], seen=seen)
    with (
        fake_server(WatchSessions=handle) as address,
        connect(address, clock=AT_ONCE) as client,
        client.watch(REQUEST) as watch,
    ):
        assert [next(watch).revision for _ in range(2)] == [3, 4]
    assert resumptions(seen) == [None, 3, 3]


def test_an_overloaded_server_is_tried_again() -> None:
    seen: list[Any] = []
    overloaded = (EXHAUSTED, "OVERLOADED")
    handle = telling([overloaded], [progress(3), overloaded], [progress(4)], seen=seen)
    with (
        fake_server(WatchSessions=handle) as address,
        connect(address, clock=AT_ONCE) as client,
        client.watch(REQUEST) as watch,
    ):
        assert [next(watch).revision for _ in range(2)] == [3, 4]
    assert resumptions(seen) == [None, None, 3]


@pytest.mark.parametrize(
    "answers",
    [
        [(EXHAUSTED, "LIMIT")],
        [progress(1), (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")],
        [(grpc.StatusCode.INVALID_ARGUMENT, "INVALID")],
        [grpc.StatusCode.UNIMPLEMENTED],
    ],
)
def test_any_other_error_is_raised_and_ends_it(answers: list[Any]) -> None:
    seen: list[Any] = []
    with (
        fake_server(WatchSessions=telling(answers, seen=seen)) as address,
        connect(address, clock=AT_ONCE) as client,
    ):
        watch = client.watch(REQUEST)
        with pytest.raises(LatchkeyError):
            list(watch)
        assert list(watch) == []
    assert len(seen) == 1


def test_another_thread_may_close_it_while_it_waits() -> None:
    seen: list[Any] = []
    first = Event()
    with (
        fake_server(WatchSessions=telling([progress(1)], seen=seen)) as address,
        connect(address) as client,
    ):
        watch = client.watch(REQUEST)
        got: list[int] = []

        def listen() -> None:
            for response in watch:
                got.append(response.revision)
                first.set()

        thread = Thread(target=listen)
        thread.start()
        assert first.wait(10)
        watch.close()
        watch.close()
        thread.join(10)
        assert not thread.is_alive()
    assert got == [1]


def test_it_may_be_closed_while_the_server_is_gone() -> None:
    with fake_server() as address:
        pass
    with connect(address) as client:
        watch = client.watch(REQUEST)
        thread = Thread(target=lambda: list(watch))
        thread.start()
        watch.close()
        thread.join(10)
        assert not thread.is_alive()
