import math

import numpy as np
import pytest

from dacapo_like import ConstantArrayConfig, OnesArrayConfig, from_numpy
from dacapo_like.core import Block
from dacapo_like.errors import ConfigError
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


class TestLaws(ArrayContract):
    def case_ones_of_bytes(self, directory):
        source = as_zarr(sample_voxels((6, 7), "uint8"), directory / "a", voxel_size=(9.8, 25))
        return Case(source.ones_like(), np.ones((6, 7), "uint8"))

    def case_ones_of_bool(self, directory):
        source = as_zarr(sample_voxels((6, 7), "bool"), directory / "a")
        return Case(source.ones_like(), np.ones((6, 7), "bool"))

    def case_ones_of_another_dtype(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "int16")
        source = as_zarr(voxels, directory / "a", axes="tcyx", offset=(-3, 0.7))
        return Case(source.ones_like(dtype="float64"), np.ones((2, 3, 4, 5)))

    def case_constant_at_the_limit(self, directory):
        source = as_zarr(
            sample_voxels((3, 4, 5), "uint64"), directory / "a", voxel_size=(0.7, 1, 1)
        )
        return Case(source.constant_like(2**64 - 1), np.full((3, 4, 5), 2**64 - 1, "uint64"))

    def case_constant_below_zero(self, directory):
        source = as_zarr(sample_voxels((6, 7), "int16"), directory / "a")
        return Case(source.constant_like(-(2**15)), np.full((6, 7), -(2**15), "int16"))

    def case_constant_fraction(self, directory):
        source = as_zarr(sample_voxels((6, 7), "uint8"), directory / "a")
        return Case(source.constant_like(0.1, dtype="float32"), np.full((6, 7), 0.1, "float32"))

    def case_constant_of_another_dtype(self, directory):
        source = as_zarr(sample_voxels((6, 7), "float32"), directory / "a")
        return Case(source.constant_like(4, dtype="uint8"), np.full((6, 7), 4, "uint8"))


def source(dtype="uint8"):
    return from_numpy(np.zeros((3, 4), dtype), voxel_size=(9.8, 4), offset=(-9.8, 2), units="nm")


def test_the_spec_is_the_source_s():
    spec = from_shape((2, 3, 4), "uint16", axes="cyx", channels=("a", "b"), units=("nm", None))
    array = from_numpy(
        np.zeros((2, 3, 4), "uint16"), axes="cyx", channels=("a", "b"), units=("nm", None)
    )
    assert array.ones_like().spec == spec
    assert array.constant_like(7).spec == spec
    assert array.constant_like(7, dtype="float32").spec == spec.replace(dtype="float32")


def test_voxels_of_the_source_are_never_read(unreadable):
    array = unreadable(from_shape((3, 4), "int32"))
    np.testing.assert_array_equal(array.ones_like(), np.ones((3, 4), "int32"))
    np.testing.assert_array_equal(array.constant_like(-4), np.full((3, 4), -4, "int32"))


def test_ones_of_a_petabyte_open_and_read_a_corner(unreadable):
    array = unreadable(from_shape((100_000, 100_000, 100_000))).ones_like()
    assert array[99_999:, 99_999:, 99_990:].sum() == 10


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", -1),
        ("uint8", 256),
        ("uint8", 0.5),
        ("uint8", math.nan),
        ("uint8", math.inf),
        ("int8", 128),
        ("int64", 2**63),
        ("uint64", 2**64),
        ("uint64", 2.0**64),
        ("bool", 2),
        ("bool", 0.5),
        ("float16", 70000),
        ("float32", 1e39),
        ("float64", 10**400),
        ("uint8", "4"),
        ("float32", 1j),
    ],
)
def test_a_value_that_does_not_fit_is_refused(dtype, value):
    with pytest.raises(ConfigError, match=f"expected a value of {dtype}") as error:
        source(dtype).constant_like(value)
    assert error.value.key == ("value",)
    assert error.value.where == "constant"


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 255),
        ("uint8", 3.0),
        ("uint64", 2**64 - 1),
        ("bool", 1),
        ("bool", 0),
        ("float32", -1),
    ],
)
def test_a_value_that_fits_is_kept(dtype, value):
    array = source(dtype).constant_like(value)
    assert array.dtype == dtype
    assert (array.read() == np.dtype(dtype).type(value)).all()


def test_dtypes_have_one_name():
    configs = [
        ConstantArrayConfig(source_array_config=source().config, value=1, dtype=dtype)
        for dtype in ("float32", "<f4", np.float32, np.dtype(">f4"))
    ]
    base = source().config
    configs = [
        ConstantArrayConfig(source_array_config=base, value=1, dtype=config.dtype)
        for config in configs
    ]
    assert {config.dtype for config in configs} == {"float32"}
    assert len(set(configs)) == 1


@pytest.mark.parametrize("config_class", [OnesArrayConfig, ConstantArrayConfig])
def test_what_is_no_dtype_is_refused(config_class):
    fields = {"value": 1} if config_class is ConstantArrayConfig else {}
    with pytest.raises(ConfigError, match="unknown dtype"):
        config_class(source_array_config=source().config, dtype="uint7", **fields)
    for dtype in ("complex64", "S3", "datetime64[s]", object):
        with pytest.raises(ConfigError, match="dtype is no number's"):
            config_class(source_array_config=source().config, dtype=dtype, **fields)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_wider_array_is_filled(dtype):
    array = source().constant_like(200, dtype="uint8")
    holder = np.zeros((*array.shape, 2), dtype)
    block = Block(None, None, source().spec)
    array.config.compute(array.spec.box, block, out=holder[..., 1])
    assert (holder == [0, 200]).all()
    assert array.config.widens


def test_a_read_takes_memory_of_its_own():
    first = source().ones_like().read()
    first[0, 0] = 9
    assert source().ones_like().read()[0, 0] == 1


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(None, "labels"), ("uint64", "labels"), ("float32", "image"), ("bool", "mask")],
)
def test_another_dtype_is_another_kind(dtype, kind):
    labels = from_numpy(np.zeros((2, 2), "uint64"), kind="labels")
    assert labels.constant_like(1, dtype=dtype).kind == kind
