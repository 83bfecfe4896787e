"""One run at a time has a target; the folder of a run that died is found, and taken over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from dacapo_like.errors import SourceError
from dacapo_like.materialize.workspace import Owner, Workspace, ago, workspace_of

HOLD = """
import sys, time
from pathlib import Path
from dacapo_like.materialize.workspace import Workspace
with Workspace(Path(sys.argv[1])) as space:
    space.keep()
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def target(tmp_path):
    return tmp_path / "a.zarr"


def owner_file(target):
    return workspace_of(target) / "owner"


def test_it_is_gone_in_the_end(target):
    with Workspace(target) as space:
        assert space.folder.is_dir()
        space.data.mkdir()
    assert list(target.parent.iterdir()) == []


def test_a_second_run_is_refused_with_who_has_it(target):
    with Workspace(target), pytest.raises(SourceError, match="somebody else") as caught:
        Workspace(target)
    assert f"process {os.getpid()}" in str(caught.value)
    assert "last seen 0" in str(caught.value)


def test_one_that_is_kept_is_found_by_the_next(target):
    with Workspace(target) as space:
        space.data.mkdir()
        space.begin({"key": "k"})
        space.keep()
    with Workspace(target) as space:
        assert space.run() == {"key": "k"}
        space.clear()
        assert space.run() is None
        assert [entry.name for entry in space.folder.iterdir()] == ["owner"]


def test_what_has_no_data_is_not_gone_on_with(target):
    with Workspace(target) as space:
        space.begin({"key": "k"})
        assert space.run() is None
        space.data.mkdir()
        (space.folder / "run.json").write_text('{"cut off')
        assert space.run() is None


def test_a_killed_owner_of_this_host_is_replaced(target):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, target], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(SourceError, match=f"process {process.pid}"):
        Workspace(target)
    process.kill()
    process.communicate()
    assert Owner.parse(owner_file(target).read_text()).pid == process.pid
    with Workspace(target):
        assert Owner.parse(owner_file(target).read_text()).pid == os.getpid()


def test_an_owner_of_another_host_is_replaced_only_when_told_to(target):
    there = {"user": "anna", "host": "node7", "pid": 12, "since": time.time() - 7200}
    owner_file(target).parent.mkdir()
    owner_file(target).write_text(json.dumps(there))
    os.utime(owner_file(target), (0, time.time() - 3600))
    with pytest.raises(SourceError, match=r"anna on node7, process 12, since 2\.0 hours") as caught:
        Workspace(target)
    assert "last seen 1.0 hours ago" in str(caught.value)
    assert "--break-lock" in caught.value.hint
    with Workspace(target, break_lock=True):
        pass
    assert list(target.parent.iterdir()) == []


def test_without_locks_of_the_kernel_the_process_is_looked_for(target, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    owner_file(target).parent.mkdir()
    me = Owner.me()
    for pid, refused in ((os.getppid(), True), (gone.pid, False)):
        owner_file(target).write_text(Owner(me.user, me.host, pid, me.since).dump())
        if refused:
            with pytest.raises(SourceError, match="somebody else"):
                Workspace(target)
        else:
            with Workspace(target):
                pass


def test_an_owner_that_was_cut_off_is_none(target):
    owner_file(target).parent.mkdir()
    owner_file(target).write_text('{"user": "anna"')
    with Workspace(target):
        pass
    assert Owner.parse("") is None


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="cannot write here"):
        Workspace(tmp_path / "file" / "a.zarr")
    with pytest.raises(SourceError, match="cannot write here"):
        Workspace(tmp_path / "none" / "a.zarr", parents=False)


def test_spans_of_time():
    assert [ago(s) for s in (0, 59, 60, 7200, 3 * 86400)] == [
        "0.0 seconds",
        "59.0 seconds",
        "1.0 minutes",
        "2.0 hours",
        "3.0 days",
    ]
