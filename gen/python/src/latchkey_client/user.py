"""Whose session it is, for frameworks that know a user only after the login."""

from __future__ import annotations

from uuid import uuid4

_ANONYMOUS = "anonymous:"


def user_id_of(user: object) -> str:
    """The user_id of a session of this user. Each that is of nobody yet (None) has its own, so
    that a limit of sessions for each user does not have strangers end each other's."""
    return f"{_ANONYMOUS}{uuid4()}" if user is None else str(user)


def is_of(user_id: str, user: object) -> bool:
    """Whether a session of this user_id is of this user, or of nobody as he is."""
    return user_id.startswith(_ANONYMOUS) if user is None else user_id == str(user)
