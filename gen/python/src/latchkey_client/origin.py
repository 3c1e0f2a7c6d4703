from __future__ import annotations

import re
from dataclasses import dataclass

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Origin:
    """Where a user's request comes from, within the limits of CreateSession and GetSession."""

    ip: str = ""
    user_agent: str = ""


def origin_of(ip: str | None, user_agent: str | None) -> Origin:
    """Of what a framework says. An address that is none, such as a socket's path, is left out."""
    ip = (ip or "").partition("%")[0]  # The zone of a link-local address is the server's matter.
    return Origin(
        ip=ip if len(ip) <= 39 and not _CONTROL.search(ip) else "",
        user_agent=_CONTROL.sub("", user_agent or "")[:512],
    )
