"""What every call of a client goes through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc

from .connection import SILENCE, Connection
from .error import LatchkeyError, is_refused, to_error, unreachable
from .retry import Clock, delay_before_retry, is_of_network, prepare

_Response = TypeVar("_Response")
_Metadata = Sequence[tuple[str, str | bytes]]

_REFUSED = 0.25
"""Seconds for which an address that refuses is tried again: a server may just be restarting."""


@dataclass(frozen=True)
class Calls:
    """All of a channel that the generated stubs use. Its calls carry credentials and raise
    LatchkeyError; unary ones have a deadline and are retried where that is safe."""

    connection: Connection
    credentials: _Metadata
    """Metadata of every call."""
    deadline: float
    """Seconds, of unary calls that have no timeout of their own."""
    clock: Clock

    def unary_unary(self, method: str, **codec: Any) -> Any:
        return _UnaryCalls(self, method, codec)

    def unary_stream(self, method: str, **codec: Any) -> Any:
        return self._streams("unary_stream", method, codec)

    def stream_stream(self, method: str, **codec: Any) -> Any:
        return self._streams("stream_stream", method, codec)

    def _streams(self, kind: str, method: str, codec: dict[str, Any]) -> Any:
        def call(
            request: Any,
            timeout: float | None = None,
            metadata: _Metadata | None = None,
            **options: Any,
        ) -> _Stream[Any]:
            calls = self.connection.call(kind, method, codec)
            metadata = (*(metadata or ()), *self.credentials)
            return _Stream(calls(request, timeout=timeout, metadata=metadata, **options))

        return call


@dataclass(frozen=True)
class _UnaryCalls:
    """A grpc.UnaryUnaryMultiCallable."""

    common: Calls
    method: str
    codec: dict[str, Any]

    def __call__(self, request: Any, *args: Any, **options: Any) -> Any:
        return self.with_call(request, *args, **options)[0]

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: _Metadata | None = None,
        **options: Any,
    ) -> Any:
        request, repeatable = prepare(self.method, request)
        metadata = (*(metadata or ()), *self.common.credentials)
        clock, connection = self.common.clock, self.common.connection
        if not connection.admits():
            raise unreachable()
        whole = self.common.deadline if timeout is None else timeout
        start = clock.now()
        ends_at = start + whole
        # A dead connection is not told from a slow server but by another connection.
        first = min(SILENCE, whole * 0.4) if repeatable else whole
        attempt = 0
        refused_since: float | None = None
        before: LatchkeyError | None = None
        while True:
            sent = clock.now()
            left = first if attempt == 0 else ends_at - sent
            try:
                calls = connection.call("unary_unary", self.method, self.codec)
                answer = calls.with_call(request, timeout=left, metadata=metadata, **options)
            except grpc.RpcError as failure:
                error = to_error(failure)  # type: ignore[arg-type] # It is a grpc.Call, too.
                late = error.code is grpc.StatusCode.DEADLINE_EXCEEDED and not error.reason
                if not late and not is_of_network(error):
                    connection.on_answer()
                if late and attempt == 0 and repeatable and ends_at - clock.now() > 0.01:
                    connection.replace(sent)
                    delay = 0.0
                elif late:
                    connection.on_silence(start)
                    # What came before tells more than that the time was up.
                    raise (before or error) from failure
                else:
                    refused = is_refused(error, failure)
                    if refused and refused_since is None:
                        refused_since = clock.now()
                    until = (
                        ends_at if not refused else min(ends_at, (refused_since or 0) + _REFUSED)
                    )
                    wait = delay_before_retry(error, attempt, until, clock) if repeatable else None
                    if wait is None:
                        if refused:
                            connection.on_silence(start)
                        raise error from failure
                    delay = wait
                    before = error
            else:
                connection.on_answer()
                return answer
            if delay:
                clock.sleep(delay)
            attempt += 1

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: _Metadata | None = None,
        **options: Any,
    ) -> _Future[Any]:
        """A call that goes on meanwhile and can be cancelled; it is not retried."""
        request, _ = prepare(self.method, request)
        timeout = self.common.deadline if timeout is None else timeout
        metadata = (*(metadata or ()), *self.common.credentials)
        calls = self.common.connection.call("unary_unary", self.method, self.codec)
        return _Future(calls.future(request, timeout=timeout, metadata=metadata, **options))


class _Future(Generic[_Response]):
    """A unary call that is under way, as gRPC gives it but for the error that it raises."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def result(self, timeout: float | None = None) -> _Response:
        try:
            response: _Response = self._call.result(timeout)
        except (grpc.RpcError, grpc.FutureCancelledError) as failure:
            raise to_error(self._call) from failure
        return response

    def exception(self, timeout: float | None = None) -> LatchkeyError | None:
        try:
            self.result(timeout)
        except LatchkeyError as error:
            return error
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class _Stream(Generic[_Response]):
    """A call with a stream of responses, as gRPC gives it but for the error that it raises."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[_Response]:
        return self

    def __next__(self) -> _Response:
        try:
            response: _Response = next(self._call)
        except grpc.RpcError as failure:
            raise to_error(self._call) from failure
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)
