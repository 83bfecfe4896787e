"""Functions applied patch by patch: against the whole array; interrupted, killed, and taken up again."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dacapo_like import Roi, create_array, from_numpy, open_array
from dacapo_like.errors import ConfigError, RegionError, SourceError, WriteError
from dacapo_like.patches.blockwise import run_blockwise
from dacapo_like.patches.grid import PatchGrid

pytestmark = pytest.mark.slow  # the module takes over ten seconds

SOURCE = np.random.default_rng(0).integers(0, 99, (12, 10)).astype("f8")


def blur(data, patch):
    """Sum over 3 x 3 voxels; one voxel of context is lost on each side."""
    rows = data[:-2] + data[1:-1] + data[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


BLURRED = blur(np.pad(SOURCE, 1, "edge"), None)


def stored(path, chunks, dtype="f8"):
    return create_array(path, None, "yx", Roi((0, 0), SOURCE.shape), (1, 1), dtype, chunks=chunks)


def memory(data, **options):
    return from_numpy(data, mode="r+", **options)


# What is written


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("chunks", [(4, 5), (2, 5), (1, 1)])
def test_as_on_the_whole_array(tmp_path, threads, chunks):
    out = stored(tmp_path / "out.zarr", chunks)
    grid = PatchGrid(SOURCE.shape, (4, 5), context=1)
    seen = []
    count = run_blockwise(
        grid,
        blur,
        from_numpy(SOURCE),
        out,
        pad="edge",
        threads=threads,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert count == len(grid) == 6
    assert seen == [(i + 1, 6) for i in range(6)]
    np.testing.assert_array_equal(out.read(), BLURRED)


def test_many_arrays_by_place_in_the_world():
    raw = from_numpy(SOURCE, voxel_size=(2, 2), offset=(-2, -2))
    mask = from_numpy(np.eye(6, 5, dtype="u1"), voxel_size=(4, 4), offset=(-2, -2))
    doubled, counted = np.zeros((6, 5), "f4"), np.zeros((3, 6, 5), "u2")
    write = {
        "doubled": memory(doubled, voxel_size=(4, 4), offset=(-2, -2)),
        "counted": memory(counted, axes="cyx", voxel_size=(4, 4), offset=(-2, -2)),
    }

    def function(data, patch):
        assert data["raw"].shape == tuple(2 * n for n in patch.read.shape)
        assert data["mask"].shape == patch.read.shape
        assert patch.roi.shape == tuple(4 * n for n in patch.read.shape)
        coarse = 2 * data["raw"][::2, ::2]
        return {"doubled": coarse, "counted": np.stack([data["mask"]] * 3)[:, 1:-1, 1:-1]}

    grid = PatchGrid(Roi((-2, -2), (24, 20)), (8, 12), voxel_size=(4, 4), context=4)
    run_blockwise(grid, function, {"raw": raw, "mask": mask}, write, pad="reflect", threads=2)
    np.testing.assert_array_equal(doubled, 2 * SOURCE[::2, ::2])
    np.testing.assert_array_equal(counted, np.stack([np.eye(6, 5)] * 3))


# Who writes to which chunk


@st.composite
def chunked_grids(draw):
    shape = [draw(st.integers(1, n)) for n in (30, 8)]
    size = [draw(st.integers(1, n)) for n in shape]
    grid = PatchGrid(shape, size, edge=draw(st.sampled_from(["shift", "pad", "shrink"])))
    assume(len(grid) < 60)
    return grid, [draw(st.integers(1, 9)) for _ in shape]


@given(case=chunked_grids(), threads=st.integers(2, 4))
def test_no_chunk_is_written_by_two_at_once(tmp_path_factory, case, threads):
    grid, chunks = case
    out = create_array(
        tmp_path_factory.mktemp("a") / "a.zarr",
        None,
        "yx",
        Roi((0, 0), grid.shape),
        (1, 1),
        "u2",
        chunks=chunks,
    )
    source = np.arange(math.prod(grid.shape), dtype="u2").reshape(grid.shape)
    lock, owners = threading.Lock(), {}

    def function(data, patch):
        """Note whose chunks these are: those that share one are done by one thread, one after another."""
        cells = itertools.product(
            *(
                range(a // c, (b - 1) // c + 1)
                for a, b, c in zip(patch.write.offset, patch.write.end, chunks, strict=True)
            )
        )
        with lock:
            for cell in cells:
                owners.setdefault(cell, set()).add(threading.get_ident())
        return data

    ordered = grid.ordered_by(chunks)
    run_blockwise(ordered, function, from_numpy(source), out, pad="edge", threads=threads)
    assert all(len(threads_of) == 1 for threads_of in owners.values())
    np.testing.assert_array_equal(out.read(), source)


def test_patches_that_share_chunks_have_to_be_ordered(tmp_path):
    out = stored(tmp_path / "out.zarr", (6, 5))
    grid = PatchGrid(SOURCE.shape, (4, 5))
    with pytest.raises(ConfigError, match=r"the same chunk .*grid\.ordered_by\(\(6, 5\)\)"):
        run_blockwise(grid, lambda x, _: x, from_numpy(SOURCE), out)
    run_blockwise(grid.ordered_by((6, 5)), lambda x, _: x, from_numpy(SOURCE), out)
    np.testing.assert_array_equal(out.read(), SOURCE)
    other = grid.ordered_by((4, 5))  # which finishes other chunks
    with pytest.raises(ConfigError, match="the same chunk"):
        run_blockwise(other, lambda x, _: x, from_numpy(SOURCE), out)


def test_shards_of_chunks(tmp_path):
    out = stored(tmp_path / "out.zarr", (6, 5))
    grid = PatchGrid(SOURCE.shape, (3, 2))
    counts = []
    for rank in range(3):
        shard = grid.shard(rank, 3, by="chunks", chunks=(6, 5))
        counts.append(run_blockwise(shard, lambda x, _: x, from_numpy(SOURCE), out))
    assert sum(counts) == len(grid)
    np.testing.assert_array_equal(out.read(), SOURCE)
    with pytest.raises(ConfigError, match=r"chunks of another part .*by='chunks'"):
        run_blockwise(grid.ordered_by((6, 5))[:3], lambda x, _: x, from_numpy(SOURCE), out)


def test_a_region_that_begins_inside_of_a_chunk(tmp_path):
    out = stored(tmp_path / "out.zarr", (4, 5))
    region = Roi((2, 0), (8, 10))
    grid = PatchGrid(region, (4, 5), voxel_size=(1, 1))
    with pytest.raises(ConfigError, match=r"from \(2, 0\) on; expected .*multiples of \(4, 5\)"):
        run_blockwise(grid, lambda x, _: x, from_numpy(SOURCE), out)
    coarse = PatchGrid(region, (8, 5), voxel_size=(1, 1))
    run_blockwise(coarse, lambda x, _: x, from_numpy(SOURCE), out)
    np.testing.assert_array_equal(out[region], SOURCE[2:10])


def test_the_chunks_behind_a_crop_count(tmp_path):
    out = stored(tmp_path / "out.zarr", (4, 5))
    inner = out.crop(np.s_[2:10])
    with pytest.raises(ConfigError, match=r"from \(2, 0\) on; expected .*multiples of \(4, 5\)"):
        run_blockwise(PatchGrid((8, 10), (4, 5)), lambda x, _: x, from_numpy(SOURCE), inner)
    grid = PatchGrid((4, 10), (2, 5))
    inner = out.crop(np.s_[2:6])
    run_blockwise(grid, lambda x, _: x + 1, from_numpy(SOURCE), inner)
    np.testing.assert_array_equal(out[2:6], SOURCE[:4] + 1)


# Taken up again


class Calls:
    """Copies, counts, and fails at some patches."""

    def __init__(self, error=None, at=()):
        self.numbers, self.error, self.at = [], error, at

    def __call__(self, data, patch):
        self.numbers.append(patch.index)
        if patch.index in self.at:
            raise self.error
        return data


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("error", [ValueError("too dark"), KeyboardInterrupt()])
def test_what_was_done_is_not_done_again(tmp_path, threads, error):
    out = stored(tmp_path / "out.zarr", (2, 5))
    grid, journal = PatchGrid(SOURCE.shape, (2, 5)), tmp_path / "run.journal"
    failing = Calls(error, at=[7])
    with pytest.raises(type(error)) as raised:
        run_blockwise(grid, failing, from_numpy(SOURCE), out, journal, threads=threads)
    if isinstance(error, ValueError):
        assert "in patch 7, which writes 6:8, 5:10" in raised.value.__notes__
        error.__notes__.clear()
    done = set(map(int, journal.read_text().splitlines()[1:]))
    assert done == set(failing.numbers) - {7}
    assert done >= (set(range(7)) if threads == 1 else set())
    for number in done:
        np.testing.assert_array_equal(
            out[grid[number].write.slices], SOURCE[grid[number].write.slices]
        )
    seen = []
    rest = Calls()
    count = run_blockwise(
        grid,
        rest,
        from_numpy(SOURCE),
        out,
        journal,
        threads=threads,
        progress=lambda *numbers: seen.append(numbers),
    )
    assert sorted(rest.numbers) == sorted(set(range(12)) - done)
    assert count == len(rest.numbers)
    assert seen[-1] == (12, 12)
    np.testing.assert_array_equal(out.read(), SOURCE)
    assert (
        run_blockwise(grid, Calls(RuntimeError(), range(12)), from_numpy(SOURCE), out, journal) == 0
    )


def test_an_error_ends_what_others_do(tmp_path):
    out = create_array(
        tmp_path / "a.zarr", None, "x", Roi((0,), (10_000,)), (1,), "u1", chunks=(5000,)
    )
    grid = PatchGrid((10_000,), (1,)).ordered_by((5000,))
    begun, numbers = threading.Event(), []

    def function(data, patch):
        if patch.index < 5000:
            assert begun.wait(60)
            raise ValueError("too dark")
        begun.set()
        numbers.append(patch.index)
        return data

    ones = from_numpy(np.ones(10_000, "u1"))
    with pytest.raises(ValueError, match="too dark"):
        run_blockwise(grid, function, ones, out, tmp_path / "journal", threads=2)
    assert 0 < len(numbers) < 5000
    assert len((tmp_path / "journal").read_text().splitlines()) == 1 + len(numbers)


SCRIPT = """
    import itertools, os, sys
    import numpy as np
    from dacapo_like import from_numpy, open_array
    from dacapo_like.patches.blockwise import run_blockwise
    from dacapo_like.patches.grid import PatchGrid

    folder, threads, last, end = sys.argv[1], *map(int, sys.argv[2:])
    source = from_numpy(np.random.default_rng(0).integers(0, 99, (12, 10)).astype("f8"))
    out = open_array({"type": "zarr", "file_name": f"{folder}/out.zarr", "mode": "r+"})
    count = itertools.count(1)
    log = os.open(f"{folder}/calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def blur(data, patch):
        os.write(log, f"{patch.index}\\n".encode())
        if next(count) == last:
            os.kill(os.getpid(), end)
        rows = data[:-2] + data[1:-1] + data[2:]
        return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]

    grid = PatchGrid((12, 10), (2, 5), context=1)
    run_blockwise(grid, blur, source, out, f"{folder}/journal", pad="edge", threads=threads)
"""


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_started_again(tmp_path, threads, end):
    stored(tmp_path / "out.zarr", (2, 5))
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(SCRIPT))

    def start(last):
        command = [sys.executable, script, tmp_path, *map(str, (threads, last, int(end)))]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def numbers(name):
        lines = (tmp_path / name).read_text().splitlines()
        return [int(line) for line in lines if line.isdigit()]

    killed = start(last=7)
    assert killed.returncode == -end, killed.stderr
    done, before = numbers("journal"), numbers("calls")
    assert set(done) <= set(before)
    assert len(before) - len(done) <= (1 if end == signal.SIGINT else threads)
    assert len(before) < 12
    with (tmp_path / "journal").open("a") as file:
        file.write("1")  # as if it had died while it wrote 11
    finished = start(last=0)
    assert finished.returncode == 0, finished.stderr
    again = numbers("calls")[len(before) :]
    assert sorted(again) == sorted(set(range(12)) - set(done))
    assert sorted(numbers("journal")) == list(range(12))
    out = open_array({"type": "zarr", "file_name": str(tmp_path / "out.zarr")})
    np.testing.assert_array_equal(out.read(), BLURRED)


def test_a_patch_that_could_not_be_written_is_not_recorded(tmp_path):
    data = np.zeros(SOURCE.shape, "u1")
    grid, journal = PatchGrid(SOURCE.shape, (6, 10)), tmp_path / "journal"

    def function(data, patch):
        return np.full(patch.write.shape, 256 if patch.index else 255)

    with pytest.raises(ConfigError, match="cannot hold"):
        run_blockwise(grid, function, from_numpy(SOURCE), memory(data), journal)
    assert journal.read_text().splitlines()[1:] == ["0"]


def test_records_follow_the_voxels(tmp_path):
    """Seen from outside: when the record appears, what was written can be read by another process."""
    out = stored(tmp_path / "out.zarr", (2, 5))
    grid, journal = PatchGrid(SOURCE.shape, (2, 5)), tmp_path / "journal"

    def look(done, total):
        lines = journal.read_text().splitlines()[1:]
        assert len(lines) == done
        for box in (grid[int(line)].write for line in lines):
            other = open_array({"type": "zarr", "file_name": str(tmp_path / "out.zarr")})
            np.testing.assert_array_equal(other[box.slices], SOURCE[box.slices])

    run_blockwise(grid, Calls(), from_numpy(SOURCE), out, journal, progress=look)


def test_every_record_is_synchronised(tmp_path, monkeypatch):
    journal, synchronised, fsync = tmp_path / "journal", [], os.fsync

    def spy(file):
        fsync(file)
        if journal.exists() and os.path.sameopenfile(file, opened):
            synchronised.append(os.fstat(file).st_size)

    grid = PatchGrid(SOURCE.shape, (6, 5))
    arrays = from_numpy(SOURCE), memory(np.zeros_like(SOURCE))
    run_blockwise(grid[:0], Calls(), *arrays, journal)
    empty = journal.stat().st_size
    opened = os.open(journal, os.O_RDONLY)
    monkeypatch.setattr(os, "fsync", spy)
    run_blockwise(grid, Calls(), *arrays, journal)
    os.close(opened)
    assert synchronised == [empty + 2 * (i + 1) for i in range(4)]


def test_a_journal_that_cannot_be_written(tmp_path):
    grid, out = PatchGrid(SOURCE.shape, (6, 5)), memory(np.zeros_like(SOURCE))
    with pytest.raises(SourceError, match=r"nowhere/journal: the journal cannot be written"):
        run_blockwise(grid, Calls(), from_numpy(SOURCE), out, tmp_path / "nowhere" / "journal")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "unet-2"}, "another name"),
        ({"pad": "reflect"}, "another pad"),
        ({"grid": PatchGrid(SOURCE.shape, (6, 5), context=1)}, "another grid"),
        ({"read": from_numpy(SOURCE.astype("f4"))}, "another read"),
        ({"write": memory(np.zeros(SOURCE.shape, "f4"))}, "another write"),
        ({"read": {"raw": from_numpy(SOURCE)}, "name": "b"}, "another name and read"),
    ],
)
def test_another_run_s_journal_is_refused(tmp_path, change, message):
    journal = tmp_path / "journal"
    run = {
        "grid": PatchGrid(SOURCE.shape, (6, 10), context=1),
        "function": lambda x, _: x["raw"] if isinstance(x, dict) else x,
        "read": from_numpy(SOURCE),
        "write": memory(np.zeros_like(SOURCE)),
        "pad": "edge",
        "name": "unet",
        "journal": journal,
    }
    assert run_blockwise(**run) == 2
    before = journal.read_bytes()
    with pytest.raises(SourceError, match=f"of another run .*{message}.*remove this one"):
        run_blockwise(**run | change)
    assert journal.read_bytes() == before
    assert run_blockwise(**run | {"grid": run["grid"].ordered_by((1, 1)), "threads": 2}) == 0
    assert run_blockwise(**run | {"grid": run["grid"][1:]}) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a journal"),
        (b"12 patches\n", "not a journal"),
        (b"[1]\n", "not a journal"),
        (b"{}", "not a journal"),
        ("", "another version"),
        ("1\n7x\n", "corrupt .*7x"),
        ("1\n\n", "corrupt"),
        ("-1\n", "corrupt"),
        ("2\n", "corrupt .*numbers below 2"),
    ],
)
def test_journals_that_are_none(tmp_path, content, message):
    journal = tmp_path / "journal"
    run = (
        PatchGrid(SOURCE.shape, (6, 10)),
        Calls(),
        from_numpy(SOURCE),
        memory(np.zeros_like(SOURCE)),
        journal,
    )
    run_blockwise(*run)
    header = journal.read_text().splitlines()[0]
    if message == "another version":
        header = json.dumps(json.loads(header) | {"key": "0"})
    if isinstance(content, str):
        content = f"{header}\n{content}".encode()
    journal.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        run_blockwise(*run)
    assert journal.read_bytes() == content


def test_a_record_without_an_end_is_forgotten(tmp_path):
    journal, calls = tmp_path / "journal", Calls()
    grid = PatchGrid(SOURCE.shape, (1, 10))
    run = (grid, calls, from_numpy(SOURCE), memory(np.zeros_like(SOURCE)), journal)
    run_blockwise(*run)
    whole = journal.read_text()
    assert whole.endswith("\n10\n11\n")
    journal.write_text(whole[:-2])  # of 11 the first digit is there
    calls.numbers.clear()
    assert run_blockwise(*run) == 1
    assert calls.numbers == [11]
    assert journal.read_text() == whole


# What cannot be done


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"threads": 0}, ConfigError, "threads=0"),
        ({"pad": "mirror"}, ConfigError, "unknown way to pad"),
        ({"write": from_numpy(SOURCE)}, WriteError, "mode: r\\+"),
        ({"write": memory(np.zeros((12, 9)))}, RegionError, "covers more than the array"),
        ({"function": lambda x, _: x[1:]}, RegionError, "do not fit the patch"),
        ({"function": lambda x, _: {"a": x}, "write": {"b": memory(SOURCE.copy())}}, RegionError, "did not return"),
        ({"function": lambda x, _: x, "write": {"b": memory(SOURCE.copy())}}, RegionError, "ndarray"),
        ({"grid": PatchGrid(SOURCE.shape, (6, 5), context=1)}, RegionError, "leaves the array"),
    ],
)  # fmt: skip
def test_errors(tmp_path, change, error, message):
    run = {
        "grid": PatchGrid(SOURCE.shape, (6, 5)),
        "function": lambda x, _: x,
        "read": from_numpy(SOURCE),
        "write": memory(np.zeros_like(SOURCE)),
    }
    with pytest.raises(error, match=message):
        run_blockwise(**run | change)


def test_voxels_of_another_size_are_not_written():
    grid = PatchGrid(Roi((0, 0), (12, 10)), (6, 5), voxel_size=(1, 1))
    coarse = memory(np.zeros((6, 5)), voxel_size=(2, 2))
    with pytest.raises(RegionError, match=r"other voxels .*in the voxels of what is written"):
        run_blockwise(grid, lambda x, _: x, from_numpy(SOURCE), coarse)


def test_few_patches_are_under_way_however_many_there_are():
    """Were they counted, or made, before the first is done, this would not end."""
    grid = PatchGrid((10**8,), (1,))
    lock, under_way, most = threading.Lock(), set(), []

    def function(data, patch):
        with lock:
            under_way.add(patch.index)
            most.append(len(under_way))
        try:
            if len(most) > 300:
                raise StopIteration
            return data + 1
        finally:
            with lock:
                under_way.remove(patch.index)

    out = np.zeros(10**8, "u1")  # of which few pages are ever touched
    ones = np.broadcast_to(np.uint8(1), out.shape)
    with pytest.raises(StopIteration):
        run_blockwise(grid, function, from_numpy(ones), memory(out), threads=3)
    assert max(most) <= 3
    assert 290 <= np.count_nonzero(out[:1000] == 2) <= 300
    assert not out[1000:2000].any()
