"""How long it takes to turn, to scale and to warp a volume.

Of an array of float32 in memory, beside SimpleITK, which uses threads of its own, and scipy. ITK's voxels are compared with ours
before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import SimpleITK as sitk  # noqa: N813  # as all its documentation has it
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.measuring import race, timed
from benchmarks.results import Table, beside
from benchmarks.running import Run
from dacapo_like import Array, from_numpy

TITLE = "Transforms"
OURS, ITK, SCIPY = "dacapo_like", "SimpleITK", "scipy"

Call = Callable[[], object]


def turned(edge: int, degrees: float, scale: float) -> NDArray[np.float64]:
    """Give a matrix that turns a cube around two axes through its centre, and scales it."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ [[1, 0, 0], [0, c, -s], [0, s, c]]
    matrix = np.eye(4)
    matrix[:3, :3] = turn * scale
    matrix[:3, 3] = edge / 2 - matrix[:3, :3] @ np.full(3, edge / 2)
    return np.round(matrix, 9)


def image_of(voxels: NDArray[np.float32]) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin([0.5] * 3)
    return image


def itk_of(voxels: NDArray[np.float32], matrix: NDArray[np.float64], method: int) -> Call:
    """Give the same work for SimpleITK."""
    image = image_of(voxels)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3][::-1, ::-1].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3][::-1].tolist())
    return lambda: sitk.Resample(image, image, transform, method, 0.0)


def scipy_of(voxels: NDArray[np.float32], matrix: NDArray[np.float64], order: int) -> Call:
    """Give the same work for scipy, whose voxels are one unit in size and centred on integers."""
    turn = matrix[:3, :3]
    shift = matrix[:3, 3] + turn @ ([0.5] * 3) - 0.5
    return lambda: ndimage.affine_transform(voxels, turn, shift, order=order, mode="mirror")


def compared(title: str, ours: Array, itk: Call, others: dict[str, Call], turns: int) -> Table:
    """Race all, if ITK has the same voxels and there are enough of them inside."""
    found, expected = ours.read(), sitk.GetArrayFromImage(itk())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.ptp(found))
    assert np.mean(expected != 0) > 0.3, "there is little to compare"
    calls = {OURS: ours.read, ITK: itk, **others}
    taken = race({name: timed(call) for name, call in calls.items()}, turns)
    return Table(title, beside("", taken, OURS, slower=taken))


def affines(edge: int, turns: int) -> Iterator[Table]:
    """Turn and scale a cube."""
    voxels = np.random.default_rng(0).random((edge,) * 3, dtype=np.float32)
    array, matrix = from_numpy(voxels), turned(edge, 17, 1.07)
    for work, how, order, method in (
        ("nearest", {"interp_order": 0}, 0, sitk.sitkNearestNeighbor),
        ("linear", {"interp_order": 1}, 1, sitk.sitkLinear),
        ("B-spline", {"method": "spline"}, 3, sitk.sitkBSpline),
    ):
        moved, itk = array.transform(matrix, like=array, **how), itk_of(voxels, matrix, method)
        others = {SCIPY: scipy_of(voxels, matrix, order)}
        yield compared(f"Affine, {work}, {edge}³", moved, itk, others, turns)


def warp(edge: int, turns: int) -> Table:
    """Warp a cube by a displacement field of a quarter of its size."""
    voxels = np.random.default_rng(0).random((edge,) * 3, dtype=np.float32)
    noise = np.random.default_rng(1).normal(size=(3, *(edge // 4,) * 3))
    vectors = 40 * ndimage.gaussian_filter(noise, (0, 3, 3, 3))
    array = from_numpy(voxels)
    field = from_numpy(vectors, axes="czyx", voxel_size=(4, 4, 4))
    moved = array.transform({"field": field.config, "axes": ("z", "y", "x")}, like=array)
    displacements = sitk.GetImageFromArray(np.moveaxis(vectors, 0, -1)[..., ::-1], isVector=True)
    displacements.SetSpacing([4.0] * 3)
    displacements.SetOrigin([2.0] * 3)
    image, transform = image_of(voxels), sitk.DisplacementFieldTransform(displacements)
    itk: Call = lambda: sitk.Resample(image, image, transform, sitk.sitkLinear, 0.0)  # noqa: E731
    return compared(f"Displacement field, linear, {edge}³", moved, itk, {}, turns)


def run(run: Run) -> Iterator[Table]:
    """Affine transforms, then a displacement field."""
    edge, turns = run.full(256, 40), run.full(7, 1)
    yield from affines(edge, turns)
    yield warp(edge, turns)
