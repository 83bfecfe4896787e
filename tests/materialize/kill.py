"""Kills what materialises a volume, at random points, and goes on: FOLDER EDGE KILLS [SEED [PAUSE [TARGETS]]].

What is killed, with SIGKILL, is the driver that does all by itself (``alone``), or, where a scheduler and two workers run as processes of
their own, the ``driver``, a ``worker`` or the ``scheduler``. After every kill the same call goes on, and may be killed again; once one is
through, its tree has to be the undisturbed one's, byte for byte. No file of a block that the journal had as done may be written again, and
no voxel of it read. By hand, as for the figures in the documentation: ``python tests/materialize/kill.py /tmp/kill 512 100``.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import dacapo_like
from dacapo_like.materialize.journal import Journal
from dacapo_like.materialize.sweeps import Sweep
from dacapo_like.materialize.workspace import workspace_of

HERE = Path(__file__).parent
PATIENCE = 300.0
SAID = tempfile.TemporaryFile()  # noqa: SIM115  # ends with this process
TARGETS = ("alone", "driver", "worker", "scheduler")


def start(*command: Any) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=SAID,
        env={**os.environ, "DACAPO_LIKE_CACHE_BYTES": "32MiB", "OMP_NUM_THREADS": "1"},
    )
    atexit.register(process.kill)  # after a failure, too
    return process


def wait_for(ready: Any, running: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while not ready() and running.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)


def tree(folder: Path) -> str:
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        found.update(f"{file.relative_to(folder)}\n".encode())
        if file.is_file():
            found.update(file.read_bytes())
    return found.hexdigest()


class DaskCluster:
    """A scheduler and two workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.file.unlink(missing_ok=True)
        module = ("-m", "distributed.cli.dask_scheduler")
        self.scheduler = start(
            *module, "--port", 0, "--no-dashboard", "--scheduler-file", self.file
        )
        wait_for(self.file.exists, self.scheduler)
        self.workers = [self._worker() for _ in range(2)]
        self.address = self._address()

    def _address(self) -> str:
        while True:
            try:
                return str(json.loads(self.file.read_text())["address"])
            except ValueError:
                time.sleep(0.01)

    def _worker(self) -> subprocess.Popen[bytes]:
        module = ("-m", "distributed.cli.dask_worker", "--scheduler-file", self.file)
        preload = ("--preload", HERE / "logged.py", "--local-directory", self.file.parent / "dask")
        return start(*module, "--nthreads", 1, "--no-nanny", "--no-dashboard", *preload)

    def kill_worker(self) -> None:
        kill(self.workers.pop(0))
        self.workers.append(self._worker())

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


class Runs:
    """Runs of one document into one target."""

    def __init__(self, folder: Path, edge: int, pause: float) -> None:
        self.folder = folder
        self.path = folder / "out.zarr"
        self.log = folder / "log"
        self.space = workspace_of(self.path)
        source = folder / f"source{edge}.zarr"
        if not source.exists():
            rng = np.random.default_rng(0)
            coarse = rng.integers(0, 200, (edge // 16,) * 3, dtype="uint8")
            voxels = np.kron(coarse, np.ones((16,) * 3, "uint8"))
            voxels += rng.integers(0, 8, voxels.shape, dtype="uint8")
            voxels[: edge // 4, : edge // 4] = 0  # files that are not there
            dacapo_like.from_numpy(voxels).to_ome_zarr(source, levels=1, chunks=(64,) * 3)
        stored = {"type": "zarr", "file_name": str(source)}
        self.asked = {
            "document": {"type": "logged", "source": stored, "log": str(self.log), "pause": pause},
            "path": str(self.path),
            "levels": 4,
            "chunks": [max(edge // 16, 8)] * 3,
        }

    def drive(self, **more: Any) -> subprocess.Popen[bytes]:
        return start(HERE / "drive.py", json.dumps(self.asked | more))

    def clean(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self.space, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def finish(self, **more: Any) -> None:
        SAID.truncate(0)
        process = self.drive(**more)
        if process.wait(PATIENCE) != 0:
            SAID.seek(0)
            raise AssertionError(SAID.read().decode(errors="replace"))

    def done(self) -> tuple[dict[str, tuple[int, int]], list[tuple[int, ...]]]:
        """Give the files of the blocks that the journal has, with what changes when one is written, and the boxes of the first sweep."""
        try:
            run = json.loads((self.space / "run.json").read_text())
            heading = (self.space / "journal").read_bytes()[: len(run["key"])]
        except FileNotFoundError:
            return {}, []
        if heading != run["key"].encode():
            return {}, []
        sweeps = [Sweep.loaded(each) for each in run["sweeps"]]
        copy = self.folder / "journal"
        shutil.copy(self.space / "journal", copy)
        journal = Journal(copy, run["key"], [sweep.total for sweep in sweeps])
        journal.close()
        files, boxes = {}, []
        for sweep, block, *_ in journal.entries():
            if sweep == 0:
                box = sweeps[0].block(block)
                boxes.append((*box.offset, *box.end))
            for level, box in level_boxes(sweeps[sweep], block):
                size = run["run"]["options"]["chunks"]
                ranges = [
                    range(a // n, -(-b // n)) for a, b, n in zip(box[0], box[1], size, strict=True)
                ]
                for index in np.ndindex(*map(len, ranges)):
                    name = "/".join(str(r[i]) for r, i in zip(ranges, index, strict=True))
                    file = self.space / "data" / str(level) / "c" / name
                    if file.exists():
                        files[f"{level}/c/{name}"] = (file.stat().st_ino, file.stat().st_mtime_ns)
        return files, boxes

    def read(self, since: int) -> list[tuple[int, ...]]:
        """Give the boxes that were read, from a place in the log on."""
        if not self.log.exists():
            return []
        lines = self.log.read_bytes()[since:].splitlines()
        found = [tuple(map(int, line.split())) for line in lines]
        return [
            (*box[:3], *(a + n for a, n in zip(box[:3], box[3:], strict=True))) for box in found
        ]

    def log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0


def level_boxes(sweep: Sweep, block: int) -> Any:
    """Give what a block writes of every level; the factors are 2, and the edges powers of 2."""
    box = sweep.block(block)
    for level in range(sweep.level, sweep.last + 1):
        by = 2 ** (level - sweep.level)
        if level in sweep.writes:
            yield level, ([a // by for a in box.offset], [b // by for b in box.end])


def overlaps(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(a[i] < b[i + 3] and b[i] < a[i + 3] for i in range(3))


def main(
    folder: str, edge: str, kills: str, seed: str = "0", pause: str = "0", targets: str = ""
) -> None:
    draw = random.Random(int(seed))
    runs = Runs(Path(folder), int(edge), float(pause))
    wanted = targets.split(",") if targets else list(TARGETS)
    runs.clean()
    begin = time.monotonic()
    process = runs.drive()
    wait_for(runs.space.exists, process)
    began = time.monotonic()
    assert process.wait(PATIENCE) == 0
    lasts = time.monotonic() - began
    expected, found = tree(runs.path), Counter[str]()
    runs.clean()
    cluster: DaskCluster | None = None
    done_before = 0
    while sum(found[target] for target in wanted) < int(kills):
        target = wanted[sum(found[t] for t in wanted) * len(wanted) // int(kills)]
        if target == "alone":
            more: dict[str, Any] = {"threads": 2}
        else:
            cluster = cluster or DaskCluster(runs.folder)
            more = {"scheduler": cluster.address}
        files, boxes = runs.done()
        since = runs.log_size()
        done_before += len(boxes)
        process = runs.drive(**more)
        known = len(boxes)
        if target == "alone" and found[target] % 2:
            wait_for(lambda: (runs.space / "run.json").exists() or runs.path.exists(), process)
        else:  # workers take their time to begin; and what is done before is to be seen
            wait_for(lambda n=known: len(runs.done()[1]) > n or runs.path.exists(), process)
        time.sleep(draw.uniform(0, lasts))
        if process.poll() is None:
            found[target] += 1
            if target in ("alone", "driver"):
                kill(process)
            elif target == "worker":
                cluster.kill_worker()
            else:
                kill(cluster.scheduler)
        code = process.wait(PATIENCE)
        if target == "worker":
            assert code == 0, "a run outlives its workers"
        place = runs.path if runs.path.exists() else runs.space / "data"
        for name, state in files.items():
            stat = (place / name).stat()
            assert (stat.st_ino, stat.st_mtime_ns) == state, f"{name} was written again"
        twice = [box for box in runs.read(since) if any(overlaps(box, done) for done in boxes)]
        if target != "driver":  # workers may still be busy with what a killed driver had asked for
            assert not twice, f"read again: {twice}"
        if target == "scheduler":
            cluster.close()
            cluster = None
        if runs.path.exists():  # it may have been killed when that was there already
            found["finished"] += 1
            assert tree(runs.path) == expected, "another tree"
            assert code != 0 or not runs.space.exists()
            runs.clean()
    if cluster is not None:
        cluster.close()
    runs.finish()
    assert tree(runs.path) == expected, "another tree"
    found["finished"] += 1
    runs.clean()
    seconds = round(time.monotonic() - begin)
    sys.stdout.write(json.dumps({**found, "kept": done_before, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
