"""Downsampling until voxels are nearly as long as wide."""

from __future__ import annotations

import numpy as np
import pytest

from dacapo_like import from_numpy
from dacapo_like.errors import SpecError
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


class TestLaws(ArrayContract):
    def case_light_sheet(self, directory):
        voxels = sample_voxels((2, 9, 4, 5), "float64")
        source = as_zarr(voxels, directory / "a", axes="czyx", voxel_size=(0.25, 1, 1), units="um")
        expected = voxels[:, :8].reshape(2, 2, 4, 4, 5).mean(axis=2)
        return Case(source.downsample_near_isotropic(), expected, oracle_tolerance=1e-12)

    def case_labels(self, directory):
        voxels = np.repeat(sample_voxels((4, 3), "uint64"), 2, axis=1)
        source = as_zarr(voxels, directory / "a", voxel_size=(8, 4))
        return Case(source.downsample_near_isotropic(), voxels[:, ::2])


def factors(voxel_size, *, shape=None, units=None):
    array = from_numpy(
        np.zeros(shape or (64,) * len(voxel_size), "uint8"), voxel_size=voxel_size, units=units
    )
    coarse = array.downsample_near_isotropic()
    ratios = [a / b for a, b in zip(coarse.spec.voxel_size, array.spec.voxel_size, strict=True)]
    assert coarse.roi.offset == array.roi.offset
    return tuple(int(ratio) for ratio in ratios)


@pytest.mark.parametrize(
    ("voxel_size", "expected"),
    [
        ((0.25, 1, 1), (4, 1, 1)),  # ZarrNii's own example
        ((1, 1, 1), (1, 1, 1)),
        ((40, 4, 4), (1, 8, 8)),
        ((1, 2, 4), (4, 2, 1)),
        ((1, 1.4, 1), (1, 1, 1)),
        ((1, 1.6, 1), (2, 1, 2)),
        ((1, 3, 3), (2, 1, 1)),
        ((0.65, 2.59, 2.59), (4, 1, 1)),  # 3.98
        ((1, 7.4, 7.4), (4, 1, 1)),
        ((1, 7.6), (8, 1)),
        ((0.1, 0.3), (2, 1)),  # 0.3 / 0.1 is 2.9999999999999996 in doubles
        ((0.7, 5.6), (8, 1)),
    ],
)
def test_factors_are_powers_of_two(voxel_size, expected):
    assert factors(voxel_size) == expected


def test_voxel_sizes_are_compared_in_one_unit():
    assert factors((1, 250, 0.5), units=("um", "nm", "um")) == (1, 4, 2)
    assert factors((2000, 2, 0.001), units=("nm", "um", "mm")) == (1, 1, 2)


def test_voxel_sizes_of_unknown_units_are_not_compared_with_others():
    array = from_numpy(np.zeros((4, 4)), units=("um", None))
    with pytest.raises(SpecError, match="voxel sizes cannot be compared"):
        array.downsample_near_isotropic()


def test_a_single_plane_makes_nothing_coarser():
    assert factors((100, 4, 2), shape=(1, 8, 8)) == (1, 1, 2)
    assert factors((1, 100), shape=(3, 8)) == (2, 1)  # no shorter than a voxel


def test_what_is_isotropic_stays_as_it_is():
    array = from_numpy(np.zeros((4, 4)))
    assert array.downsample_near_isotropic() is array


def test_labels_keep_their_ids():
    labels = np.zeros((8, 2, 2), "uint32")
    labels[::2], labels[1::2] = 3, 8
    coarse = from_numpy(labels, voxel_size=(1, 4, 4)).downsample_near_isotropic()
    assert coarse.shape == (2, 2, 2)
    assert set(np.unique(coarse[...])) <= {3, 8}


def test_the_method_is_passed_on():
    array = from_numpy(np.arange(16, dtype="uint8").reshape(8, 2), voxel_size=(1, 4))
    assert array.downsample_near_isotropic(method="max")[...].tolist() == [[6, 7], [14, 15]]
    labels = from_numpy(np.zeros((8, 2), "uint64"), voxel_size=(1, 4))
    with pytest.raises(SpecError, match="invent ids"):
        labels.downsample_near_isotropic(method="mean")


def test_no_voxel_is_read(unreadable):
    source = unreadable(from_shape((8, 8), voxel_size=(1, 2)))
    assert source.downsample_near_isotropic().shape == (4, 8)
