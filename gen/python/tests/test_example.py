from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .servers import Servers

EXAMPLE = Path(__file__).parents[1] / "example" / "example.py"


def test_the_example_shows_what_it_says(servers: Servers) -> None:
    rke = (servers.rke["domain"], servers.rke["walletPath"])
    ran = subprocess.run(
        [sys.executable, EXAMPLE, servers.grpc["open"], *rke],
        capture_output=True,
        check=True,
        encoding="utf-8",
        env={"PYTHONPATH": str(EXAMPLE.parents[1] / "src"), "PYTHONUTF8": "1"},
        timeout=60,
    )
    said = [line.partition(" as ")[0] for line in ran.stdout.splitlines()]
    assert said == [
        "logged in: ann",
        "watching: 1 session",
        "read: {'cart': ['tea']} version 1",
        "updated: version 2",
        "watched: SESSION_EVENT_TYPE_UPDATED",
        "watched: SESSION_EVENT_TYPE_ENDED",
        "logged out: NOT_FOUND",
        "encrypted: 22 bytes",
        "decrypted: 안녕",
    ]
