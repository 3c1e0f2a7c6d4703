from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Lock
from typing import Any

import grpc

from .error import LatchkeyError
from .retry import Clock, backoff
from .session import SessionServiceStub, WatchSessionsRequest, WatchSessionsResponse


class Watch(Iterator[WatchSessionsResponse]):
    """The responses of WatchSessions, over as many calls as it takes.

    A call that ends with OK or UNAVAILABLE, or with RESOURCE_EXHAUSTED because the watcher was
    slow or the server is overloaded, or by a break on its way, which is any error without a reason
    of Latchkey, is followed by another. It resumes after the last response that was taken from
    here; if that is too old, or was half a snapshot, the next response is `reset`, and a snapshot
    follows.
    Any other error is raised as LatchkeyError.

    `close` may be called from any thread and ends the iteration.
    """

    def __init__(
        self, stub: SessionServiceStub, request: WatchSessionsRequest, clock: Clock
    ) -> None:
        self._stub = stub
        self._request = WatchSessionsRequest()
        self._request.CopyFrom(request)
        self._clock = clock
        self._lock = Lock()
        self._closed = Event()
        self._call: Any = None
        self._failures = 0
        self._answered = False
        """Whether the current call was."""
        self._begun = False
        """Whether any call was answered."""

    def __next__(self) -> WatchSessionsResponse:
        while True:
            call = self._current_call()
            try:
                response: WatchSessionsResponse = next(call)
            except (LatchkeyError, StopIteration) as end:
                if self._closed.is_set():
                    raise StopIteration from None
                if isinstance(end, LatchkeyError) and not self._may_resume(end):
                    self.close()
                    raise
                self._call = None
                asked = end.retry_after if isinstance(end, LatchkeyError) else None
                self._closed.wait(max(asked or 0.0, backoff(self._failures, self._clock)))
                self._failures += 1
                continue
            self._answered = self._begun = True
            self._failures = 0
            self._request.resume_revision = response.revision
            return response

    def close(self) -> None:
        """Ends the watch; may be called again."""
        with self._lock:
            self._closed.set()
            if self._call is not None:
                self._call.cancel()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _current_call(self) -> Any:
        with self._lock:
            if self._closed.is_set():
                raise StopIteration
            if self._call is None:
                self._answered = False
                self._call = self._stub.WatchSessions(self._request)
            return self._call

    def _may_resume(self, error: LatchkeyError) -> bool:
        if not error.reason:
            # Nobody who speaks of UNIMPLEMENTED is Latchkey; once anything was answered it is a
            # proxy whose server is away.
            return error.code is not grpc.StatusCode.UNIMPLEMENTED or self._begun
        if error.reason == "OVERLOADED":
            return True
        if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            # Without an answer it is not the watcher that was slow.
            return self._answered
        return error.code is grpc.StatusCode.UNAVAILABLE
