from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from .calls import Calls
from .connection import Connection
from .retry import Clock
from .rke import RkeServiceStub
from .session import SessionServiceStub, WatchSessionsRequest
from .watch import Watch

_CHANNEL_OPTIONS: Sequence[tuple[str, int]] = (
    # A connection that is gone without a word is found while a watch waits on it. A watch sends
    # nothing after its request, so pings may not depend on what is sent. Calls with a deadline do
    # not wait for that: they move to a new channel.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
    # A server that is back is found soon; after 1 s and up to 120 s by default.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # To connect may take so long, within a call's deadline; 20 s by default.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    # A new channel is to have a new connection, not the one that another channel has.
    ("grpc.use_local_subchannel_pool", 1),
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

    It connects at the first call, so a process may fork before that.
    """

    sessions: SessionServiceStub
    rke: RkeServiceStub
    deadline: float
    """Seconds, of unary calls that have no timeout of their own."""
    _connection: Connection = field(repr=False)
    _clock: Clock = field(repr=False)

    def now(self) -> float:
        """Seconds by the client's clock, which never goes back."""
        return self._clock.now()

    def watch(self, request: WatchSessionsRequest) -> Watch:
        """The responses of WatchSessions, which go on when a call breaks."""
        return Watch(self.sessions, request, self._clock)

    def close(self) -> None:
        """Ends the connection and the calls on it."""
        self._connection.close()

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

    def open_channel() -> grpc.Channel:
        if tls is None:
            return grpc.insecure_channel(address, _CHANNEL_OPTIONS)
        secure = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.cert)
        return grpc.secure_channel(address, secure, _CHANNEL_OPTIONS)

    clock = clock or Clock()
    connection = Connection(open_channel, clock)
    calls: Any = Calls(connection, tuple(credentials), deadline, clock)
    return Client(SessionServiceStub(calls), RkeServiceStub(calls), deadline, connection, clock)
