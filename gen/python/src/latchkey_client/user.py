"""Whose session it is, for frameworks that know a user only after the login."""

from __future__ import annotations

from uuid import UUID, uuid4

_ANONYMOUS = "anonymous:"


def user_id_of(user: object) -> str:
    """The user_id of a session of this user: text, or an int or a UUID as text. Each that is of
    nobody yet (None) has its own, so that a limit of sessions for each user does not have strangers
    end each other's.

    Raises TypeError for any other type, and ValueError for text that would pass for nobody's:
    whose session it is, is not guessed.
    """
    return f"{_ANONYMOUS}{uuid4()}" if user is None else _text_of(user)


def is_of(user_id: str, user: object) -> bool:
    """Whether a session of this user_id is of this user, or of nobody as he is. Raises as
    `user_id_of` does."""
    return user_id.startswith(_ANONYMOUS) if user is None else user_id == _text_of(user)


def _text_of(user: object) -> str:
    if isinstance(user, str):
        text = str.__str__(user)  # Its own __str__ may say something else, as an Enum's does.
        if not text:
            raise ValueError("a user's id is empty; None stands for nobody")
        if text.startswith(_ANONYMOUS):
            raise ValueError(f"a user's id begins with {_ANONYMOUS!r}, as ids of nobody do")
        return text
    if isinstance(user, int) and not isinstance(user, bool):
        return int.__repr__(user)
    if isinstance(user, UUID):
        return UUID.__str__(user)
    raise TypeError(f"a user's id is a str, an int or a UUID, not {type(user).__name__}")
