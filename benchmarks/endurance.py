"""Threads and processes that read one tree at random, for long: ``python -m benchmarks.endurance``.

The tree is composed of a Zarr, an HDF5 and a NIfTI file: cropped, merged, resampled, scaled, and put together as channels. Every region
that is read is compared with what numpy makes of the same voxels. Open files and memory are counted all the while.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import nibabel
import numpy as np
from numpy.typing import NDArray

import dacapo_like
from dacapo_like import from_numpy, open_array
from dacapo_like.geometry import Box

SHAPE = (64, 96, 96)
CHUNKS = (16, 32, 32)
STRIDE = 100
CUT = (slice(4, 60), slice(8, 88), slice(8, 88))
MOST = (4, 8, 8)
CACHE_BYTES = 2**21
WARM = 0.25
TELL = 60  # seconds


class Seen(NamedTuple):
    """What was seen at a time.

    Attributes
    ----------
    reads : int
        Done so far.
    resident : int
        Bytes of memory of the process.
    handles : int
        Its open files.
    """

    reads: int
    resident: int
    handles: int


class Report(NamedTuple):
    """What came of a run.

    Attributes
    ----------
    reads : int
        How many.
    seconds : float
        They took.
    wrong : list of str
        Regions whose voxels were others than numpy's, and errors.
    growth : float
        Of memory: the most after the first quarter, as a share of what there was at its end, less 1.
    handles : tuple of int
        Open files at the end of the first quarter, and the most behind it.
    """

    reads: int
    seconds: float
    wrong: list[str]
    growth: float
    handles: tuple[int, int]

    def text(self) -> str:
        """Write it in a line."""
        return (
            f"{self.reads} reads in {self.seconds:.0f} s, {len(self.wrong)} wrong; memory {100 * self.growth:+.1f} %, "
            f"open files {self.handles[0]}, at most {self.handles[1]}"
        )


def write(folder: Path) -> None:
    """Write the files."""
    image, first, second, volume = _voxels()
    grid = {"voxel_size": (4, 4, 4), "units": "nm"}
    from_numpy(image, **grid).save(folder / "image.zarr", chunks=CHUNKS, levels=1)
    with h5py.File(folder / "labels.h5", "w") as file:
        file.create_dataset("first", data=first, chunks=CHUNKS, compression="gzip")
        file.create_dataset("second", data=second, chunks=CHUNKS, compression="lzf")
    nibabel.save(nibabel.Nifti1Image(volume.transpose(), np.eye(4)), folder / "volume.nii")
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))  # what was written just now is not kept


def _voxels() -> list[NDArray[Any]]:
    draws = np.random.default_rng(0)
    return [
        draws.integers(1, 200, SHAPE).astype("uint8"),
        draws.integers(0, 3, SHAPE).astype("uint16"),
        draws.integers(0, 4, SHAPE).astype("uint16"),
        draws.integers(-100, 100, SHAPE).astype("int16"),
    ]


def document(folder: Path) -> dict[str, Any]:
    """Give the document of the tree."""
    grid = {"axes": ["z", "y", "x"], "voxel_size": [4, 4, 4], "offset": [0, 0, 0], "units": "nm"}
    hdf5 = {"type": "hdf5", "file_name": str(folder / "labels.h5"), "kind": "labels", **grid}
    merged = {
        "type": "merge_instances",
        "sources": [hdf5 | {"dataset": name} for name in ("first", "second")],
        "id_stride": STRIDE,
    }
    image = {"type": "zarr", "file_name": str(folder / "image.zarr"), "kind": "image"}
    volume = {"type": "nifti", "file_name": str(folder / "volume.nii"), "kind": "image", **grid}

    def part(source: dict[str, Any], method: str) -> dict[str, Any]:
        roi = {
            "offset": [4 * part.start for part in CUT],
            "shape": [4 * (part.stop - part.start) for part in CUT],
        }
        cropped = {"type": "crop", "source": source, "roi": roi}
        return {
            "type": "resampled",
            "source": cropped,
            "downsample": [2, 2, 2],
            "method": method,
        }

    def as_float(source: dict[str, Any]) -> dict[str, Any]:
        return {"type": "astype", "source": source, "dtype": "float32"}

    return {
        "type": "concat",
        "channels": ["image", "labels", "volume"],
        "sources": {
            "image": {"type": "intensities", "source": part(image, "max"), "min": 0, "max": 255},
            "labels": as_float(part(merged, "stride")),
            "volume": as_float(part(volume, "min")),
        },
    }


def expected() -> NDArray[np.float32]:
    """Give all voxels of the tree, as numpy makes them."""
    image, first, second, volume = (voxels[CUT] for voxels in _voxels())
    merged = np.where(first > 0, first, np.where(second > 0, second + STRIDE, 0))
    cells = [n // 2 for n in image.shape]

    def in_cells(voxels: NDArray[Any]) -> NDArray[Any]:
        return voxels.reshape([n for cell in cells for n in (cell, 2)])

    parts = (
        in_cells(image).max((1, 3, 5)).astype("float32") / np.float32(255),
        merged[::2, ::2, ::2],
        in_cells(volume).min((1, 3, 5)),
    )
    return np.stack(parts).astype("float32")


def run(folder: Path, threads: int, reads: int, seed: int = 0) -> Report:
    """Read the tree in threads of this process; `reads` are those of each."""
    array, truth = open_array(document(folder)), expected()
    wrong: list[str] = []
    done = [0] * threads

    def work(number: int) -> None:
        draws = np.random.default_rng((seed, number))
        for _ in range(reads):
            box = _box(draws, truth.shape)
            try:
                same = np.allclose(array.read_box(box), truth[box.slices], rtol=1e-6, atol=0)
                if not same:
                    wrong.append(str(box))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for here
                wrong.append(f"{box}: {error!r}")
            done[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    seen = list(_watched(workers, lambda: sum(done), threads * reads))
    return _reported(seen, time.perf_counter() - start, wrong)


def _box(draws: np.random.Generator, shape: tuple[int, ...]) -> Box:
    size = [int(draws.integers(1, n + 1)) for n in MOST]
    offset = [int(draws.integers(0, n - s + 1)) for n, s in zip(shape[1:], size, strict=True)]
    return Box((0, *offset), (shape[0], *size))


def _watched(workers: list[threading.Thread], done: Callable[[], int], most: int) -> Any:
    """Look at the process while threads work, and say now and then how far they are."""
    told = time.monotonic()
    while any(worker.is_alive() for worker in workers):
        yield (seen := Seen(done(), resident(), handles()))
        if time.monotonic() > told + TELL:
            told = time.monotonic()
            print(f"{seen.reads} of {most} reads, {seen.resident >> 20} MiB, {seen.handles} files")
        time.sleep(0.05 if most < 10_000 else 0.5)
    yield Seen(done(), resident(), handles())


def _reported(seen: list[Seen], seconds: float, wrong: list[str]) -> Report:
    reads = seen[-1].reads
    warm = next(i for i, one in enumerate(seen) if one.reads >= WARM * reads)
    before, behind = seen[warm], seen[warm:]
    growth = max(one.resident for one in behind) / before.resident - 1
    return Report(
        reads, seconds, wrong, growth, (before.handles, max(one.handles for one in behind))
    )


def resident() -> int:
    """Give the memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def handles() -> int:
    """Give the number of files that this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def run_in_processes(
    folder: Path, method: str, processes: int, threads: int, reads: int
) -> list[Report]:
    """Read the tree in processes that are started by a method; forked ones start with what this one has open."""
    if method == "fork":
        open_array(document(folder)).read()
    context = multiprocessing.get_context(method)
    with context.Pool(processes) as pool:
        work = partial(_in_process, folder, threads, reads, dacapo_like.settings.current())
        return pool.map(work, range(1, processes + 1), chunksize=1)


def _in_process(folder: Path, threads: int, reads: int, now: Any, seed: int) -> Report:
    dacapo_like.configure(cache_bytes=now.cache_bytes, open_files=now.open_files)
    return run(folder, threads, reads, seed)


def main() -> int:
    """Run all three, and say what came of it; a failure is anything wrong, a leak, or memory that grows by a tenth."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--reads", type=int, default=10_000, help="of each thread")
    parser.add_argument("--processes", type=int, default=4)
    options = parser.parse_args()
    dacapo_like.configure(cache_bytes=CACHE_BYTES)
    each = max(options.threads // options.processes, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        alone = run(folder, options.threads, options.reads)
        reports = {f"{options.threads} threads": [alone]}
        print(*reports, alone.text(), sep="\n  ", flush=True)
        for method in ("spawn", "fork"):
            title = f"{options.processes} processes ({method}) of {each} threads"
            found = run_in_processes(
                folder, method, options.processes, each, options.reads // options.processes
            )
            reports[title] = found
            print(title, *(report.text() for report in found), sep="\n  ", flush=True)
    all_found = [report for found in reports.values() for report in found]
    failed = [r for r in all_found if r.wrong or r.growth > 0.1 or r.handles[1] > r.handles[0] + 64]
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
