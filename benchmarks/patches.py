"""How many patches a second come out of one source, and out of a composed tree.

Every way reads the same 64³ boxes, in the same order, others in each turn: anywhere, or the overlapping ones of a grid, whose
neighbours share chunks. What keeps decoded chunks keeps as many bytes as half of the data. *4 in flight*: the next four boxes are
asked for before the first of them is there, which `array.read_each` does by itself. Through a DataLoader of torch a batch is eight
patches, asked for together; workers are processes, started before anything is timed.

Programs that need zarr-python read an OME-Zarr 0.5, uncached, as they do when they are used as their documentation says.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zarr

import dacapo_like
from benchmarks.composed import OURS as OUR_TREE
from benchmarks.composed import tree
from benchmarks.measuring import Timing, race, timed
from benchmarks.reading.asking import Reading, check
from benchmarks.reading.serving import Box
from benchmarks.results import Bound, Row, Table, at_least, beside
from benchmarks.running import Run
from benchmarks.volumes import CHUNK, VOXEL, compressor, image, random_boxes
from dacapo_like import Array
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.sampler import PatchSampler

TITLE = "Patches per second"
OURS, ONE = "read_each", "dacapo_like, one after the other"
FLYING = "TensorStore, 4 in flight"
KERNELS = "TensorStore, 4 in flight, then our kernels"
PEERS = (
    "CAREamics, ZarrImageStack",
    "ZarrNii, crop_centered",
    "BiaPy, extract_patch_from_efficient_file",
)
SOURCE_WANTED, TREE_WANTED = at_least(1.0), at_least(1.25)
LOADED_WANTED, WORKERS_WANTED = at_least(1.0), at_least(1.7)
UNIT = "patches"
ANYWHERE = "anywhere"
MARGIN = 2


def write(folder: Path, edge: int) -> Path:
    """Write an image as OME-Zarr 0.5, which all can read."""
    path = folder / "patches.zarr"
    if path.exists():
        return path
    scale = [{"type": "scale", "scale": [float(VOXEL)] * 3}]
    multiscale = {
        "name": "volume",
        "axes": [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"],
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
    }
    attributes = {"ome": {"version": "0.5", "multiscales": [multiscale]}}
    group = zarr.create_group(path, attributes=attributes)
    array = group.create_array(
        "0",
        shape=(edge,) * 3,
        chunks=(CHUNK,) * 3,
        dtype="uint8",
        dimension_names=list("zyx"),
        compressors=compressor("zstd", 3),
    )
    array[...] = image((edge,) * 3)
    return path


def of_source(run: Run, path: Path, cache: int) -> dict[str, Reading]:
    """Open the image in all ways that are here; none of them is asked to compute."""
    process, document = run.here(cache), {"type": "zarr", "file_name": str(path)}
    stored = str(path / "0")
    found = {
        OURS: process.open("ours", document=document, many=True),
        ONE: process.open("ours", document=document),
        FLYING: process.open("TensorStore", path=stored, flying=4),
        "TensorStore": process.open("TensorStore", path=stored),
        "LRU over zarr-python, 2 threads": process.open(
            "LRU over zarr-python, 2 threads", path=stored
        ),
        "zarr-python": process.open("zarr-python", path=stored),
    }
    return found | of_peers(run, path)


def of_peers(run: Run, path: Path, **more: Any) -> dict[str, Reading]:
    opened = {name: run.read_by("formats", name, path=str(path), **more) for name in PEERS}
    return {name: reading for name, reading in opened.items() if reading is not None}


def of_tree(run: Run, described: Mapping[str, Any], cache: int) -> dict[str, Reading]:
    process = run.here(cache)
    return {
        OURS: process.open(OUR_TREE, many=True, **described),
        ONE: process.open(OUR_TREE, **described),
        KERNELS: process.open("TensorStore, then our kernels", flying=4, **described),
        "TensorStore, 4 in flight, then numpy": process.open(
            "TensorStore, then numpy", flying=4, **described
        ),
    }


def raced(
    title: str,
    opened: Mapping[str, Reading],
    turns: Sequence[Sequence[Box]],
    wanted: Mapping[str, Bound],
) -> Table:
    check(opened, turns[0][:2])
    ways = {name: reading.way(turns.__getitem__) for name, reading in opened.items()}
    taken = {name: t.each(len(turns[0])) for name, t in race(ways, len(turns)).items()}
    return Table(title, beside("", taken, OURS, wanted, slower=taken), UNIT)


def workloads(run: Run, edge: int) -> dict[str, list[list[Box]]]:
    """Give the boxes of each turn: anywhere, and of a grid."""
    size, number, repeats = run.full(64, 32), run.full(100, 4), run.full(9, 1)
    drawn = [random_boxes(turn, number, size, edge, margin=MARGIN) for turn in range(repeats)]
    grid = PatchGrid((edge - 2 * MARGIN,) * 3, (size,) * 3, overlap=0.5)
    inner = [patch.box.shifted((MARGIN,) * 3) for patch in grid[:number]]
    side_by_side = [Box(tuple(box.offset), tuple(box.shape)) for box in inner]
    return {ANYWHERE: drawn, "of a grid, half of each shared": [side_by_side] * repeats}


def run(run: Run) -> Iterator[Table]:
    """Read patches of one source, of the tree, and through loaders."""
    edge = run.full(512, 128)
    path = write(run.folder, edge)
    opened = of_source(run, path, edge**3 // 2)
    for name, turns in workloads(run, edge).items():
        title = f"{len(turns[0])} patches of {edge}³ voxels, {name}"
        wanted = {FLYING: SOURCE_WANTED, "TensorStore": SOURCE_WANTED} if name == ANYWHERE else {}
        yield raced(title, opened, turns, wanted)
    smaller = run.full(320, 128)
    described = tree(run, smaller)
    opened = of_tree(run, described, 9 * smaller**3 // 2)
    for name, turns in workloads(run, smaller).items():
        title = f"{len(turns[0])} patches of a composed tree of {smaller}³ voxels, {name}"
        yield raced(title, opened, turns, {KERNELS: TREE_WANTED} if name == ANYWHERE else {})
    if importlib.util.find_spec("torch") is None:
        run.absent["torch"] = "not in the environment of the benchmarks"
        return
    yield through_loaders(run, path, edge)
    yield workers(run, described)


def through_loaders(run: Run, path: Path, edge: int) -> Table:
    """Put a DataLoader over all that read."""
    process, stored = run.here(edge**3 // 2), str(path / "0")
    document = {"type": "zarr", "file_name": str(path)}
    opened = {
        OURS: process.open("ours", load=True, many=True, document=document),
        "TensorStore": process.open("TensorStore", load=True, path=stored),
        FLYING: process.open("TensorStore", load=True, path=stored, flying=4),
        "zarr-python": process.open("zarr-python", load=True, path=stored),
    }
    opened |= of_peers(run, path, load=True)
    turns = workloads(run, edge)[ANYWHERE]
    title = f"{len(turns[0])} patches through a DataLoader of torch in one process, anywhere"
    return raced(title, opened, turns, {"TensorStore": LOADED_WANTED})


def composed(raw: str, labels: str, groups: Mapping[str, list[int]], margin: int) -> Array:
    """Make the tree in Python."""
    image_array = dacapo_like.open_array({"type": "zarr", "file_name": raw})
    ids = dacapo_like.open_array({"type": "zarr", "file_name": labels, "kind": "labels"})
    inside = [-margin * n for n in image_array.voxel_size]
    scaled = image_array.crop(image_array.roi.grow(inside, inside)).intensities(min=0, max=255)
    masks = {"groups": ids.binarize(groups), "known": ids.missing_annotations_mask(groups)}
    return scaled.concat(masks, name="raw")


def workers(run: Run, described: Mapping[str, Any]) -> Table:
    """Read the tree through a DataLoader in one process, and in two."""
    loader = importlib.import_module("torch.utils.data").DataLoader
    data_set = importlib.import_module("dacapo_like.torch").PatchDataset
    number = run.full(200, 4)
    array, size = composed(**described), run.full(64, 32)
    sampler = PatchSampler({"array": array}, size, seed=1, samples=number)
    options: dict[str, Any] = {"multiprocessing_context": "spawn", "persistent_workers": True}
    loaders = {
        "two workers": loader(data_set(sampler), num_workers=2, **options),
        "one process": loader(data_set(sampler)),
    }
    ways = {name: timed(lambda many=many: list(many)) for name, many in loaders.items()}
    taken: dict[str, Timing] = {
        name: timing.each(number) for name, timing in race(ways, run.full(5, 1)).items()
    }
    rows: list[Row] = beside("two workers", taken, "two workers", {"one process": WORKERS_WANTED})
    title = f"{number} patches of the composed tree through a DataLoader of torch"
    return Table(title, rows, UNIT)
