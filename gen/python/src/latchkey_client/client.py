from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from .calls import Calls
from .retry import Clock
from .rke import RkeServiceStub
from .session import SessionServiceStub, WatchSessionsRequest
from .watch import Watch

_CHANNEL_OPTIONS: Sequence[tuple[str, int]] = (
    # A connection that is gone without a word is found out while calls wait on it. A watch sends
    # nothing after its request, so pings may not depend on what is sent.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
    # A server that is back is found soon; after 1 s and up to 120 s by default.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


@dataclass(frozen=True)
class Tls:
    """Certificates, all in PEM."""

    ca: bytes | None = None
    """The authority that the server's certificate is checked against; gRPC's own list if None."""
    cert: bytes | None = None
    """The client's own certificate (chain), where the server asks for one; with `key`."""
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Client:
    """Typed calls of one server, over one connection that any number of threads may share.

    Make it after a process forks, not before.
    """

    sessions: SessionServiceStub
    rke: RkeServiceStub
    _channel: grpc.Channel = field(repr=False)
    _clock: Clock = field(repr=False)

    def watch(self, request: WatchSessionsRequest) -> Watch:
        """The responses of WatchSessions, which go on when a call breaks."""
        return Watch(self.sessions, request, self._clock)

    def close(self) -> None:
        """Ends the connection and the calls on it."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    address: str,
    *,
    api_key: str | None = None,
    basic: tuple[str, str] | None = None,
    tls: Tls | None = None,
    deadline: float = 5.0,
    clock: Clock | None = None,
) -> Client:
    """A client of the server at `address` (`host:port`), which it connects to at the first call.

    Calls carry the API key, or an account's name and password (`basic`), or neither; without
    `tls`, whoever sees the network sees them. `deadline` is of unary calls that have no `timeout`
    of their own, in seconds, retries included. Calls raise LatchkeyError.
    """
    if api_key is not None and basic is not None:
        raise ValueError("give api_key or basic, not both")
    credentials = []
    if api_key is not None:
        credentials.append(("authorization", f"Bearer {api_key}"))
    if basic is not None:
        encoded = b64encode(":".join(basic).encode()).decode()
        credentials.append(("authorization", f"Basic {encoded}"))

    if tls is None:
        channel = grpc.insecure_channel(address, _CHANNEL_OPTIONS)
    else:
        secure = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.cert)
        channel = grpc.secure_channel(address, secure, _CHANNEL_OPTIONS)
    clock = clock or Clock()
    calls: Any = Calls(channel, tuple(credentials), deadline, clock)
    return Client(SessionServiceStub(calls), RkeServiceStub(calls), channel, clock)
