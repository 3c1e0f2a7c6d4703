"""Lifetimes as frameworks have them, as limits that the server takes."""

from __future__ import annotations

from math import ceil

import grpc
from google.protobuf.duration_pb2 import Duration

from .error import LatchkeyError
from .session import AppPolicy

_SHORTEST = 10
_LONGEST = 2_147_483_647
_DEFAULT = 7200


def idle_ttl_of(seconds: float) -> Duration:
    """The idle limit of a lifetime over 0: rounded up to whole seconds, at least 10 and at most
    2,147,483,647, which are 68 years."""
    return Duration(seconds=ceil(min(max(seconds, _SHORTEST), _LONGEST)))


def default_idle_ttl(policy: AppPolicy) -> Duration:
    """The idle limit of a session whose creation asks for none."""
    if policy.HasField("default_idle_ttl"):
        return policy.default_idle_ttl
    return at_most(Duration(seconds=_DEFAULT), policy)


def at_most(idle_ttl: Duration, policy: AppPolicy) -> Duration:
    """The idle limit, or the policy's longest if that is less."""
    if policy.HasField("max_idle_ttl") and policy.max_idle_ttl.seconds < idle_ttl.seconds:
        return policy.max_idle_ttl
    return idle_ttl


def is_too_long(error: LatchkeyError) -> bool:
    """Whether the app's policy refused the idle limit."""
    return error.code is grpc.StatusCode.INVALID_ARGUMENT and "idle_ttl" in error.fields
