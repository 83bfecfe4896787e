"""What the documentation shows is run; what it lists is complete."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import dacapo_like
from dacapo_like.config.codes import CODES
from dacapo_like.config.document import parse_document
from dacapo_like.registry import array_types, document_types

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
NEEDED = {
    "use-with-careamics": [
        pytest.mark.skipif(find_spec("careamics") is None, reason="CAREamics is not installed"),
        pytest.mark.filterwarnings("ignore"),  # its own, and those of lightning
        pytest.mark.slow,
    ],
    "use-with-gunpowder": [
        pytest.mark.skipif(
            sys.version_info < (3, 12), reason="gunpowder for zarr 3 needs Python 3.12"
        )
    ],
    "use-with-torch": [
        pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed"),
        pytest.mark.slow,
    ],
}
"""What pages are about that is not always there."""
FENCED = re.compile(
    r"^(?P<fence>`{3,})(?P<language>[^\n]*)\n"
    r"(:caption: (?P<file>\S+)\n\n?)?"
    r"(?P<text>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)


class Block(NamedTuple):
    """A fenced block of a page: in a language, or with a caption a file of that name."""

    language: str
    file: str | None
    text: str
    line: int

    def run(self, namespace: dict[str, Any]) -> None:
        if self.file is not None:
            file = Path(self.file)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.text)
        elif self.language == "python" and self.text.startswith(">>> "):
            self.run_session(namespace)
        elif self.language == "python":
            exec(compile(self.text, f"<line {self.line}>", "exec"), namespace)
        elif self.language == "yaml":
            dacapo_like.load(parse_document(self.text).data)
        elif self.language == "console":
            self.run_commands()

    def run_session(self, namespace: dict[str, Any]) -> None:
        session = doctest.DocTestParser().get_doctest(
            self.text, namespace, "page", "page", self.line
        )
        session.globs = namespace
        said: list[str] = []
        failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(
            session, out=said.append, clear_globs=False
        )
        assert not failed, "".join(said)

    def run_commands(self) -> None:
        """Run the lines behind ``$`` and compare what they print with the lines that follow them."""
        for shown in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, expected = shown.partition("\n")
            printed = output_of(shlex.split(command))
            same = doctest.OutputChecker().check_output(expected.strip() + "\n", printed, FLAGS)
            assert same, f"$ {command}\nexpected:\n{expected}\nprinted:\n{printed}"


def output_of(command):
    """Run a program of this environment as a person would: in a terminal of a known width, and not inside of pytest."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**outside, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": str(Path.cwd())},
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines()) + "\n"


def blocks_of(page):
    text = page.read_text()
    return [
        Block(found["language"], found["file"], found["text"], text.count("\n", 0, found.start()))
        for found in FENCED.finditer(text)
    ]


def pages():
    """Give the pages that have something to run; those that start programs are slow."""
    for page in sorted(DOCS.rglob("*.md")):
        languages = {block.language for block in blocks_of(page)}
        if languages & {"python", "yaml", "console"}:
            marks = [pytest.mark.slow] if "console" in languages else []
            marks += NEEDED.get(page.stem, [])
            yield pytest.param(page.relative_to(DOCS).as_posix(), marks=marks)


@pytest.mark.parametrize("page", list(pages()))
def test_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if page.startswith("how-to/"):  # they change the package
        for part in ("dacapo_like", "schemas"):
            shutil.copytree(ROOT / part, part, ignore=shutil.ignore_patterns("__pycache__"))
    namespace: dict[str, Any] = {}
    for block in blocks_of(DOCS / page):
        block.run(namespace)


def test_every_code_has_its_line_in_the_reference():
    modules = (ROOT / "dacapo_like").rglob("*.py")
    sources = (path.read_text() for path in modules if path.name != "codes.py")
    used = {code for source in sources for code in re.findall(r'"(DL\d{3})"', source)}
    page = (DOCS / "reference" / "codes.md").read_text()
    assert dict(re.findall(r"^\| `(DL\d{3})` \| (.+) \|$", page, flags=re.MULTILINE)) == CODES
    assert list(CODES) == sorted(used)


def test_every_type_has_its_page():
    found = {page.stem for page in (DOCS / "reference" / "types").glob("*.md")}
    assert found == set(document_types())
    table = (DOCS / "reference" / "language.md").read_text()
    assert set(re.findall(r"\(types/(\w+)\.md\)", table)) == found


@pytest.mark.parametrize("tag", document_types())
def test_the_page_of_a_type_shows_it_and_its_keys(tag):
    page = (DOCS / "reference" / "types" / f"{tag}.md").read_text()
    assert f"type: {tag}" in page
    assert f"{{array-type}} {tag}\n" in page


def test_every_command_and_option_is_in_the_reference():
    from dacapo_like.cli import main

    page = (DOCS / "reference" / "cli.md").read_text()
    for name, command in main.commands.items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        options = {option for parameter in command.params for option in parameter.opts}
        assert [
            option for option in options if option.startswith("-") and option not in section
        ] == []


def test_every_public_name_is_in_the_reference():
    page = (DOCS / "reference" / "api.md").read_text()
    configs = {config.__name__ for config in array_types().values()}
    shown = set(re.findall(r":: (\w+)$", page, flags=re.MULTILINE))
    assert set(dacapo_like.__all__) - configs <= shown
