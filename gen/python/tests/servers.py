"""The servers of test/system/clients/servers.ts, for the tests and benchmarks of every language."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Servers:
    grpc: dict[str, str]
    """Address by the server's name: open, auth, tls, mtls."""
    keys: dict[str, str]
    ca: bytes
    cert: bytes
    key: bytes
    rke: dict[str, str]
    _process: subprocess.Popen[str]

    def command(self, line: str) -> None:
        """Such as `stop open`; returns when it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert json.loads(self._process.stdout.readline()) == {"done": line}


@contextmanager
def start_servers() -> Iterator[Servers]:
    """Needs Node and `npm ci && npm run build`."""
    program = ["node", "--import", "tsx", "test/system/clients/servers.ts"]
    with subprocess.Popen(
        program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{' '.join(program)} ended before it listened")
            yield _parse(json.loads(line), process)
        finally:
            process.stdin.close()


def _parse(told: dict[str, Any], process: subprocess.Popen[str]) -> Servers:
    files = {name: Path(path).read_bytes() for name, path in told["files"].items()}
    grpc = {name: addresses["grpc"] for name, addresses in told["servers"].items()}
    return Servers(grpc=grpc, keys=told["keys"], rke=told["rke"], **files, _process=process)
