"""The README's example runs and prints what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

import dacapo_like

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_example_prints_what_it_says(configs):
    (code,) = fenced("python")
    (expected,) = fenced("text")
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=configs.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == expected


def test_example_document_is_valid(configs):
    (text,) = fenced("yaml")
    path = configs / "readme.yaml"
    path.write_text(text)
    assert dacapo_like.verify(path) == []
    assert set(yaml.safe_load(text)["arrays"]) <= set(
        dacapo_like.load(configs / "quickstart.yaml").arrays
    )


def test_the_commands_are_targets_of_the_makefile():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", fenced("console")[0], re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
