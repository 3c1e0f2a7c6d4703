"""The time that one request of a web app spends waiting for Latchkey."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .client import Client
from .error import LatchkeyError


@dataclass
class Budget:
    """Makes the calls of one request: together they wait no longer than the client's deadline, and
    after a call that got no answer, no other is made."""

    client: Client
    _spent: float = 0.0
    _failure: LatchkeyError | None = None

    @property
    def failed(self) -> bool:
        """Whether Latchkey did not answer."""
        return self._failure is not None

    def call(self, method: Callable[..., Any], request: Any) -> Any:
        """The answer. Raises LatchkeyError, at once if a call before got no answer."""
        if self._failure is not None:
            raise self._failure
        now = self.client.now
        start = now()
        try:
            return method(request, timeout=max(0.001, self.client.deadline - self._spent))
        except LatchkeyError as error:
            if not error.reason:
                self._failure = error
            raise
        finally:
            self._spent += now() - start
