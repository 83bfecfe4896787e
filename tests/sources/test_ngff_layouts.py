"""What OME-NGFF means beyond one image: plates, series, labels, orientation, transformations of a whole pyramid."""

import itertools
import warnings
from fractions import Fraction

import numpy as np
import pytest
import zarr
from nibabel.orientations import axcodes2ornt

from dacapo_like.errors import SourceError
from dacapo_like.geometry import Box
from dacapo_like.sources._coarser import CoarserVoxels
from dacapo_like.sources.zarr import ZarrArrayConfig
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of ome-zarr-py about itself
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr.writer import (
        write_image,
        write_labels,
        write_plate_metadata,
        write_well_metadata,
    )

DATA = np.random.default_rng(0).integers(0, 999, (4, 8, 8)).astype("uint16")
FORMATS = [FormatV04(), FormatV05()]


def opened(path, **fields):
    return ZarrArrayConfig(file_name=str(path), **fields).array()


def root_of(path, fmt, attributes=None):
    return zarr.open_group(path, mode="w", zarr_format=fmt.zarr_format, attributes=attributes)


def image(group, data, fmt):
    write_image(data, group, axes="zyx", fmt=fmt, scale_factors=[{"y": 2, "x": 2}])


def axes_of(*orientation):
    return [
        {"name": name, "type": "space", "unit": "millimeter"}
        | ({"orientation": {"type": "anatomical", "value": word}} if word else {})
        for name, word in itertools.zip_longest("zyx", orientation)
    ]


def stored(path, steps, *, axes=None, common=None, version="0.5", levels=("0",), **attributes):
    """Write an image of levels with the given (scale, translation)."""
    datasets = [
        {
            "path": name,
            "coordinateTransformations": [
                {"type": "scale", "scale": scale},
                {"type": "translation", "translation": translation},
            ],
        }
        for name, (scale, translation) in zip(levels, steps, strict=True)
    ]
    made = {"axes": axes or axes_of(), "datasets": datasets, "version": version}
    if common:
        made["coordinateTransformations"] = common
    metadata = {"multiscales": [made]}
    if version == "0.5":
        metadata = {"ome": {"version": version} | metadata}
    root = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    root.attrs.update(metadata | attributes)
    for i, name in enumerate(levels):
        root.create_array(name, data=DATA[:, :: 2**i, :: 2**i])
    return path


# Many images


@pytest.fixture(params=FORMATS, ids=["0.4", "0.5"])
def plate(request, tmp_path):
    path, fmt = tmp_path / "plate.zarr", request.param
    root = root_of(path, fmt)
    write_plate_metadata(root, ["A", "B"], ["1", "2"], ["A/1", "B/2"], fmt=fmt)
    for i, well in enumerate(["A/1", "B/2"]):
        group = root.require_group(well)
        write_well_metadata(group, ["0", "1"], fmt=fmt)
        for field in (0, 1):
            image(group.require_group(str(field)), DATA + 10 * i + field, fmt)
    return path


def test_a_field_of_a_well_is_named_by_its_path(plate):
    for i, well in enumerate(["A/1", "B/2"]):
        for field in (0, 1):
            array = opened(plate, dataset=f"{well}/{field}")
            np.testing.assert_array_equal(np.asarray(array), DATA + 10 * i + field)
            assert opened(plate / well / str(field), level=1).shape == (4, 4, 4)


def test_a_plate_is_no_array_but_lists_its_wells(plate):
    with pytest.raises(SourceError, match="a plate of many images") as caught:
        opened(plate)
    assert "A/1, B/2" in caught.value.got
    assert caught.value.key == ("dataset",)
    with pytest.raises(SourceError, match="several arrays") as caught:
        opened(plate, dataset="A/1")
    assert caught.value.got == "0, 1"


@pytest.mark.parametrize("fmt", FORMATS, ids=["0.4", "0.5"])
def test_series_of_bioformats2raw(tmp_path, fmt):
    for count in (1, 2):
        path = tmp_path / f"{count}.zarr"
        root = root_of(path, fmt)
        layout = {"bioformats2raw.layout": 3}
        root.attrs.update(layout if fmt.version == "0.4" else {"ome": layout | {"version": "0.5"}})
        series = [str(i) for i in range(count)]
        root.require_group("OME").attrs.update({"series": series})
        (path / "OME" / "METADATA.ome.xml").write_text("<OME/>")
        for i, name in enumerate(series):
            image(root.require_group(name), DATA + i, fmt)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "1.zarr")), DATA)
    with pytest.raises(SourceError, match="several arrays") as caught:
        opened(tmp_path / "2.zarr")
    assert caught.value.got == "0, 1"
    second = opened(tmp_path / "2.zarr", dataset="1", level=1)
    assert second.shape == (4, 4, 4)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "2.zarr", dataset="1")), DATA + 1)


@pytest.mark.parametrize("fmt", FORMATS, ids=["0.4", "0.5"])
def test_labels_beside_an_image(tmp_path, fmt):
    path = tmp_path / "a.zarr"
    root = root_of(path, fmt)
    image(root, DATA, fmt)
    write_labels(
        DATA // 9,
        root,
        name="nuclei",
        axes="zyx",
        fmt=fmt,
        scaler=None,
        scale_factors=[{"y": 2, "x": 2}],
    )
    assert opened(path).kind == "image"
    for dataset in ("labels/nuclei", "labels"):
        labels = opened(path, dataset=dataset)
        assert labels.kind == "labels"
        np.testing.assert_array_equal(np.asarray(labels), DATA // 9)
    assert opened(path / "labels" / "nuclei").kind == "labels"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_levels_may_lie_anywhere(tmp_path, version):
    steps = [([1, 1, 1], [0, 0, 0]), ([1, 2, 2], [0, 0.5, 0.5])]
    levels = ("em/full", "em/by 2/a")
    path = stored(tmp_path / "a.zarr", steps, levels=levels, version=version)
    np.testing.assert_array_equal(np.asarray(opened(path)), DATA)
    coarse = opened(path, level=1)
    np.testing.assert_array_equal(np.asarray(coarse), DATA[:, ::2, ::2])
    assert opened(path, dataset="em/by 2/a").spec == coarse.spec


class TestLaws(ArrayContract):
    """Of levels beyond the stored ones."""

    def case_labels_of_two_channels(self, directory):
        voxels = sample_voxels((2, 9, 8, 13), "uint32")
        source = as_zarr(voxels, directory / "a", axes="czyx", voxel_size=(9.8, 4, 0.7))
        copy = source.to_ome_zarr(directory / "b.zarr", levels=1)
        array = opened(copy, level=2, kind="labels")
        cells = voxels[:, :8, :, :12].reshape(2, 2, 4, 2, 4, 3, 4).transpose(0, 1, 3, 5, 2, 4, 6)
        expected = np.zeros((2, 2, 2, 3), "uint32")
        for at in np.ndindex(expected.shape):
            values, counts = np.unique(cells[at], return_counts=True)
            expected[at] = values[counts.argmax()]
        return Case(array, expected)

    def case_one_plane_of_some_channels(self, directory):
        voxels = sample_voxels((3, 1, 20, 21), "float32")
        source = as_zarr(voxels, directory / "a", axes="czyx", voxel_size=(5, 0.7, 0.7))
        copy = source.to_ome_zarr(directory / "b.zarr", factors=[(1, 2, 2)])
        array = opened(copy, level=2, channels=[2, 0])
        fine = voxels.reshape(3, 1, 10, 2, 21)[..., :20].reshape(3, 1, 10, 2, 10, 2)
        stored = fine.mean(axis=(3, 5), dtype="float64").astype("float32")
        coarse = stored.reshape(3, 1, 5, 2, 5, 2).mean(axis=(3, 5), dtype="float64")
        return Case(array, coarse.astype("float32")[[2, 0]])


def test_a_region_of_a_coarser_level_reads_what_it_is_made_of(monkeypatch):
    monkeypatch.setattr("dacapo_like.pyramids.READ_AT_ONCE", 64)
    touched = np.zeros((2, 9, 9), int)

    def start(box):
        touched[box.slices] += 1
        return lambda: np.ones(box.shape, ">u2")

    spec = from_shape((2, 2, 2), "uint16", axes="cyx")
    wait = CoarserVoxels(start, (1, 4, 4), spec).start(Box((1, 0, 1), (1, 2, 1)))
    found = wait()
    assert found.dtype == np.dtype("uint16")
    np.testing.assert_array_equal(found, np.ones((1, 2, 1)))
    expected = np.zeros_like(touched)
    expected[1, :8, 4:8] = 1
    np.testing.assert_array_equal(touched, expected)


def test_a_voxel_of_more_than_fits_in_memory(tmp_path):
    attributes = {
        "ome": {"version": "0.5", "multiscales": [{"axes": axes_of(), "datasets": [{"path": "0"}]}]}
    }
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", attributes=attributes)
    root.create_array("0", shape=(10**5,) * 3, chunks=(64,) * 3, dtype="uint8")
    assert opened(tmp_path / "a.zarr", level=9).shape == (10**5 // 512,) * 3
    with pytest.raises(SourceError, match="no such level") as caught:
        opened(tmp_path / "a.zarr", level=10)
    assert caught.value.expected == "0 to 9"


# Transformations of the whole pyramid


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_those_of_the_pyramid_are_applied_after_those_of_a_level(tmp_path, version):
    steps = [([5, 2, 2], [10, 1, 0]), ([5, 4, 4], [10, 2, 1])]
    common = [
        {"type": "scale", "scale": [2, 0.5, 10]},
        {"type": "translation", "translation": [-100, 7, 0.25]},
    ]
    path = stored(tmp_path / "a.zarr", steps, common=common, version=version, levels=("0", "1"))
    for level, (scale, place) in enumerate(steps):
        array = opened(path, level=level, anchor="center")
        index = np.array([1, 2, 3])
        world = (index * scale + place) * [2, 0.5, 10] + [-100, 7, 0.25]
        np.testing.assert_allclose((array.voxel_to_world @ [*index, 1])[:3], world, rtol=1e-15)


def test_ome_zarr_py_leaves_those_of_the_pyramid_out(tmp_path):
    """Why they are tested against arithmetic: the reference reader does not apply them."""
    common = [{"type": "scale", "scale": [2, 0.5, 10]}]
    path = stored(tmp_path / "a.zarr", [([5, 2, 2], [0, 0, 0])], common=common)
    (node,) = Reader(parse_url(str(path)))()
    assert node.metadata["coordinateTransformations"][0][0]["scale"] == [5, 2, 2]
    assert opened(path).voxel_size == (10, 1, 20)


# Orientation

RAS = {
    "left-to-right": (0, 0, 1),
    "right-to-left": (0, 0, -1),
    "posterior-to-anterior": (0, 1, 0),
    "anterior-to-posterior": (0, -1, 0),
    "inferior-to-superior": (1, 0, 0),
    "superior-to-inferior": (-1, 0, 0),
}
PERMUTED = [
    words
    for words in itertools.permutations(RAS, 3)
    if np.abs([RAS[word] for word in words]).sum(axis=0).max() == 1
]


@pytest.mark.parametrize("words", PERMUTED, ids=" ".join)
def test_axes_point_where_their_words_say(tmp_path, words):
    path = stored(tmp_path / "a.zarr", [([25, 9.8, 0.7], [100, -4, 7])], axes=axes_of(*words))
    array = opened(path)
    start = array.voxel_to_world @ [0, 0, 0, 1]
    for i, (word, size) in enumerate(zip(words, (25, 9.8, 0.7), strict=True)):
        step = np.eye(4)[i] + [0, 0, 0, 1]
        np.testing.assert_allclose(
            (array.voxel_to_world @ step - start)[:3], np.multiply(RAS[word], size), atol=1e-12
        )
    # On an oriented axis, a translation is a place on that axis.
    vectors = np.array([RAS[word] for word in words])
    np.testing.assert_allclose(start[:3], vectors.T @ [100, -4, 7], atol=1e-12)
    own = words == ("inferior-to-superior", "posterior-to-anterior", "left-to-right")
    assert (array.spec.directions is None) == own
    assert array.offset == (Fraction("87.5"), Fraction("-8.9"), Fraction("6.65"))


@pytest.mark.parametrize(
    "words",
    [
        ("dorsal-to-ventral", "rostral-to-caudal", "left-to-right"),
        ("superior-to-inferior", None, "right-to-left"),
        ("superior-to-inferior", "right-to-left", "right-to-left"),
    ],
)
def test_words_that_name_no_frame_are_kept_and_turn_nothing(tmp_path, words):
    path = stored(tmp_path / "a.zarr", [([1, 1, 1], [0, 0, 0])], axes=axes_of(*words))
    array = opened(path)
    assert array.spec.directions is None
    assert array.attrs["axis_orientation"] == dict(zip("zyx", words, strict=True))


def zarrnii_affine(code, scale, translation):
    """As ZarrNii 0.21 makes it, for x, y, z: the translation is a place in the world."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for i, (axis, sign) in enumerate(axcodes2ornt(code)):
        affine[int(axis), i] = sign * scale[i]
        affine[int(axis), 3] = translation[i]
    return affine


@pytest.mark.parametrize("code", ["RAS", "LPI", "LAS", "ARS", "SPR", "lps"])
@pytest.mark.parametrize("older", [False, True])
def test_zarrniis_orientation(tmp_path, code, older):
    attributes = {"orientation": code[::-1]} if older else {"xyz_orientation": code}
    steps = [([25, 9.8, 0.7], [100, -4, 7]), ([25, 19.6, 1.4], [100, 0.9, 7.35])]
    path = stored(tmp_path / "a.zarr", steps, levels=("0", "1"), **attributes)
    array = opened(path)
    theirs = zarrnii_affine(code.upper(), [0.7, 9.8, 25], [7, -4, 100])
    for index in itertools.product((0, 3), (0, 7), (0, 7)):
        ours = (array.voxel_to_world @ [*index, 1])[:3]
        np.testing.assert_allclose(ours[::-1], (theirs @ [*index[::-1], 1])[:3], atol=1e-9)
    coarse = opened(path, level=1)
    assert coarse.roi == array.roi


def test_what_the_axes_say_comes_before_zarrniis_attribute(tmp_path):
    words = ("inferior-to-superior", "posterior-to-anterior", "right-to-left")
    steps = [([1, 1, 1], [0, 0, 5])]
    path = stored(tmp_path / "a.zarr", steps, axes=axes_of(*words), xyz_orientation="RPI")
    array = opened(path)
    assert array.spec.directions == ((1, 0, 0), (0, 1, 0), (0, 0, -1))
    assert array.offset[2] == Fraction("4.5")


def test_an_orientation_that_is_none(tmp_path):
    path = stored(tmp_path / "a.zarr", [([1, 1, 1], [0, 0, 0])], xyz_orientation="RAX")
    with pytest.raises(SourceError, match="not an anatomical orientation") as caught:
        opened(path)
    assert str(path) in caught.value.where
    path = stored(tmp_path / "b.zarr", [([1, 1, 1], [0, 0, 0])], orientation="portrait")
    assert opened(path).spec.directions is None  # somebody else's attribute
    assert opened(path).attrs["orientation"] == "portrait"
