"""Downsample the finer axes of an array until its voxels are nearly as long as wide."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from dacapo_like.core import Array
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Exact
from dacapo_like.operators.resampled import Method, ResampledArrayConfig
from dacapo_like.registry import array_method
from dacapo_like.spec import ArraySpec
from dacapo_like.units import length_factor


@array_method
def downsample_near_isotropic(array: Array, *, method: Method | None = None) -> Array:
    """Join voxels along the finer axes, by powers of two, so that their voxels become as coarse as those of the coarsest.

    The factor of an axis is the largest power of two that is no more than the coarsest voxel size over its own, that ratio being
    rounded to a whole number first (half to even): 1 for 1.4, 2 for 1.6 and 3, 4 for 3.9 and 7. Voxel sizes are compared
    exactly, in one unit. An axis of a single voxel stays, and makes no other axis coarser; no axis becomes shorter than a voxel.
    The rule is that of ZarrNii's near-isotropic downsampling, for any number of finer axes.

    Parameters
    ----------
    array : Array
        Of any axes; those that are not spatial stay as they are.
    method : str, optional
        How voxels are joined, see `ResampledArrayConfig`; by default `mean` for images, `mode` for labels and masks.

    Returns
    -------
    Array
        The array itself, where there is nothing to join.

    Raises
    ------
    SpecError
        Units are known for some axes only, so that voxel sizes cannot be compared; or the method does not suit the array.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> sheet = dacapo_like.from_numpy(np.zeros((16, 8, 8), "uint8"), voxel_size=(0.25, 1, 1), units="um")
    >>> sheet.downsample_near_isotropic()
    <Array resampled: z 4, y 8, x 8; uint8 image; voxel (1, 1, 1) um; offset (0, 0, 0), shape (4, 8, 8)>
    """
    factors = near_isotropic_factors(array.spec)
    if max(factors, default=1) == 1:
        return array
    return array.apply(ResampledArrayConfig, downsample=factors, method=method)


def near_isotropic_factors(spec: ArraySpec) -> tuple[int, ...]:
    """Give how many voxels become one, per spatial axis, see `downsample_near_isotropic`.

    Raises
    ------
    SpecError
        Units are known for some axes only.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> near_isotropic_factors(from_shape((100, 100, 100), voxel_size=(40, 8, 8)))
    (1, 4, 4)
    """
    sizes = _in_one_unit(spec)
    longer = [size for size, n in zip(sizes, spec.spatial_shape, strict=True) if n > 1]
    coarsest = max(longer, default=Fraction(0))
    return tuple(
        _power_of_two(min(round(coarsest / size), n))
        for size, n in zip(sizes, spec.spatial_shape, strict=True)
    )


def _power_of_two(most: int) -> int:
    """Give the largest power of two that is no more than a number; 1 below that."""
    return 1 << max(most.bit_length() - 1, 0)


def _in_one_unit(spec: ArraySpec) -> Sequence[Fraction]:
    sizes: list[Exact] = list(spec.voxel_size)
    if len(set(spec.units)) > 1:
        if None in spec.units:
            raise SpecError(
                "voxel sizes cannot be compared",
                got=f"units {spec.units}",
                expected="one for every spatial axis, or for none",
                hint="say `units` where the array is defined",
            )
        into = spec.units[0]
        sizes = [
            size * length_factor(str(unit), str(into))
            for size, unit in zip(sizes, spec.units, strict=True)
        ]
    return [Fraction(size) for size in sizes]
