"""`dacapo-like verify` as it is used: over folders, in a terminal, and while documents are edited."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import jsonschema
import pytest
from click.testing import CliRunner

from dacapo_like.cli import main
from dacapo_like.config.problems_schema import problems_schema

START = "import dacapo_like.cli as cli; cli._PATIENCE = 0; cli.main(prog_name='dacapo-like')"
PATIENCE = 60  # seconds; of a machine that is very busy


def run(*arguments):
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bad.yaml").write_text("type: binarise\n")
    (tmp_path / "notes.yaml").write_text("words: [this is no document]\n")
    return tmp_path


def test_a_folder_stands_for_its_documents(folder):
    result = run(folder)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].startswith(f"{folder}/bad.yaml:1:7: error DL101 [type]")
    assert result.stdout.endswith("1 document: 1 error\n")
    (folder / "bad.yaml").unlink()
    assert run(folder).exit_code == 1
    assert "there are no documents in the folder" in run(folder).output


def test_json_is_as_its_schema_says(folder):
    report = run("--format", "json", folder, folder / "nowhere.yaml")
    found = json.loads(report.stdout)
    jsonschema.Draft202012Validator(problems_schema()).validate(found)
    assert (found["files"], len(found["problems"])) == (2, 2)
    assert report.stderr == "2 documents: 2 errors\n"


@pytest.mark.parametrize("form", ["github", "sarif"])
def test_what_other_tools_read_is_alone_on_standard_output(folder, form):
    report = run("--format", form, folder)
    assert report.stderr == "1 document: 1 error\n"
    assert "1 document" not in report.stdout
    (folder / "bad.yaml").write_text("type: npy\nfile_name: a.npy\n")
    assert run("--format", form, folder).exit_code == 1


def test_annotations_of_no_problems_are_nothing(configs):
    assert run("--format", "github", configs / "quickstart.yaml").stdout == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudoterminals")
@pytest.mark.parametrize("plain", [False, True])
def test_a_terminal_gets_colours_and_a_progress_bar(folder, plain):
    import pty

    for i in range(3):
        (folder / f"{i}.yaml").write_text("type: binarise\n")
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", START, "verify", str(folder)],
        stdout=follower,
        stderr=follower,
        env={**environment, "TERM": "xterm", **({"NO_COLOR": "1"} if plain else {})},
    )
    os.close(follower)
    text = b""
    try:
        while part := os.read(leader, 65536):
            text += part
    except OSError:  # Linux: the other end is closed
        pass
    os.close(leader)
    assert process.wait(PATIENCE) == 1
    assert (b"\x1b[1;31merror" in text) is not plain
    assert b"documents" in text.partition(b"bad.yaml")[0]
    assert b"4 documents: 4 errors" in text


@contextmanager
def watching(*paths):
    """Start `verify --watch`; give the process and the lines that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", START, "verify", "--watch", *map(str, paths)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line.rstrip("\n"))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        thread.join()
        process.stdout.close()
        process.stderr.close()


def summary_of(lines):
    while not (line := lines.get(timeout=PATIENCE)).startswith(("1 document", "2 documents")):
        pass
    return line


@pytest.mark.slow
def test_watch_verifies_again_when_documents_change_and_ends_cleanly(folder):
    bad = folder / "bad.yaml"
    with watching(folder) as (process, lines):
        assert summary_of(lines) == "1 document: 1 error"
        bad.write_text("type: binarise\nmore: 1\n")
        assert summary_of(lines) == "1 document: 1 error"
        (folder / "worse.yaml").write_text("type: [\n")
        assert summary_of(lines) == "2 documents: 2 errors"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 1
        assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_watch_ends_with_what_the_last_run_found(tmp_path):
    import numpy as np

    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    (tmp_path / "a.yaml").write_text("type: npi\nfile_name: a.npy\n")
    with watching(tmp_path / "a.yaml") as (process, lines):
        assert summary_of(lines) == "1 document: 1 error"
        (tmp_path / "a.yaml").write_text("type: npy\nfile_name: a.npy\n")
        assert summary_of(lines) == "1 document: no problems"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
