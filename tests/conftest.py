"""What several test modules share."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent

settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("project")


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
