"""Measure transforms: ``python benchmarks/transforms.py`` (``--smoke`` only shows that everything runs and agrees).

Each line is one piece of work, done by this package and by others in one run, in turns; shown is the least time of each, and its
ratio to ours. ITK uses its own threads. All results are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk  # noqa: N813  # as all its documentation has it
from numpy.typing import NDArray
from scipy import ndimage

from dacapo_like import Array, from_numpy

Call = Callable[[], object]


def turned(edge: int, degrees: float, scale: float) -> NDArray[np.float64]:
    """Give a matrix that turns a cube around two axes through its centre, and scales it."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ [[1, 0, 0], [0, c, -s], [0, s, c]]
    matrix = np.eye(4)
    matrix[:3, :3] = turn * scale
    matrix[:3, 3] = edge / 2 - matrix[:3, :3] @ np.full(3, edge / 2)
    return np.round(matrix, 9)


def itk_of(voxels: NDArray[np.float32], matrix: NDArray[np.float64], method: int) -> Call:
    """Give the same work for SimpleITK."""
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin([0.5] * 3)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3][::-1, ::-1].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3][::-1].tolist())
    return lambda: sitk.Resample(image, image, transform, method, 0.0)


def scipy_of(voxels: NDArray[np.float32], matrix: NDArray[np.float64], order: int) -> Call:
    """Give the same work for scipy, whose voxels are one unit in size and centred on integers."""
    turn = matrix[:3, :3]
    shift = matrix[:3, 3] + turn @ ([0.5] * 3) - 0.5
    return lambda: ndimage.affine_transform(voxels, turn, shift, order=order, mode="mirror")


def fastest(calls: dict[str, Call], repeats: int) -> dict[str, float]:
    """Give the least seconds of each call, the calls taking turns."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def show(work: str, calls: dict[str, Call], repeats: int) -> None:
    """Print the least times and their ratios to the first."""
    seconds = fastest(calls, repeats)
    own = next(iter(seconds.values()))
    parts = (f"{name} {value * 1e3:.1f} ms ({value / own:.1f}x)" for name, value in seconds.items())
    print(f"{work}: {', '.join(parts)}")


def check(ours: Array, itk: Call, least_inside: float = 0.3) -> None:
    """Stop unless ITK has the same voxels."""
    found, expected = ours.read(), sitk.GetArrayFromImage(itk())
    if not np.allclose(found, expected, rtol=0, atol=1e-4 * np.ptp(found)):
        raise SystemExit("the results differ")
    if np.mean(expected != 0) < least_inside:
        raise SystemExit("there is little to compare")


def affines(edge: int, repeats: int) -> None:
    """Turn and scale a cube of float32."""
    voxels = np.random.default_rng(0).random((edge,) * 3, dtype=np.float32)
    array, matrix = from_numpy(voxels), turned(edge, 17, 1.07)
    for work, how, order, method in (
        ("nearest", {"interp_order": 0}, 0, sitk.sitkNearestNeighbor),
        ("linear", {"interp_order": 1}, 1, sitk.sitkLinear),
        ("B-spline", {"method": "spline"}, 3, sitk.sitkBSpline),
    ):
        moved, itk = array.transform(matrix, like=array, **how), itk_of(voxels, matrix, method)
        check(moved, itk)
        calls = {"ours": moved.read, "SimpleITK": itk, "scipy": scipy_of(voxels, matrix, order)}
        show(f"affine, {work}, {edge}^3 f32", calls, repeats if order < 3 else max(repeats // 3, 1))


def warps(edge: int, repeats: int) -> None:
    """Warp a cube of float32 by a displacement field of a quarter of its size."""
    voxels = np.random.default_rng(0).random((edge,) * 3, dtype=np.float32)
    noise = np.random.default_rng(1).normal(size=(3, *(edge // 4,) * 3))
    vectors = 40 * ndimage.gaussian_filter(noise, (0, 3, 3, 3))
    array = from_numpy(voxels)
    field = from_numpy(vectors, axes="czyx", voxel_size=(4, 4, 4))
    moved = array.transform({"field": field.config, "axes": ("z", "y", "x")}, like=array)
    displacements = sitk.GetImageFromArray(np.moveaxis(vectors, 0, -1)[..., ::-1], isVector=True)
    displacements.SetSpacing([4.0] * 3)
    displacements.SetOrigin([2.0] * 3)
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin([0.5] * 3)
    transform = sitk.DisplacementFieldTransform(displacements)
    itk: Call = lambda: sitk.Resample(image, image, transform, sitk.sitkLinear, 0.0)  # noqa: E731
    check(moved, itk)
    show(
        f"displacement field, linear, {edge}^3 f32", {"ours": moved.read, "SimpleITK": itk}, repeats
    )


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="a small cube, once: only show that everything runs"
    )
    smoke = parser.parse_args().smoke
    edge, repeats = (40, 1) if smoke else (256, 7)
    print(f"{sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()} threads of ITK's")
    affines(edge, repeats)
    warps(edge, repeats)


if __name__ == "__main__":
    main()
