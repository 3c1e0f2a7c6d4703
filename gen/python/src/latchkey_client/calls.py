"""What every call of a client goes through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc

from .error import LatchkeyError, to_error
from .retry import Clock, delay_before_retry, prepare

_Response = TypeVar("_Response")
_Metadata = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True)
class Calls:
    """All of a channel that the generated stubs use. Its calls carry credentials and raise
    LatchkeyError; unary ones have a deadline and are retried where that is safe."""

    channel: grpc.Channel
    credentials: _Metadata
    """Metadata of every call."""
    deadline: float
    """Seconds, of unary calls that have no timeout of their own."""
    clock: Clock

    def unary_unary(self, method: str, **codec: Any) -> Any:
        return _UnaryCalls(self, method, self.channel.unary_unary(method, **codec))

    def unary_stream(self, method: str, **codec: Any) -> Any:
        return self._streams(self.channel.unary_stream(method, **codec))

    def stream_stream(self, method: str, **codec: Any) -> Any:
        return self._streams(self.channel.stream_stream(method, **codec))

    def _streams(self, calls: Any) -> Any:
        def call(
            request: Any,
            timeout: float | None = None,
            metadata: _Metadata | None = None,
            **options: Any,
        ) -> _Stream[Any]:
            metadata = (*(metadata or ()), *self.credentials)
            return _Stream(calls(request, timeout=timeout, metadata=metadata, **options))

        return call


@dataclass(frozen=True)
class _UnaryCalls:
    """A grpc.UnaryUnaryMultiCallable."""

    common: Calls
    method: str
    calls: Any

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
        clock = self.common.clock
        left = self.common.deadline if timeout is None else timeout
        ends_at = clock.now() + left
        attempt = 0
        before: LatchkeyError | None = None
        while True:
            try:
                return self.calls.with_call(request, timeout=left, metadata=metadata, **options)
            except grpc.RpcError as failure:
                error = to_error(failure)  # type: ignore[arg-type] # It is a grpc.Call, too.
                if before is not None and error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    # It tells more than that the time was up.
                    raise before from failure
                delay = delay_before_retry(error, attempt, ends_at, clock) if repeatable else None
                if delay is None:
                    raise error from failure
            before = error
            clock.sleep(delay)
            left = ends_at - clock.now()
            attempt += 1
            # A server that is being restarted may need longer than all delays together.
            options["wait_for_ready"] = True

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
        return _Future(self.calls.future(request, timeout=timeout, metadata=metadata, **options))


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
