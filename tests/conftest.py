"""What several test modules share."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves `page_rows` out

settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("project")

collect_ignore_glob = ["peers/run_*.py"]  # what they import is in environments of their own
PEERS = {
    "careamics": "formats",
    "cloudvolume": "formats",
    "dacapo": "dacapo",
    "zarrnii": "formats",
}
"""Programs of others, and the environments that `make peers` installs them in, each from tests/peers/requirements-*.txt."""


@pytest.fixture(scope="session")
def run_peer() -> Callable[[str, Path], None]:
    """Give a function that lets a program of others work in a folder, as tests/peers/run_*.py says."""

    def run(program: str, folder: Path) -> None:
        name = PEERS[program]
        variable = f"DACAPO_LIKE_PEERS_{name.upper()}"
        ours = ROOT / f".venv-{name}"
        named = os.environ.get(variable) or (ours if (ours / ".installed").exists() else None)
        if named is None:
            pytest.skip(
                f"NOT COMPARED WITH THE REAL {program.upper()}, which is not installed: run `make peers`, "
                f"or name an environment with tests/peers/requirements-{name}.txt in {variable}"
            )
        found = [Path(named, *parts) for parts in (("bin", "python"), ("Scripts", "python.exe"))]
        python = next(path for path in found if path.exists())
        script = ROOT / "tests" / "peers" / f"run_{program}.py"
        done = subprocess.run(
            [python, script, folder], capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture(scope="session")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the example documents and the data that they read."""
    folder = tmp_path_factory.mktemp("example") / "configs"
    folder.mkdir()
    for path in (ROOT / "configs").iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    main = runpy.run_path(str(ROOT / "configs" / "make_data.py"))["main"]
    main(folder / "data")
    return folder
