"""The hook that other repositories use, run on staged files: by git and a shell, and by pre-commit itself where that is installed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
GOOD = "type: npy\nfile_name: ../a.npy\n"
BAD = "type: npi\nfile_name: ../a.npy\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]


@pytest.fixture
def repository(tmp_path):
    """Give a function that stages files in a repository, and the environment to run programs in."""
    import numpy as np

    folder = tmp_path / "repository"
    folder.mkdir()
    np.save(folder / "a.npy", np.zeros((2, 2)))
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": str(tmp_path),
    }

    def run(*command):
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    def stage(**documents):
        for name, text in documents.items():
            path = folder / "configs" / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        run("git", "add", "--all")

    assert run("git", "init", "-q").returncode == 0
    return stage, run


def staged(run):
    names = run("git", "diff", "--cached", "--name-only").stdout.split()
    return [name for name in names if re.search(HOOK["files"], name)]


def test_the_entry_runs_on_staged_documents(repository):
    stage, run = repository
    stage(good=GOOD)
    (document,) = staged(run)
    assert run(*shlex.split(HOOK["entry"]), document).returncode == 0
    stage(bad=BAD)
    done = run(*shlex.split(HOOK["entry"]), *staged(run))
    assert done.returncode == 1
    assert "configs/bad.yaml:1:7: error DL101" in done.stdout
    assert "2 documents: 1 error" in done.stdout


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("configs/a.yaml", True),
        ("deep/experiments/a/b.toml", True),
        ("configs/a.json", True),
        (".pre-commit-config.yaml", False),
        ("myconfigs/a.yaml", False),
        ("configs/a.py", False),
    ],
)
def test_the_hook_takes_documents_and_nothing_else(name, taken):
    assert bool(re.search(HOOK["files"], name)) is taken


@pytest.mark.skipif(find_spec("pre_commit") is None, reason="pre-commit is not installed")
def test_pre_commit_takes_and_runs_the_hook(repository, tmp_path):
    stage, run = repository
    manifest = ROOT / ".pre-commit-hooks.yaml"
    assert run("pre-commit", "validate-manifest", str(manifest)).returncode == 0
    hook = {**HOOK, "language": "system"}  # in this environment, where the package is installed
    config = {"repos": [{"repo": "local", "hooks": [hook]}]}
    (tmp_path / "repository" / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    stage(good=GOOD)
    done = run("pre-commit", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout
    stage(bad=BAD)
    done = run("pre-commit", "run")
    assert done.returncode == 1
    assert "configs/bad.yaml:1:7: error DL101" in done.stdout
