"""The channel of a client, which is replaced when it is silent, and the breaker over it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any

import grpc

from .retry import Clock

SILENCE = 2.0
"""Seconds without an answer after which a call that may be repeated moves to a new channel."""
_PAUSE = 1.0
"""Seconds for which calls fail at once after the server did not answer."""
_PATIENCE = 1.0
"""Seconds; a call that waited less says nothing about the server."""
_RETIREMENT = 60.0
"""Seconds after which a replaced channel ends, with the watches that are still on it."""


@dataclass
class Connection:
    """Makes the channel at the first call, in the process that makes the call.

    A channel that gave nobody an answer while a call waited for `SILENCE` is replaced. Calls that
    are on it stay there until its keepalive finds it dead.
    """

    open: Callable[[], grpc.Channel]
    clock: Clock
    _lock: Lock = field(default_factory=Lock)
    _channel: grpc.Channel | None = None
    _pid: int = 0
    _calls: dict[tuple[str, str], Any] = field(default_factory=dict)
    _retired: list[tuple[float, grpc.Channel]] = field(default_factory=list)
    _closed: bool = False
    _opened_at: float = 0.0
    _answered_at: float = float("-inf")
    _open_until: float | None = None
    """Set while the breaker is open: when one call may try again."""

    def call(self, kind: str, method: str, codec: dict[str, Any]) -> Any:
        """The channel's multi-callable of the method; `kind` is such as `unary_unary`."""
        key = (kind, method)
        if self._pid == os.getpid() and (found := self._calls.get(key)) is not None:
            return found
        with self._lock:
            channel = self._current_channel()
            found = self._calls[key] = getattr(channel, kind)(method, **codec)
            return found

    def admits(self) -> bool:
        """Whether a call may be made; while the server does not answer, that is one a second."""
        if self._open_until is None:
            return True
        with self._lock:
            now = self.clock.now()
            if self._open_until is None:
                return True
            if now < self._open_until:
                return False
            self._open_until = now + _PAUSE
            return True

    def on_answer(self) -> None:
        """Notes that the server answered, be it with an error."""
        self._answered_at = self.clock.now()
        self._open_until = None

    def on_silence(self, since: float) -> None:
        """Notes that a call that began at `since` got no answer: nobody listens, or it is silent.
        If others were answered meanwhile, the call was slow and the server is there."""
        now = self.clock.now()
        if self._answered_at < since and now - since >= _PATIENCE:
            self._open_until = now + _PAUSE

    def replace(self, since: float) -> None:
        """Makes a new channel for what follows, unless this one answered after `since`, or is
        itself newer."""
        with self._lock:
            if self._answered_at >= since or self._opened_at > since or self._closed:
                return
            now = self.clock.now()
            if self._channel is not None:
                self._retired.append((now, self._channel))
            self._channel = None
            self._calls = {}
            expired = [channel for at, channel in self._retired if now - at >= _RETIREMENT]
            self._retired = [each for each in self._retired if now - each[0] < _RETIREMENT]
        for channel in expired:
            channel.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            channels = [channel for _, channel in self._retired]
            if self._channel is not None:
                channels.append(self._channel)
            self._retired = []
        for channel in channels:
            channel.close()

    def _current_channel(self) -> grpc.Channel:
        if self._pid != os.getpid():
            # A channel does not survive a fork; the parent's is left to the parent.
            self._channel, self._calls, self._retired = None, {}, []
            self._pid = os.getpid()
        if self._channel is None:
            if self._closed:
                raise ValueError("the client is closed")
            cooperate_with_gevent()
            self._channel = self.open()
            self._opened_at = self.clock.now()
        return self._channel


@lru_cache(maxsize=1)
def cooperate_with_gevent() -> None:
    """Lets calls yield to other greenlets where gevent patched the sockets: gRPC waits in C, which
    gevent does not patch."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        from grpc.experimental import gevent

        gevent.init_gevent()
