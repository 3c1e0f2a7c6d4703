from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"


@dataclass(eq=False)
class LatchkeyError(Exception):
    """A call that failed. The gRPC error is its `__cause__`, which alone may tell the address of
    the server."""

    code: grpc.StatusCode
    message: str
    """What was wrong and what would be right, for people."""
    reason: str = ""
    """The code of Latchkey, such as NOT_FOUND; empty if gRPC itself failed the call."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The fields of the request that are to blame, and what would be right of each."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Further facts, such as `exchange_reason` of a key exchange that failed."""
    retry_after: float | None = None
    """Seconds after which the server asks to try again, if it says so."""

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"


_OF_NETWORK = {
    grpc.StatusCode.UNAVAILABLE: "Latchkey cannot be reached",
    grpc.StatusCode.DEADLINE_EXCEEDED: "Latchkey did not answer in time",
    grpc.StatusCode.CANCELLED: "the call of Latchkey was cancelled",
    grpc.StatusCode.INTERNAL: "the call of Latchkey broke",
    grpc.StatusCode.UNKNOWN: "the call of Latchkey broke",
}
"""What is told where Latchkey did not answer itself: messages of gRPC and of proxies name
addresses, and may reach visitors."""


def unreachable() -> LatchkeyError:
    """The error of a call that is not made because the server did not answer just before."""
    code = grpc.StatusCode.UNAVAILABLE
    return LatchkeyError(code, _OF_NETWORK[code])


def is_refused(error: LatchkeyError, call: object) -> bool:
    """Whether no connection came about: nobody listens at the address, or nobody knows it."""
    if error.code is not grpc.StatusCode.UNAVAILABLE or error.reason:
        return False
    details: str = call.details() or ""  # type: ignore[attr-defined]
    return details.startswith(("failed to connect to all addresses", "DNS resolution failed"))


def to_error(call: grpc.Call) -> LatchkeyError:
    """The error of a call that has ended with another code than OK."""
    error = _explained(call)
    if not error.reason:
        error.message = _OF_NETWORK.get(error.code, error.message)
    return error


def _explained(call: grpc.Call) -> LatchkeyError:
    error = LatchkeyError(call.code() or grpc.StatusCode.UNKNOWN, call.details() or "")
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            _explain(error, value)
    return error


def _explain(error: LatchkeyError, status: bytes) -> None:
    try:
        details = status_pb2.Status.FromString(status).details
    except DecodeError:  # Of a proxy, say: the code and the message still hold.
        return
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in details:
        if detail.Unpack(info):
            error.reason = info.reason
            error.metadata = dict(info.metadata)
        elif detail.Unpack(request):
            error.fields = {each.field: each.description for each in request.field_violations}
        elif detail.Unpack(retry):
            error.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
