"""Time pooling beside its peers: ``python benchmarks/pooling.py [--labels FILE.h5]`` (``--smoke`` only shows that everything runs).

All do the same work in one process, taking turns; shown is the least time of each, and how many times ours it is. Peers that are
not installed are left out; TensorStore is always there. Whether a peer gives our voxels is said beside: means of TensorStore
and ours are equal, and so are modes, ties included.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorstore
from numpy.typing import NDArray
from scipy import ndimage, spatial

from dacapo_like.kernels.pool import pool

EDGE = 256
LEAST = {"mean": 8, "mode": 4}  # times as fast as TensorStore

Calls = dict[str, Callable[[], NDArray[Any]]]


def image(edge: int) -> NDArray[np.uint8]:
    """Give a volume of noise: means do not depend on what is averaged."""
    return np.random.default_rng(0).integers(0, 256, (edge,) * 3, dtype="uint8")


def cells(edge: int) -> NDArray[np.uint64]:
    """Give 64-bit labels: Voronoi cells so large that a sixth of all 2x cells are mixed, as in a real segmentation of neurons."""
    rng = np.random.default_rng(0)
    centres = rng.random((max((edge // 24) ** 3, 2), 3)) * edge
    places = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), -1)
    nearest = spatial.cKDTree(centres).query(places.reshape(-1, 3), workers=-1)[1]
    ids = rng.integers(1, 2**63, len(centres), dtype="uint64")
    return ids[nearest].reshape((edge,) * 3)


def segmentation(path: Path, edge: int) -> NDArray[np.uint64]:
    """Read labels from an HDF5 file's dataset `labels`, repeated where there are not enough."""
    with h5py.File(path) as file:
        labels = file["labels"][:edge, :edge, :edge].astype("uint64")
    return np.tile(labels, [-(-edge // n) for n in labels.shape])[:edge, :edge, :edge].copy()


def of_tensorstore(data: NDArray[Any], method: str) -> Callable[[], NDArray[Any]]:
    array = tensorstore.downsample(tensorstore.array(data), [2] * 3, method)
    return lambda: array.read().result()


def peers_of_mean(data: NDArray[Any]) -> Calls:
    calls: Calls = {
        "TensorStore": of_tensorstore(data, "mean"),
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
    calls: Calls = {"TensorStore": of_tensorstore(data, "mode")}
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
    return np.stack(
        [
            cv.addWeighted(*[a, 0.5, b, 0.5, 0])
            for a, b in zip(planes[::2], planes[1::2], strict=True)
        ]
    )


def installed(name: str) -> Any:
    """Import a peer, or give None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def least(calls: Calls, repeats: int) -> dict[str, float]:
    """Give the least seconds of each call, the calls taking turns."""
    seconds = dict.fromkeys(calls, math.inf)
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def compare(title: str, ours: Callable[[], NDArray[Any]], peers: Calls, repeats: int) -> float:
    """Print a table; give how many times our time TensorStore takes."""
    voxels = ours()  # which compiles it, too
    same = {name: np.mean(call() == voxels) for name, call in peers.items()}
    seconds = least({"dacapo_like": ours} | peers, repeats)
    own = seconds.pop("dacapo_like")
    print(f"{title}: {own * 1e3:.2f} ms")
    for name, value in sorted(seconds.items(), key=lambda item: item[1]):
        print(
            f"  {name:28} {value * 1e3:9.2f} ms {value / own:7.1f} times, {same[name]:.1%} of voxels as ours"
        )
    return seconds["TensorStore"] / own


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, help="HDF5 file with a dataset `labels`")
    parser.add_argument(
        "--smoke", action="store_true", help="small and once: only show that everything runs"
    )
    options = parser.parse_args()
    edge, repeats = (32, 1) if options.smoke else (EDGE, 30)
    grey = image(edge)
    labels = segmentation(options.labels, edge) if options.labels else cells(edge)
    factors = (2, 2, 2)
    times = {
        "mean": compare(
            f"2x mean of {edge}^3 uint8",
            lambda: pool(grey, factors, "mean"),
            peers_of_mean(grey),
            repeats,
        ),
        "mode": compare(
            f"2x mode of {edge}^3 uint64",
            lambda: pool(labels, factors, "mode"),
            peers_of_mode(labels),
            repeats,
        ),
    }
    for method, bound in LEAST.items():
        print(f"{method}: {times[method]:.1f} times as fast as TensorStore, bound {bound}")
    return int(not options.smoke and any(times[method] < bound for method, bound in LEAST.items()))


if __name__ == "__main__":
    sys.exit(main())
