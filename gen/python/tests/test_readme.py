from __future__ import annotations

import re
from pathlib import Path

import pytest

from .servers import Servers

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_first_call_prints_what_it_should(
    servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block
    exec(block[1].replace("localhost:50051", servers.grpc["open"]), {})
    assert capsys.readouterr().out.splitlines() == [
        "{'cart': ['tea']}",
        "StatusCode.NOT_FOUND NOT_FOUND {}",
    ]
