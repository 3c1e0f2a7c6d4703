from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"


@dataclass(eq=False)
class LatchkeyError(Exception):
    """A call that failed. The gRPC error is its `__cause__`."""

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


def to_error(call: grpc.Call) -> LatchkeyError:
    """The error of a call that has ended with another code than OK."""
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
