"""How much is read, and how much memory is taken, for a small region of a large file.

A volume is written in each format by that format's own library; then 64³ voxels out of its middle, which touch eight chunks of 64³,
are read in a process of its own. Counted are the bytes read from files per byte of voxels asked for (what is mapped into memory is not
counted), and how much larger the process gets at most. Neither depends on how fast the machine is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import tifffile
import zarr

from benchmarks.results import Figure, Table, at_most
from benchmarks.running import Run

TITLE = "Bytes read for a region"
EDGE, REGION = 64, 64
MOST_GROWTH = at_most(50)  # MiB

_READ = """
import json, re, sys
from pathlib import Path
import dacapo_like

def bytes_read():
    return int(Path("/proc/self/io").read_text().split()[1])

def memory(kind):
    return int(re.search(kind + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

document, region = json.loads(sys.argv[1]), int(sys.argv[2])
array = dacapo_like.open_array(document)
corner = [n // 2 - 7 for n in array.shape[-3:]]
array[(..., *(slice(c, c + 1) for c in corner))]  # imports, and what is read once
Path("/proc/self/clear_refs").write_text("5")  # the most memory so far is forgotten
read, before = bytes_read(), memory("VmRSS")
voxels = array[(..., *(slice(c + 70, c + 70 + region) for c in corner))]
print(json.dumps([(bytes_read() - read) / voxels.nbytes, memory("VmHWM") - before]))
"""


def planes(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Give a volume plane by plane: noise, so that compression does not hide what is read."""
    rng = np.random.default_rng(0)
    size = shape[1] * shape[2]
    for _ in range(shape[0]):
        yield np.frombuffer(rng.bytes(2 * size), "uint16").reshape(shape[1:]) & 0xFFF


def write_nifti(path: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    header = nibabel.Nifti1Header()
    header.set_data_shape(shape[::-1])
    header.set_data_dtype("uint16")
    header["vox_offset"], header["magic"] = 352, b"n+1"
    with path.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        for plane in planes(shape):
            file.write(plane.tobytes())
    return {"type": "nifti"}


def write_tiff(path: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    tifffile.imwrite(path, planes(shape), shape=shape, dtype="uint16", bigtiff=True)
    return {"type": "tiff"}


def write_tiled_tiff(path: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    options = {"tile": (128, 128), "compression": "zlib", "compressionargs": {"level": 1}}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for plane in planes(shape):
            file.write(plane, contiguous=False, metadata=None, **options)
    return {"type": "tiff", "axes": ["z", "y", "x"]}


def write_imaris(path: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    def text(node: Any, name: str, value: object) -> None:
        node.attrs[name] = np.frombuffer(str(value).encode(), "S1")

    with h5py.File(path, "w") as file:
        info = file.create_group("DataSetInfo/Image")
        for i, (axis, n) in enumerate(zip("XYZ", shape[::-1], strict=True)):
            text(info, axis, n)
            text(info, f"ExtMin{i}", 0)
            text(info, f"ExtMax{i}", n)
        channel = file.create_group("DataSet/ResolutionLevel 0/TimePoint 0/Channel 0")
        for axis, n in zip("XYZ", shape[::-1], strict=True):
            text(channel, f"ImageSize{axis}", n)
        fill(channel, "Data", shape)
    return {"type": "imaris"}


def write_hdf5(path: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    with h5py.File(path, "w") as file:
        fill(file, "raw", shape)
    return {"type": "hdf5"}


def fill(parent: Any, name: str, shape: tuple[int, ...]) -> None:
    data = parent.create_dataset(name, shape, "uint16", chunks=(EDGE,) * 3)
    slab: list[np.ndarray] = []
    for z, plane in enumerate(planes(shape), start=1):
        slab.append(plane)
        if z % EDGE == 0:
            data[z - EDGE : z] = np.stack(slab)
            slab.clear()


def write_zarr(path: Path, shape: tuple[int, ...], **options: Any) -> dict[str, Any]:
    array = zarr.create_array(path, shape=shape, dtype="uint16", chunks=(EDGE,) * 3, **options)
    edge = options.get("shards", (EDGE,))[0]
    slab: list[np.ndarray] = []
    for z, plane in enumerate(planes(shape), start=1):
        slab.append(plane)
        if z % edge == 0:
            array[z - edge : z] = np.stack(slab)
            slab.clear()
    return {"type": "zarr"}


def write_sharded(path: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    return write_zarr(path, shape, shards=(4 * EDGE,) * 3)


def write_npy(path: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    voxels = np.lib.format.open_memmap(path, "w+", "uint16", shape)
    for z, plane in enumerate(planes(shape)):
        voxels[z] = plane
    voxels.flush()
    return {"type": "npy", "axes": ["z", "y", "x"]}


FORMATS: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
    "NIfTI": (".nii", write_nifti),
    "TIFF, pages as they are": (".tif", write_tiff),
    "TIFF, compressed tiles": (".tif", write_tiled_tiff),
    "Imaris": (".ims", write_imaris),
    "HDF5": (".h5", write_hdf5),
    "Zarr": (".zarr", write_zarr),
    "Zarr, sharded": (".zarr", write_sharded),
    "npy": (".npy", write_npy),
}


FEW = ("NIfTI", "TIFF, compressed tiles", "HDF5", "Zarr, sharded")


def measure(document: dict[str, Any], region: int) -> tuple[float, float]:
    command = [sys.executable, "-c", _READ, json.dumps(document), str(region)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ratio, growth = json.loads(done.stdout)
    return ratio, growth


def run(run: Run) -> Iterator[Table]:
    """Write, read and count, format by format."""
    edge = run.full(512, 256)
    lines = []
    for name in run.full(tuple(FORMATS), FEW):
        suffix, write = FORMATS[name]
        with tempfile.TemporaryDirectory(dir=run.folder) as folder:
            path = Path(folder) / f"a{suffix}"
            document = {"file_name": str(path)} | write(path, (edge,) * 3)
            ratio, growth = measure(document, REGION)
        if document["type"] == "npy":  # pages that are in memory already are shared, not added
            lines.append(Figure(name, "mapped into memory", 0, ""))
            continue
        lines += [
            Figure(name, "bytes read per byte asked for", ratio, ""),
            Figure(name, "larger process", growth, "MiB", MOST_GROWTH, exact=True),
        ]
    yield Table(f"{REGION}³ voxels out of {edge}³ of uint16, {edge**3 * 2 / 1e9:.1f} GB", lines)
