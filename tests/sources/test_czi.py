"""Against the voxels that went into files which pylibCZIrw wrote."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dacapo_like import CziArrayConfig, Roi, dump, load, verify
from dacapo_like.errors import ConfigError, ReadError, SourceError, SpecError
from dacapo_like.geometry import Box, Coordinate
from dacapo_like.testing import ArrayContract, Case, sample_voxels

czi = pytest.importorskip("pylibCZIrw.czi", reason="pylibCZIrw has no wheel for this platform")


def write(path, scenes, metadata=None, **options):
    """Write scenes given as (voxels t c z y x, first indices t c z, first pixel x y), by their number."""
    with czi.create_czi(str(path), **options) as file:
        for scene, (voxels, first, location) in scenes.items():
            for index in np.ndindex(voxels.shape[:3]):
                plane = {d: i + at for d, i, at in zip("TCZ", index, first, strict=True)}
                file.write(voxels[index], plane=plane, location=location, scene=scene)
        file.write_metadata(**metadata or {})
    return path


def write_one(path, voxels, first=(0, 0, 0), location=(0, 0), metadata=None, **options):
    return write(path, {0: (voxels, first, location)}, metadata, **options)


def opened(path, **fields):
    return CziArrayConfig(file_name=str(path), **fields).array()


class TestLaws(ArrayContract):
    def case_all_axes(self, directory):
        voxels = sample_voxels((2, 3, 4, 20, 17), "uint16")
        metadata = {"scale_x": 6.5e-8, "scale_y": 6.5e-8, "scale_z": 2e-7}
        path = write_one(directory / "a.czi", voxels, (0, 0, 0), (5, 9), metadata)
        return Case(opened(path, channels=[2, 0]), voxels[:, [2, 0]])

    def case_a_plane_of_floats(self, directory):
        voxels = sample_voxels((1, 1, 1, 20, 17), "float32")
        return Case(opened(write_one(directory / "a.czi", voxels)), voxels[0, 0, 0])

    def case_colours(self, directory):
        voxels = sample_voxels((1, 1, 3, 20, 17, 3), "uint8")
        array = opened(write_one(directory / "a.czi", voxels))
        return Case(array, np.moveaxis(voxels[0, 0], -1, 0)[::-1])

    def case_a_scene(self, directory):
        scenes = {
            0: (sample_voxels((1, 2, 1, 12, 11), "uint8"), (0, 0, 0), (-9, -8)),
            1: (sample_voxels((1, 2, 1, 5, 30), "uint8", 1), (0, 0, 0), (40, 3)),
        }
        path = write(directory / "a.czi", scenes)
        return Case(opened(f"{path}@1", snap_to_grid=(1, 2)), scenes[1][0][0, :, 0])

    def case_time_as_depth(self, directory):
        voxels = sample_voxels((3, 1, 2, 9, 8), "uint8")
        array = opened(write_one(directory / "a.czi", voxels), depth_axis="T")
        return Case(array, voxels[:, 0].swapaxes(0, 1))


# Where the voxels are


def test_indices_that_start_anywhere(tmp_path):
    voxels = sample_voxels((2, 3, 4, 20, 17), "uint16")
    metadata = {"scale_x": 0.5e-6, "scale_y": 0.25e-6, "scale_z": 2e-6}
    array = opened(write_one(tmp_path / "a.czi", voxels, (5, 2, 4), (-7, 11), metadata))
    assert array.axes == ("t", "c", "z", "y", "x")
    assert array.roi == Roi((8, Fraction(11, 4), Fraction(-7, 2)), (8, 5, Fraction(17, 2)))
    assert array.units == ("micrometer",) * 3
    np.testing.assert_array_equal(array.read(), voxels)
    box = Box((1, 1, 2, 3, 4), (1, 2, 2, 10, 5))
    np.testing.assert_array_equal(array.read_box(box), voxels[box.slices])
    moved = opened(tmp_path / "a.czi", offset=(0, 0, 0), voxel_size=(1, 1, 1))
    assert moved.roi == Roi((0, 0, 0), (4, 20, 17))
    assert opened(tmp_path / "a.czi", voxel_size=(1, 1, 1)).roi.offset == Coordinate((4, 11, -7))


def test_single_planes_that_start_anywhere(tmp_path):
    voxels = sample_voxels((1, 1, 1, 20, 17), "uint16")
    path = write_one(tmp_path / "a.czi", voxels, (5, 3, 4), (-7, 11))
    np.testing.assert_array_equal(opened(path).read(), voxels[0, 0, 0])


def test_ragged_scenes_lie_as_they_were_taken(tmp_path):
    """Numbers of scenes may leave gaps, which the library's own list of scenes does not allow."""
    scenes = {
        0: (sample_voxels((1, 1, 2, 12, 11), "uint8"), (0, 0, 0), (-9, -8)),
        3: (sample_voxels((1, 1, 4, 5, 30), "uint8", 1), (0, 0, 2), (40, 3)),
    }
    path = write(tmp_path / "a.czi", scenes, {"scale_x": 1e-6, "scale_y": 1e-6, "scale_z": 1e-6})
    with pytest.raises(SourceError, match="several scenes") as error:
        opened(path)
    assert error.value.expected == "one of 0 (12 x 11), 3 (5 x 30)"
    assert error.value.key == ("scene",)
    with pytest.raises(SourceError, match="no such scene") as error:
        opened(path, scene=1)
    offsets = {0: (0, -8, -9), 3: (2, 3, 40)}
    for scene, (voxels, _, _) in scenes.items():
        for array in (opened(path, scene=scene), opened(f"{path}@{scene}")):
            np.testing.assert_array_equal(array.read(), voxels[0, 0])
            assert array.roi == Roi(offsets[scene], voxels.shape[2:])


def test_overlapping_scenes_do_not_mix(tmp_path):
    scenes = {
        scene: (np.full((1, 1, 1, 9, 9), scene + 1, "uint8"), (0, 0, 0), (scene * 3, 0))
        for scene in range(2)
    }
    path = write(tmp_path / "a.czi", scenes)
    for scene in range(2):
        assert np.unique(opened(path, scene=scene).read()).tolist() == [scene + 1]


def test_scenes_that_are_named_twice():
    assert CziArrayConfig(file_name="a.czi@1", scene=1).scene == 1
    with pytest.raises(ConfigError, match="different scenes") as error:
        CziArrayConfig(file_name="a.czi@1", scene=2)
    assert error.value.key == ("scene",)


def test_mosaics_are_stitched(tmp_path):
    voxels = sample_voxels((60, 50), "uint16")
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        for y in (0, 20, 40):
            for x in (0, 25):
                file.write(
                    np.ascontiguousarray(voxels[y : y + 20, x : x + 25]),
                    location=(x - 30, y + 7),
                    compression_options="zstd1:ExplicitLevel=10",
                )
    array = opened(tmp_path / "a.czi")
    np.testing.assert_array_equal(array.read(), voxels)
    np.testing.assert_array_equal(array.read_box(Box((15, 20), (11, 9))), voxels[15:26, 20:29])
    assert array.chunks == (20, 25)


# Axes


def test_which_dimension_is_z(tmp_path):
    voxels = sample_voxels((3, 1, 2, 9, 8), "uint8")
    path = write_one(tmp_path / "a.czi", voxels, metadata={"scale_x": 1e-6, "scale_z": 3e-6})
    z, t = opened(path, depth_axis="Z"), opened(path, depth_axis="T")
    none = opened(path, depth_axis="none")
    assert z.axes == ("t", "z", "y", "x")
    assert (z.voxel_size, z.units) == (Coordinate((3, 1, 1)), ("micrometer", None, "micrometer"))
    assert t.axes == ("z^", "z", "y", "x")
    assert (t.voxel_size, t.units) == (Coordinate((1, 1, 1)), (None, None, "micrometer"))
    assert none.axes == ("t", "z^", "y", "x")
    np.testing.assert_array_equal(none.read(), voxels[:, 0])
    np.testing.assert_array_equal(t.read(), voxels[:, 0].swapaxes(0, 1))
    with pytest.raises(ConfigError, match="not one of the choices"):
        CziArrayConfig(file_name="a.czi", depth_axis="C")


@pytest.mark.parametrize(
    ("metadata", "fields", "axes"),
    [
        ({}, {}, "yx"),
        ({"scale_z": 1e-6}, {}, "zyx"),
        ({"channel_names": {0: "DAPI"}}, {}, "cyx"),
        ({}, {"depth_axis": "Z"}, "zyx"),
        ({"scale_z": 1e-6}, {"depth_axis": "none"}, "yx"),
        ({}, {"axes": "czyx"}, "czyx"),
        ({"scale_z": 1e-6}, {"axes": "yx"}, "yx"),
    ],
)
def test_axes_of_length_one_stay_where_something_is_said_of_them(tmp_path, metadata, fields, axes):
    voxels = sample_voxels((1, 1, 1, 9, 8), "uint8")
    array = opened(write_one(tmp_path / "a.czi", voxels, metadata=metadata), **fields)
    assert array.axes == tuple(axes)
    np.testing.assert_array_equal(np.squeeze(array.read()), voxels[0, 0, 0])


def write_planes(path, planes):
    """Write planes by all their coordinates, of which the writer's own function knows but few."""
    with czi.create_czi(str(path)) as file:
        for coordinates, voxels in planes.items():
            data = file._format_data(voxels)
            assert file._czi_writer.AddTile(coordinates, data, 2, 3, 0, "")
    return path


def test_other_dimensions_and_no_scene(tmp_path):
    voxels = sample_voxels((2, 3, 9, 8), "uint8")
    planes = {f"H{h + 1} C{c} V4": voxels[h, c] for h in range(2) for c in range(3)}
    path = write_planes(tmp_path / "a.czi", planes)
    array = opened(path)
    assert array.axes == ("h^", "c", "y", "x")
    np.testing.assert_array_equal(array.read(), voxels)
    with pytest.raises(SourceError, match="no such scene") as error:
        opened(path, scene=0)
    assert error.value.expected == "no scene: it has none"


def test_channels_by_name(tmp_path):
    voxels = sample_voxels((1, 3, 1, 9, 8), "uint8")
    metadata = {"channel_names": {0: "DAPI", 1: "GFP", 2: "Cy5"}}
    path = write_one(tmp_path / "a.czi", voxels, metadata=metadata)
    assert opened(path).channels == ("DAPI", "GFP", "Cy5")
    np.testing.assert_array_equal(
        opened(path, channels=["Cy5", "DAPI"]).read(), voxels[0, [2, 0], 0]
    )
    with pytest.raises(SpecError, match="no such channel"):
        opened(path, channels=["GPF"])


def test_colours_are_red_green_blue(tmp_path):
    """CZI stores blue, green, red; so does the array that its library writes."""
    blue = np.zeros((1, 1, 1, 9, 8, 3), "uint16")
    blue[..., 0] = 7
    array = opened(write_one(tmp_path / "a.czi", blue))
    assert array.axes == ("c", "y", "x")
    assert [int(channel.max()) for channel in array.read()] == [0, 0, 7]
    two = np.concatenate([blue, blue], axis=1)
    assert opened(write_one(tmp_path / "b.czi", two)).axes == ("c", "s^", "y", "x")


def test_channels_of_several_types_become_the_one_that_holds_all(tmp_path):
    small, large = sample_voxels((9, 8), "uint8"), sample_voxels((9, 8), "uint16")
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        file.write(small, plane={"C": 0})
        file.write(large, plane={"C": 1})
    array = opened(tmp_path / "a.czi")
    assert array.dtype == np.dtype("uint16")
    np.testing.assert_array_equal(array.read(), np.stack([small, large]))
    with czi.create_czi(str(tmp_path / "b.czi")) as file:
        file.write(small, plane={"C": 0})
        file.write(np.stack([small] * 3, axis=-1), plane={"C": 1})
    with pytest.raises(SourceError, match="channels of grey and of colour"):
        opened(tmp_path / "b.czi")


def test_a_file_that_nobody_measured_has_no_units(tmp_path):
    array = opened(write_one(tmp_path / "a.czi", sample_voxels((1, 1, 2, 9, 8), "uint8")))
    assert array.units == (None,) * 3
    assert array.voxel_size == Coordinate((1, 1, 1))


def test_a_file_without_metadata_is_read(tmp_path):
    voxels = sample_voxels((9, 8), "uint8")
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        file.write(voxels)
        file._metadata_writen = True
    array = opened(tmp_path / "a.czi")
    np.testing.assert_array_equal(array.read(), voxels)
    assert array.units == (None, None)


# Faults


@pytest.mark.parametrize("size", [b"1e99999999", b"1e-9999999"])
def test_a_size_without_end_is_an_error(tmp_path, size):
    voxels = sample_voxels((1, 1, 1, 9, 8), "uint8")
    path = write_one(tmp_path / "a.czi", voxels, metadata={"scale_x": 0.12345678})
    content = path.read_bytes()
    assert b"<Value>0.12345678<" in content
    path.write_bytes(content.replace(b"<Value>0.12345678<", b"<Value>" + size + b"<"))
    with pytest.raises(SourceError, match="metadata of the CZI are corrupt"):
        opened(path)


@pytest.mark.parametrize("spoiled", [b"<Value>x.5", b"<Value<>.5"])
def test_corrupt_metadata_are_an_error(tmp_path, spoiled):
    voxels = sample_voxels((1, 1, 1, 9, 8), "uint8")
    path = write_one(tmp_path / "a.czi", voxels, metadata={"scale_x": 0.5})
    content = path.read_bytes()
    assert b"<Value>0.5" in content
    path.write_bytes(content.replace(b"<Value>0.5", spoiled))
    with pytest.raises(SourceError, match="metadata of the CZI are corrupt"):
        opened(path)


def test_a_plane_that_is_missing_is_not_zeros(tmp_path):
    voxels = sample_voxels((9, 8), "uint8")
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        for t, z in [(0, 0), (0, 1), (1, 0)]:
            file.write(voxels, plane={"T": t, "Z": z})
    array = opened(tmp_path / "a.czi")
    np.testing.assert_array_equal(array[0], np.stack([voxels] * 2))
    with pytest.raises(ReadError, match="a plane is not in the file") as error:
        array.read()
    assert "'T': 1, 'C': 0, 'Z': 1" in error.value.where


def test_a_file_that_is_not_there(tmp_path):
    write_one(tmp_path / "scan.czi", sample_voxels((1, 1, 1, 9, 8), "uint8"))
    with pytest.raises(SourceError, match="file does not exist") as error:
        opened(tmp_path / "scam.czi")
    assert error.value.hint == "did you mean 'scan.czi'?"


@pytest.mark.parametrize("content", [b"", b"hello", bytes(2000)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.czi").write_bytes(content)
    with pytest.raises(SourceError, match="not a CZI file") as error:
        opened(tmp_path / "a.czi")
    assert error.value.where == str(tmp_path / "a.czi")


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_an_error(tmp_path, kept):
    path = write_one(tmp_path / "a.czi", sample_voxels((2, 2, 2, 40, 30), "uint16"))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(SourceError):
        opened(path).read()


def test_a_spoiled_tile_does_not_spoil_others(tmp_path):
    voxels = sample_voxels((1, 1, 3, 40, 30), "uint16")
    path = write_one(tmp_path / "a.czi", voxels, compression_options="zstd1:ExplicitLevel=3")
    content = path.read_bytes()
    starts = [i for i in range(0, len(content), 32) if content[i:].startswith(b"ZISRAWSUBBLOCK")]
    assert len(starts) == 3
    path.write_bytes(content[: starts[2]] + b"spoiled" + content[starts[2] + 7 :])
    array = opened(path)
    np.testing.assert_array_equal(array[:2], voxels[0, 0, :2])
    with pytest.raises(ReadError, match="voxels cannot be read") as error:
        array.read()
    assert "'Z': 2" in error.value.where


def test_a_library_that_is_not_installed_is_named(tmp_path):
    path = write_one(tmp_path / "a.czi", sample_voxels((1, 1, 1, 9, 8), "uint8"))
    program = (
        "import sys; sys.modules['pylibCZIrw'] = None\n"
        "from dacapo_like import CziArrayConfig\n"
        f"CziArrayConfig(file_name={str(path)!r}).array()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "MissingExtraError: czi: pylibCZIrw cannot be imported" in done.stderr
    assert "pip install 'dacapo_like[czi]'" in done.stderr


# Files and processes


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_files_close_with_their_arrays(tmp_path):
    path = write_one(tmp_path / "a.czi", sample_voxels((1, 1, 1, 9, 8), "uint8"))

    def handles():
        gc.collect()
        links = (item for item in Path("/proc/self/fd").iterdir() if item.is_symlink())
        return sum(item.readlink() == path for item in links)

    array = opened(path)
    array.read()
    assert handles() == 1
    del array
    assert handles() == 0


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # that is what is tried
def test_reading_before_and_after_a_fork(tmp_path):
    voxels = sample_voxels((1, 2, 20, 64, 64), "uint16")
    path = write_one(tmp_path / "a.czi", voxels, compression_options="zstd1:ExplicitLevel=3")
    array = opened(path)
    array.read_box(Box((0, 0, 0, 0), (1, 1, 1, 1)))
    boxes = [Box((i % 2, i % 20, i % 32, 0), (1, 1, 32, 64)) for i in range(60)]
    expected = [int(voxels[0][box.slices].sum()) for box in boxes]

    def work(queue):
        queue.put([int(array.read_box(box).sum()) for box in boxes])

    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()
    children = [fork.Process(target=work, args=(queue,)) for _ in range(2)]
    for child in children:
        child.start()
    assert [int(array.read_box(box).sum()) for box in boxes] == expected
    assert [queue.get() for _ in children] == [expected] * 2
    for child in children:
        child.join()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array)).read(), voxels[0])


def test_a_document_names_it(tmp_path):
    scenes = {
        scene: (np.full((1, 1, 2, 9, 8), scene, "uint8"), (0, 0, 0), (scene * 20, 0))
        for scene in range(2)
    }
    write(tmp_path / "a.czi", scenes)
    document = tmp_path / "a.yaml"
    document.write_text('type: czi\nfile_name: "a.czi@1"\ndepth_axis: Z\n')
    assert verify(document) == []
    config = load(document)
    assert np.unique(config.array().read()).tolist() == [1]
    assert "file_name: a.czi@1" in dump(config, relative_to=tmp_path).replace('"', "")
