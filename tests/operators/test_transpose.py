import numpy as np
import pytest

from dacapo_like import Roi, TransposeArrayConfig, from_numpy
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


class TestLaws(ArrayContract):
    def case_a_plane(self, directory):
        voxels = sample_voxels((7, 9), "uint8")
        source = as_zarr(voxels, directory / "a", voxel_size=(9.8, 0.7), offset=(-4.9, 0))
        return Case(source.transpose("xy"), voxels.T)

    def case_a_volume(self, directory):
        voxels = sample_voxels((3, 4, 5), "float64")
        source = as_zarr(voxels, directory / "a", voxel_size=(40, 4, 2), offset=(80, 0, -6))
        return Case(source.transpose("yxz"), voxels.transpose(1, 2, 0))

    def case_time_channels_and_space(self, directory):
        voxels = sample_voxels((2, 3, 4, 5, 6), "int16")
        source = as_zarr(voxels, directory / "a", axes="tczyx", voxel_size=(25, 4, 4))
        return Case(source.transpose("ctxyz"), voxels.transpose(1, 0, 4, 3, 2))

    def case_below_another(self, directory):
        voxels = sample_voxels((3, 4, 5), "uint64")
        source = as_zarr(voxels, directory / "a").transpose("xzy").crop(Roi((1, 0, 2), (3, 2, 2)))
        return Case(source.transpose("zyx"), voxels[:2, 2:4, 1:4])


def test_names_units_and_channels_move_with_their_axes():
    source = from_numpy(
        np.zeros((2, 3, 4, 5)),
        axes="czyx",
        channels=("a", "b"),
        voxel_size=(40, 9.8, 4),
        offset=(1, 2, 3),
        units=("um", None, "nm"),
        kind="labels",
        directions=((0, 0, -1), (1, 0, 0), (0, 0.6, 0.8)),
    )
    spec = source.transpose("cxzy").spec
    assert spec == source.spec.replace(
        axes="cxzy",
        shape=(2, 5, 3, 4),
        voxel_size=(4, 40, 9.8),
        offset=(3, 1, 2),
        units=("nm", "um", None),
        directions=((0.8, 0, 0.6), (-1, 0, 0), (0, 1, 0)),
    )


def test_numpy_s_places_mean_the_same():
    source = from_numpy(np.arange(24).reshape(2, 3, 4))
    by_name = source.transpose(["x", "z", "y"])
    assert source.transpose((2, 0, 1)).config == by_name.config
    assert source.transpose((-1, 0, 1)).config == by_name.config
    np.testing.assert_array_equal(np.transpose(source, (2, 0, 1)), source.read().transpose(2, 0, 1))
    with pytest.raises(SpecError, match="no axis at this place"):
        source.transpose((3, 0, 1))


def test_only_what_is_shown_is_read(watched):
    source = watched(from_numpy(np.zeros((8, 10, 12), "uint8")))
    turned = TransposeArrayConfig(source_array_config=source, axes="xzy").array()
    turned[1:3, 4:5, 0:7]
    assert source.boxes == [Box((4, 0, 1), (1, 7, 2))]


def test_no_voxel_is_read_to_open(unreadable):
    assert unreadable(from_shape((8, 9))).transpose("xy").shape == (9, 8)


@pytest.mark.parametrize(
    ("axes", "match"),
    [
        ("yx", "not the axes"),
        ("cyz", "not the axes"),
        ("cyxz", "not the axes"),
        ("ycx", "a spatial axis before"),
        ("yxc", "a spatial axis before"),
    ],
)
def test_orders_that_there_cannot_be(axes, match):
    with pytest.raises(SpecError, match=match) as error:
        from_numpy(np.zeros((2, 3, 4)), axes="cyx").transpose(axes)
    assert error.value.key == ("axes",)


def test_an_axis_twice_is_refused():
    with pytest.raises(ConfigError, match="axes repeat"):
        from_numpy(np.zeros((2, 3))).transpose("xx")
