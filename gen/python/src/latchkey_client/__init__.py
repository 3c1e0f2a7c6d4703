"""Client of Latchkey: `connect` makes one, `session` and `rke` have the messages."""

from . import rke, session
from .client import Client, Tls, connect
from .data import from_data, to_data
from .error import LatchkeyError
from .watch import Watch

__all__ = [
    "Client",
    "LatchkeyError",
    "Tls",
    "Watch",
    "connect",
    "from_data",
    "rke",
    "session",
    "to_data",
]
