"""What was done is not done again, and what comes out is what an undisturbed run gives."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dacapo_like
from dacapo_like.cli import main
from dacapo_like.errors import ConfigError, ReadError, SourceError
from dacapo_like.materialize import materialize, plan
from dacapo_like.materialize.workspace import workspace_of

HERE = Path(__file__).parent
OPTIONS = {"chunks": (8, 8, 8), "levels": 3, "threads": 2}
SHAPE = (40, 36, 33)


@pytest.fixture
def source(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 255, SHAPE, "uint8")
    voxels[:16, :16] = 0  # files that are not there
    return dacapo_like.from_numpy(voxels).to_ome_zarr(
        tmp_path / "in" / "source.zarr", levels=1, chunks=(8, 8, 8)
    )


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.zarr"


def described(source, **fields):
    return {"type": "zarr", "file_name": str(source), **fields}


def opened(source, **fields):
    return dacapo_like.open_array(described(source, **fields))


def tree(folder):
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def damage(source):
    """Damage a chunk near the end; give what mends it."""
    chunk = source / "0" / "c" / "4" / "4" / "3"
    whole, state = chunk.read_bytes(), chunk.stat()

    def mend():
        chunk.write_bytes(whole)
        os.utime(chunk, ns=(state.st_atime_ns, state.st_mtime_ns))

    chunk.write_bytes(whole[: len(whole) // 2])
    return mend


def stopped_half_way(source, out, **options):
    """Leave what a run leaves that met a damaged chunk; give what mends the chunk."""
    mend = damage(source)
    with pytest.raises(ReadError) as caught:
        materialize(opened(source), out, **OPTIONS, **options)
    assert f"kept in {workspace_of(out)}" in caught.value.hint
    return mend


def test_a_run_that_failed_is_gone_on_with(source, out, tmp_path):
    materialize(opened(source), tmp_path / "undisturbed" / "out.zarr", **OPTIONS)
    mend = stopped_half_way(source, out)
    mend()
    files = [file for file in (workspace_of(out) / "data").rglob("c/*/*/*") if file.is_file()]
    before = {file.relative_to(workspace_of(out) / "data"): file.stat() for file in files}
    calls = []
    materialize(opened(source), out, progress=lambda *counts: calls.append(counts), **OPTIONS)
    done, total = calls[0]
    assert 0 < done < total
    assert calls == [(i, total) for i in range(done, total + 1)]
    same = [name for name, was in before.items() if (out / name).stat().st_ino == was.st_ino]
    assert len(same) >= done
    assert tree(out) == tree(tmp_path / "undisturbed" / "out.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out.zarr", "undisturbed"]


def test_another_array_other_options_or_another_source_are_refused(source, out):
    stopped_half_way(source, out)()
    for array, options, what in (
        (opened(source, offset=[2, 2, 2]), OPTIONS, r"document.offset: new"),
        (opened(source), OPTIONS | {"chunks": (4, 8, 8)}, r"options.chunks\[0\]: 8 before, now 4"),
        (opened(source), OPTIONS | {"memory": "1GiB", "version": "0.4"}, "options.version"),
    ):
        with pytest.raises(SourceError, match=what) as caught:
            materialize(array, out, **options)
        assert "--restart" in caught.value.hint
    metadata = source / "0" / "zarr.json"
    os.utime(metadata, (0, 0))
    with pytest.raises(SourceError, match=r"sources\..*zarr.json\[1\]"):
        materialize(opened(source), out, **OPTIONS)
    materialize(opened(source), out, restart=True, **OPTIONS)
    np.testing.assert_array_equal(opened(out).read(), opened(source).read())


def test_a_block_that_was_damaged_since_is_found_and_done_again(source, out, tmp_path):
    materialize(opened(source), tmp_path / "undisturbed" / "out.zarr", **OPTIONS)
    stopped_half_way(source, out)()
    data = workspace_of(out) / "data"
    entry = (workspace_of(out) / "journal").read_text().splitlines()[1]
    assert entry.startswith("+0 ")
    chunks = sorted(f for f in (data / "0" / "c").rglob("*") if f.is_file())
    flipped = bytearray(chunks[0].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    chunks[0].write_bytes(flipped)
    chunks[1].unlink()
    materialize(opened(source), out, check=True, **OPTIONS)
    assert tree(out) == tree(tmp_path / "undisturbed" / "out.zarr")


def test_left_over_locks_are_removed(source, out):
    stopped_half_way(source, out)()
    lock = workspace_of(out) / "data" / "0" / "c" / "0" / "0" / "0.__lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    materialize(opened(source), out, **OPTIONS)
    assert not list(out.rglob("*.__lock"))


def test_an_array_in_memory_leaves_nothing_and_stays_here(out):
    array = dacapo_like.from_numpy(np.zeros((8, 8), "uint8"))
    for means in ({"workers": 2}, {"scheduler": "tcp://127.0.0.1:1"}):
        with pytest.raises(ConfigError, match="in memory"):
            materialize(array, out, **means)
    assert not list(out.parent.iterdir())


def test_other_formats_are_written_by_one_process(source, tmp_path):
    with pytest.raises(ConfigError, match="by one process"):
        materialize(opened(source), tmp_path / "out.h5", workers=2)
    with pytest.raises(ConfigError, match="only an OME-Zarr"):
        plan(opened(source), tmp_path / "out.h5")


@pytest.mark.parametrize("means", [{"threads": 0}, {"workers": -1}, {"memory": "1KB"}])
def test_means_that_make_no_sense_are_refused(source, out, means):
    with pytest.raises(ConfigError):
        materialize(opened(source), out, **means)


def test_a_zip_file_is_gone_on_with_too(source, tmp_path):
    materialize(opened(source), tmp_path / "undisturbed" / "out.ozx", **OPTIONS)
    stopped_half_way(source, tmp_path / "out.ozx")()
    materialize(opened(source), tmp_path / "out.ozx", **OPTIONS)
    read = [opened(tmp_path / name).read() for name in ("out.ozx", "undisturbed/out.ozx")]
    np.testing.assert_array_equal(*read)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out.ozx", "undisturbed"]


# The command


@pytest.fixture
def document(source, tmp_path):
    path = tmp_path / "in" / "document.json"
    path.write_text(json.dumps(described(source)))
    return path


def run(*arguments):
    return CliRunner().invoke(main, ["materialize", *map(str, arguments)])


ARGUMENTS = ["--chunks", "8,8,8", "--option", "levels=3", "--threads", "2"]


def test_the_command_goes_on_and_says_so(document, source, out):
    mend = damage(source)
    failed = run(document, out, *ARGUMENTS)
    assert failed.exit_code == 1
    assert "the same call goes on" in failed.output
    mend()
    again = run(document, out, *ARGUMENTS)
    assert again.exit_code == 0, again.output
    assert "of them before" in again.output


def test_a_dry_run_makes_nothing(document, out):
    result = run(document, out, *ARGUMENTS, "--dry-run", "--memory", "2GiB")
    assert result.exit_code == 0, result.output
    assert "sweep 1: computes 40 x 36 x 33 voxels" in result.output
    assert "memory: at most" in result.output
    assert [p.name for p in out.parent.iterdir()] == ["in"]


def test_a_finished_file_is_checked(document, source, out):
    assert run(document, out, *ARGUMENTS).exit_code == 0
    checked = run(document, out, "--check")
    assert checked.exit_code == 0, checked.output
    voxels = 40 * 36 * 33 + 20 * 18 * 16 + 10 * 9 * 8
    assert f"all chunks of {voxels:,} voxels" in checked.output
    chunk = next(f for f in sorted((out / "1" / "c").rglob("*")) if f.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-3])
    damaged = run(document, out, "--check")
    assert damaged.exit_code == 1
    assert "1 blocks of chunks cannot be read" in damaged.output


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_cleanly(source, out, tmp_path, number, code):
    command = (
        f"import runpy; runpy.run_path({str(HERE / 'logged.py')!r}); "
        "from dacapo_like.cli import main; main()"
    )
    log = tmp_path / "in" / "log"
    path = tmp_path / "in" / "slow.json"
    path.write_text(
        json.dumps({"type": "logged", "source": described(source), "log": str(log), "pause": 0.05})
    )
    again = [sys.executable, "-c", command, "materialize", path, out, *ARGUMENTS]
    process = subprocess.Popen(again, stderr=subprocess.PIPE, text=True)
    journal = workspace_of(out) / "journal"
    while process.poll() is None and not (
        journal.exists() and journal.read_bytes().count(b"\n") > 1
    ):
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "interrupted: " in said
    assert "the same call goes on" in said
    kept = journal.read_bytes()
    assert kept.endswith(b"\n")
    before = log.read_text().count("\n")
    subprocess.run(again, check=True, capture_output=True)  # here its type would stay registered
    assert log.read_text().count("\n") - before < before + 40
    np.testing.assert_array_equal(opened(out).read(), opened(source).read())
