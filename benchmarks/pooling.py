"""How long it takes to halve the voxels of a volume.

Means of 8-bit voxels and modes of 64-bit labels, over cells of 2 x 2 x 2, of arrays in memory. Means of TensorStore and ours are
equal, and so are modes, ties included; of each other program it is said how many voxels are as ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorstore
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.measuring import race, timed
from benchmarks.results import Table, at_least, beside
from benchmarks.running import Run
from benchmarks.volumes import segmentation
from dacapo_like.kernels.pool import pool

TITLE = "Halving"
OURS, TENSORSTORE = "dacapo_like", "TensorStore"
WANTED = {"mean": at_least(8), "mode": at_least(4)}

Calls = dict[str, Callable[[], NDArray[Any]]]


def of_tensorstore(data: NDArray[Any], method: str) -> Callable[[], NDArray[Any]]:
    array = tensorstore.downsample(tensorstore.array(data), [2] * 3, method)
    return lambda: array.read().result()


def peers_of_mean(data: NDArray[Any]) -> Calls:
    calls: Calls = {
        TENSORSTORE: of_tensorstore(data, "mean"),
        "scipy.ndimage.zoom, order 1": lambda: ndimage.zoom(
            data, 0.5, order=1, mode="nearest", grid_mode=True
        ),
        "numpy, reshaped": lambda: by_reshaping(data),
    }
    if tinybrain := installed("tinybrain"):
        turned = np.asfortranarray(data)  # it takes x, y, z in Fortran's order
        calls["tinybrain"] = lambda: tinybrain.downsample_with_averaging(turned, (2, 2, 2))[0]
    if itk := installed("SimpleITK"):
        volume = itk.GetImageFromArray(data)
        calls["SimpleITK"] = lambda: itk.GetArrayViewFromImage(itk.BinShrink(volume, [2] * 3))
    if cv := installed("cv2"):
        calls["OpenCV, by planes"] = lambda: by_planes(cv, data)
    return calls


def peers_of_mode(data: NDArray[Any]) -> Calls:
    calls: Calls = {TENSORSTORE: of_tensorstore(data, "mode")}
    if tinybrain := installed("tinybrain"):
        turned = np.asfortranarray(data)
        calls["tinybrain"] = lambda: tinybrain.downsample_segmentation(turned, (2, 2, 2))[0]
    return calls


def by_reshaping(data: NDArray[Any]) -> NDArray[Any]:
    cells = data.reshape([n for edge in data.shape for n in (edge // 2, 2)])
    return np.rint(cells.mean((1, 3, 5), dtype="float32")).astype(data.dtype)


def by_planes(cv: Any, data: NDArray[Any]) -> NDArray[Any]:
    """Halve planes with OpenCV, then average each two."""
    edge = data.shape[-1] // 2
    planes = [cv.resize(plane, (edge, edge), interpolation=cv.INTER_AREA) for plane in data]
    pairs = zip(planes[::2], planes[1::2], strict=True)
    return np.stack([cv.addWeighted(*[a, 0.5, b, 0.5, 0]) for a, b in pairs])


def installed(name: str) -> Any:
    """Import a peer, or give None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def compared(title: str, data: NDArray[Any], method: str, peers: Calls, turns: int) -> Table:
    """Race all, ours first."""
    voxels = pool(data, (2, 2, 2), method)
    same = {
        name: f"{name}, {np.mean(call() == voxels):.1%} as ours" for name, call in peers.items()
    }
    ways = {OURS: timed(lambda: pool(data, (2, 2, 2), method))}
    ways |= {same[name]: timed(call) for name, call in peers.items()}
    wanted = {same[TENSORSTORE]: WANTED[method]}
    return Table(title, beside(method, race(ways, turns), OURS, wanted, slower=ways))


def run(run: Run) -> Iterator[Table]:
    """Means, then modes."""
    edge, turns = run.full(256, 32), run.full(21, 1)
    grey = np.random.default_rng(0).integers(0, 256, (edge,) * 3, dtype="uint8")
    labels = segmentation(edge, run.labels)
    yield compared(f"{edge}³ voxels of uint8", grey, "mean", peers_of_mean(grey), turns)
    yield compared(f"{edge}³ labels of uint64", labels, "mode", peers_of_mode(labels), turns)
