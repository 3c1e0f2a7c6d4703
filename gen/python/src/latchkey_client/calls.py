"""What every call of a client goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc

from .error import LatchkeyError, to_error
from .retry import Clock, delay_before_retry, prepare

_Response = TypeVar("_Response")


@dataclass
class _Details(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class Calls(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Gives calls credentials, unary ones a deadline and retries too, and raises LatchkeyError.

    A unary call that is made by `future` is not retried.
    """

    def __init__(self, authorization: str | None, deadline: float, clock: Clock) -> None:
        self._metadata = (("authorization", authorization),) if authorization else ()
        self._deadline = deadline
        self._clock = clock

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        request, repeatable = prepare(client_call_details.method, request)
        timeout = client_call_details.timeout
        if timeout is None:
            timeout = self._deadline
        ends_at = self._clock.now() + timeout
        attempt = 0
        while True:
            call = continuation(self._details(client_call_details, timeout), request)
            if not call.done():  # Made by `future`.
                return _Future(call)
            failure = call.exception()
            if failure is None:
                return call
            if not isinstance(failure, grpc.RpcError):
                raise failure
            error = to_error(call)
            delay = delay_before_retry(error, attempt, ends_at, self._clock) if repeatable else None
            if delay is None:
                raise error from failure
            self._clock.sleep(delay)
            timeout = ends_at - self._clock.now()
            attempt += 1

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        details = self._details(client_call_details, client_call_details.timeout)
        return _Stream(continuation(details, request))

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        details = self._details(client_call_details, client_call_details.timeout)
        return _Stream(continuation(details, request_iterator))

    def _details(self, details: Any, timeout: float | None) -> _Details:
        return _Details(
            method=details.method,
            timeout=timeout,
            metadata=(*(details.metadata or ()), *self._metadata),
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
            compression=details.compression,
        )


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
