from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

FOLDER = Path(__file__).parents[1]


def test_a_wheel_has_the_code_and_its_types_and_works_where_it_is_installed(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, FOLDER],
        check=True,
    )
    (wheel,) = tmp_path.glob("latchkey_client-*.whl")
    with ZipFile(wheel) as packed:
        names = set(packed.namelist())
        source = FOLDER / "src"
        files = {
            path.relative_to(source).as_posix()
            for path in source.rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert {name for name in names if ".dist-info/" not in name} == files
        assert {path.rpartition(".")[2] for path in files} == {"py", "pyi", "typed"}
        packed.extractall(tmp_path / "installed")

    # Without the frameworks' modules, which need the extras.
    code = "import latchkey_client as l; print(l.__file__, l.session.CreateSessionRequest(app='x'))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed")},
        text=True,
    )
    assert ran.stdout.startswith(str(tmp_path))
