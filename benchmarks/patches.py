"""Measure patches per second: ``python benchmarks/patches.py`` (``--smoke`` only shows that everything runs and agrees).

One volume and one list of patches, read by this package and by others in one run, in turns; shown are patches per second, of the least and of the median time, and how many
times as long as the fastest each takes. All have a cache of half the volume, where they have one. What they read is compared before anything is timed.
Programs that are neither installed here nor in the environment of `make peers` are named.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
import zarr
from numpy.typing import NDArray

import dacapo_like
from dacapo_like import Array, Roi, tensorstores
from dacapo_like.geometry import Box
from dacapo_like.patches.extract import extract
from dacapo_like.patches.grid import PatchGrid

Voxels = NDArray[Any]
Read = Callable[[Box], Voxels]
Reader = Callable[[Sequence[Box]], Iterator[Voxels]]
Readers = dict[str, Reader]

ROOT = Path(__file__).parent.parent
CHUNK, VOXEL = 64, 4
IN_FLIGHT = 4
BRIGHT = list(range(32, 64))
IS_BRIGHT = np.isin(np.arange(256), BRIGHT).astype(np.uint8)


def scaled(voxels: Voxels) -> Voxels:
    return voxels.astype(np.float32) / np.float32(255)


def masked(voxels: Voxels) -> Voxels:
    return IS_BRIGHT[voxels]


TASKS: dict[str, Callable[[Voxels], Voxels]] = {
    "as stored": lambda voxels: voxels,
    "as stored, through a DataLoader of torch": lambda voxels: voxels,
    "cropped, intensities from 0 to 1": scaled,
    "cropped, a mask of some labels": masked,
}
"""What is made of patches."""

STORED, LOADED, SCALED, MASKED = TASKS


def write(folder: Path, edge: int) -> Path:
    """Write an image that compresses somewhat, as OME-Zarr 0.5, which all can read."""
    path = folder / "volume.zarr"
    scale = [{"type": "scale", "scale": [float(VOXEL)] * 3}]
    image = {
        "name": "volume",
        "axes": [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"],
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
    }
    attributes = {"ome": {"version": "0.5", "multiscales": [image]}}
    group = zarr.create_group(path, attributes=attributes)
    options = {"dtype": "uint8", "chunks": (CHUNK,) * 3, "dimension_names": list("zyx")}
    array = group.create_array("0", shape=(edge,) * 3, **options)
    rng = np.random.default_rng(0)
    for z in range(0, edge, CHUNK):
        array[z : z + CHUNK] = rng.integers(0, 64, (CHUNK, edge, edge), "uint8")
    return path


def one_by_one(read: Read) -> Reader:
    return lambda boxes: map(read, boxes)


def in_flight(start: Callable[[Box], Any]) -> Reader:
    """Ask for some patches before the first of them is there."""

    def read(boxes: Sequence[Box]) -> Iterator[Voxels]:
        rest = iter(boxes)
        waiting = deque(map(start, islice(rest, IN_FLIGHT)))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(map(start, islice(rest, 1)))

    return read


def of_ours(path: Path, edge: int) -> dict[str, Readers]:
    document = {"type": "zarr", "file_name": str(path)}
    raw = dacapo_like.open_array(document)
    inner = Roi((VOXEL,) * 3, ((edge - 1) * VOXEL,) * 3)
    bright = dacapo_like.open_array(document | {"kind": "labels"}).crop(inner)
    pool = ThreadPoolExecutor(IN_FLIGHT)

    def both(read: Read) -> Readers:
        threads = in_flight(lambda box: pool.submit(read, box))
        return {"ours": one_by_one(read), f"ours, {IN_FLIGHT} threads": threads}

    def cropped(array: Array) -> Readers:
        return both(lambda box: extract(array, box.shifted((-1,) * 3)))

    return {
        STORED: both(lambda box: extract(raw, box)),
        SCALED: cropped(raw.crop(inner).intensities(min=0, max=255)),
        MASKED: cropped(bright.binarize({"bright": BRIGHT})),
    }


def of_tensorstore(path: Path, cache: int) -> dict[str, Readers]:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/0/"}}
    context = ts.Context({"cache_pool": {"total_bytes_limit": cache}})
    store = ts.open(spec, context=context, read=True).result()

    def read(box: Box) -> Voxels:
        return np.asarray(store[box.slices].read().result())

    asked = in_flight(lambda box: store[box.slices].read())

    def then(make: Callable[[Voxels], Voxels]) -> Readers:
        return {
            "TensorStore, and numpy": one_by_one(lambda box: make(read(box))),
            f"TensorStore, {IN_FLIGHT} in flight, and numpy": lambda boxes: map(make, asked(boxes)),
        }

    stored = {"TensorStore": one_by_one(read), f"TensorStore, {IN_FLIGHT} in flight": asked}
    return {STORED: stored, SCALED: then(scaled), MASKED: then(masked)}


def of_zarr(path: Path) -> Read:
    array = zarr.open_array(path / "0", mode="r")
    return lambda box: np.asarray(array[box.slices])


def required(program: str) -> None:
    """Refuse what is not there, or only as a stand-in for others."""
    spec = importlib.util.find_spec(program)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {program!r}")


def of_careamics(path: Path) -> Read:
    required("careamics")
    stack_type = importlib.import_module("run_careamics").ZarrImageStack  # without torch
    stack = stack_type(zarr.open_group(path, mode="r"), "0", "ZYX")
    return lambda box: stack.extract_patch(0, None, box.offset, box.shape)[0]


def of_zarrnii(path: Path) -> Read:
    required("zarrnii")
    image = importlib.import_module("zarrnii").ZarrNii.from_ome_zarr(str(path))
    units = dict.fromkeys("xyz", "nanometer")

    def read(box: Box) -> Voxels:
        corner = zip(*box, strict=True)
        center = [VOXEL * (first + n / 2) for first, n in corner]  # what it rounds is the corner
        patch = image.crop_centered(tuple(center[::-1]), box.shape[::-1], centers_units=units)
        return np.asarray(patch.data.compute()).reshape(box.shape)

    return read


def of_biapy(path: Path) -> Read:
    required("biapy")
    importlib.import_module("run_careamics").without_its_init("biapy", "biapy.data")
    module = importlib.import_module("biapy.data.data_3D_manipulation")
    array = zarr.open_array(path / "0", mode="r")

    def read(box: Box) -> Voxels:
        ends = zip("zyx", box.offset, box.end, strict=True)
        place = {
            f"{axis}_{end}": n
            for axis, *both in ends
            for end, n in zip(("start", "end"), both, strict=True)
        }
        patch = module.extract_patch_from_efficient_file(array, module.PatchCoords(**place), "ZYX")
        return np.asarray(patch[..., 0])

    return read


OTHERS: dict[str, Callable[[Path], Read]] = {
    "zarr-python": of_zarr,
    "CAREamics, ZarrImageStack": of_careamics,
    "ZarrNii, crop_centered": of_zarrnii,
    "BiaPy, extract_patch_from_efficient_file": of_biapy,
}


def find_peers() -> None:
    """Let programs of the environment of `make peers` be imported; what is here goes first."""
    sys.path.append(str(ROOT / "tests" / "peers"))
    folder = Path(os.environ.get("DACAPO_LIKE_PEERS_FORMATS", ROOT / ".venv-formats"))
    sys.path += map(str, folder.glob("lib/python3.*/site-packages"))
    optional = {
        "zarrnii": "PIL hdf5plugin itkwasm_downsample pandas requests wasmtime",
        "biapy": "cloudvolume h5py tensorboardX torch tqdm yacs z5py",
    }
    absent = importlib.import_module("absent")
    for program, names in optional.items():
        if importlib.util.find_spec(program) is not None:
            absent.do_without(*(n for n in names.split() if importlib.util.find_spec(n) is None))


def readers(path: Path, edge: int, cache: int) -> dict[str, Readers]:
    """Give all that can read here, by what they make of patches; name the others."""
    found = of_ours(path, edge)
    for task, some in of_tensorstore(path, cache).items():
        found[task] |= some
    for name, make in OTHERS.items():
        try:
            found[STORED][name] = one_by_one(make(path))
        except ImportError as error:
            print(f"absent: {name} ({error})")
    found[LOADED] = through_loaders(found[STORED])
    return found


def through_loaders(found: Readers) -> Readers:
    """Give a DataLoader of torch over each that reads one patch after the other, in batches of one."""
    try:
        required("torch")
    except ImportError as error:
        print(f"absent: torch ({error})")
        return {}
    loader = importlib.import_module("torch.utils.data").DataLoader

    class Patches:
        def __init__(self, reader: Reader, boxes: Sequence[Box]) -> None:
            self.reader, self.boxes = reader, boxes

        def __len__(self) -> int:
            return len(self.boxes)

        def __getitem__(self, index: int) -> Voxels:
            return next(self.reader([self.boxes[index]]))

    def through(reader: Reader) -> Reader:
        return lambda boxes: (batch[0].numpy() for batch in loader(Patches(reader, boxes)))

    return {name: through(found[name]) for name in found if str(IN_FLIGHT) not in name}


def check(found: dict[str, Readers], boxes: Sequence[Box], stored: Any) -> None:
    """Compare what all of them read."""
    for task, some in found.items():
        expected = [TASKS[task](np.asarray(stored[box.slices])) for box in boxes]
        for name, reader in some.items():
            for voxels, read in zip(expected, reader(boxes), strict=True):
                np.testing.assert_allclose(
                    read.reshape(voxels.shape), voxels, rtol=1e-6, err_msg=f"{task}: {name}"
                )


def race(some: Readers, boxes: Sequence[Box], repeats: int) -> None:
    """Time all of them, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in some}
    for _ in range(repeats):
        for name, reader in some.items():
            start = time.perf_counter()
            deque(reader(boxes), maxlen=0)
            seconds[name].append(time.perf_counter() - start)
    least = {name: min(values) for name, values in seconds.items()}
    for name in sorted(least, key=lambda name: least[name]):
        median = len(boxes) / statistics.median(seconds[name])
        print(
            f"    {name:42} {len(boxes) / least[name]:8.1f} {median:8.1f} patches/s, "
            f"{least[name] / min(least.values()):6.2f} times the fastest"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    edge, size, number, repeats = (160, 40, 4, 1) if smoke else (512, 80, 100, 5)
    warnings.simplefilter("ignore")  # those of others
    find_peers()
    cache = tensorstores.CACHE_BYTES = edge**3 // 2
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), edge)
        found = readers(path, edge, cache)
        inner = PatchGrid((edge - 2,) * 3, (size,) * 3, overlap=0.5)
        drawn = np.random.default_rng(1).integers(1, edge - 1 - size, (number, 3)).tolist()
        workloads = {
            "side by side": [patch.box.shifted((1,) * 3) for patch in inner[:number]],
            "anywhere": [Box(tuple(corner), (size,) * 3) for corner in drawn],
        }
        for name, boxes in workloads.items():
            check(found, boxes[:3], zarr.open_array(path / "0", mode="r"))
            print(f"{number} patches of {size}^3 out of {edge}^3, {name}:")
            for task, some in found.items():
                if some:
                    print(f"  {task}")
                    race(some, boxes, repeats)


if __name__ == "__main__":
    main()
