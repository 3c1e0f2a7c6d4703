"""When a call is tried again, and after which delay."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import grpc
from google.protobuf.message import Message

from .error import LatchkeyError

_READS = ("Get", "List", "BatchGet", "Count", "Discover")

_FIRST = 0.2
_LONGEST = 1.0


@dataclass(frozen=True)
class Clock:
    """Time as the client has it."""

    now: Callable[[], float] = time.monotonic
    """Seconds, never going back."""
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
    """At least 0, less than 1."""


def backoff(attempt: int, clock: Clock) -> float:
    """Seconds to wait after the attempt, counted from 0: exponential with full jitter, so that
    callers who failed together do not come back together."""
    return clock.random() * min(_LONGEST, _FIRST * 2.0 ** min(attempt, 16))


def prepare(method: str, request: Message) -> tuple[Message, bool]:
    """The request to send, and whether it may be sent again: a read may, and a write that names
    its repetitions by a request_id, which it gets here if it has the field and it is empty."""
    if method.rpartition("/")[2].startswith(_READS):
        return request, True
    if "request_id" not in request.DESCRIPTOR.fields_by_name:
        return request, False
    if not request.request_id:  # type: ignore[attr-defined]
        # The caller's message stays as it is: sent twice, it is two requests.
        copy = type(request)()
        copy.CopyFrom(request)
        copy.request_id = str(uuid4())  # type: ignore[attr-defined]
        request = copy
    return request, True


def is_of_network(error: LatchkeyError) -> bool:
    """Whether the call broke on its way: proxies turn a server that is gone into INTERNAL and
    UNKNOWN, too. Latchkey's own errors have a reason."""
    return not error.reason and error.code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    )


def delay_before_retry(
    error: LatchkeyError, attempt: int, ends_at: float, clock: Clock
) -> float | None:
    """Seconds to wait before the next attempt; None if there is to be none. `attempt` counts
    from 0, `ends_at` is the clock's time after which none begins."""
    if error.code is grpc.StatusCode.UNAVAILABLE or is_of_network(error):
        delay = backoff(attempt, clock)
    elif error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and error.retry_after is not None:
        delay = error.retry_after
    else:
        return None
    return delay if clock.now() + delay < ends_at else None
