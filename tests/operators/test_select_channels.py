import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like import Roi, SelectChannelsArrayConfig, create_array, from_numpy, open_array, verify
from dacapo_like.errors import ConfigError, SpecError, WriteError
from dacapo_like.geometry import Box
from dacapo_like.report import tree_of
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


class TestLaws(ArrayContract):
    def case_a_list_in_another_order(self, directory):
        voxels = sample_voxels((5, 4, 6), "uint8")
        source = as_zarr(voxels, directory / "a", axes="cyx", voxel_size=(9.8, 0.7), units="nm")
        return Case(source.select_channels([4, 0, 1]), voxels[[4, 0, 1]])

    def case_one_in_a_list_behind_time(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "float32")
        source = as_zarr(voxels, directory / "a", axes="tcyx")
        return Case(source.select_channels([2]), voxels[:, [2]])

    def case_a_single_one_drops_the_axis(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "int16")
        source = as_zarr(voxels, directory / "a", axes="tcyx", voxel_size=(4, 2))
        return Case(source.select_channels(1), voxels[:, 1])

    def case_channels_of_a_concat_by_name(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "uint64")
        parts = [as_zarr(v, directory / f"{i}", axes="tyx") for i, v in enumerate(voxels)]
        both = parts[0].concat({"b": parts[1]}, name="a")
        return Case(both.select_channels(["b", "a"]), voxels[::-1])

    def case_a_selection_of_a_selection(self, directory):
        voxels = sample_voxels((6, 4, 5), "bool")
        source = as_zarr(voxels, directory / "a", axes="cyx")
        return Case(source.select_channels([5, 1, 2, 0]).select_channels([2, 0]), voxels[[2, 5]])


@pytest.fixture
def cells():
    data = np.arange(36, dtype="uint8").reshape(3, 3, 4)
    return from_numpy(data, axes="cyx", channels=("DAPI", "GFP", "RFP"))


@given(data=st.data())
def test_any_channels_are_those_of_numpy(data):
    n = data.draw(st.integers(1, 9))
    voxels = sample_voxels((n, 2, 3), "int16")
    wanted = data.draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True))
    array = from_numpy(voxels, axes="cyx").select_channels(wanted)
    np.testing.assert_array_equal(array.read(), voxels[wanted])
    low = data.draw(st.integers(0, len(wanted) - 1))
    high = data.draw(st.integers(low + 1, len(wanted)))
    np.testing.assert_array_equal(array[low:high, 1], voxels[wanted[low:high], 1])


def test_names_follow(cells):
    assert cells.select_channels(["RFP", 0]).channels == ("RFP", "DAPI")
    assert cells.select_channels(["GFP"]).spec == cells.spec.replace(
        shape=(1, 3, 4), channels=("GFP",)
    )
    single = cells.select_channels("GFP")
    assert (single.axes, single.channels, single.num_channels) == (("y", "x"), None, None)
    np.testing.assert_array_equal(single.read(), cells.read()[1])


def test_channels_without_names_get_none():
    array = from_numpy(np.zeros((3, 2, 2)), axes="cyx")
    assert array.select_channels([2, "1"]).channels is None


def test_only_the_channels_are_read(watched, cells):
    source = watched(cells)
    config = SelectChannelsArrayConfig(source_array_config=source, channels=["RFP", "DAPI"])
    config.array().read()
    assert sorted(source.boxes) == [Box((0, 0, 0), (1, 3, 4)), Box((2, 0, 0), (1, 3, 4))]
    source.boxes.clear()
    config.array()[1, 1:2]
    assert source.boxes == [Box((0, 1, 0), (1, 1, 4))]


def test_neighbours_are_read_together(watched, cells):
    source = watched(cells)
    config = SelectChannelsArrayConfig(source_array_config=source, channels=(2, 0, 1))
    np.testing.assert_array_equal(config.array().read(), cells.read()[[2, 0, 1]])
    assert source.boxes == [Box((0, 0, 0), (3, 3, 4))]


def test_no_voxel_is_read_to_open(unreadable):
    assert unreadable(from_shape((3, 8, 8), axes="cyx")).select_channels([1]).shape == (1, 8, 8)


SHOWN = {
    "channels": [
        {"label": "DAPI", "color": "0000FF"},
        {"label": "GFP", "color": "00FF00"},
        {"label": "RFP", "color": "FF0000"},
    ],
    "rdefs": {"model": "color"},
}


def test_what_viewers_are_told_follows(cells):
    source = from_numpy(
        cells.read(), axes="cyx", channels=cells.channels, attrs={"omero": SHOWN, "sample": 3}
    )
    chosen = source.select_channels(["RFP", "DAPI"])
    assert chosen.attrs == {
        "omero": {**SHOWN, "channels": [SHOWN["channels"][2], SHOWN["channels"][0]]},
        "sample": 3,
    }
    assert source.select_channels(1).attrs["omero"]["channels"] == [SHOWN["channels"][1]]


def test_what_viewers_are_told_of_channels_without_names_follows(tmp_path):
    shown = {"channels": [{"color": "0000FF"}, {"color": "00FF00"}, {"color": "FF0000"}]}
    source = from_numpy(np.zeros((3, 4, 4), "uint8"), axes="cyx", attrs={"omero": shown})
    path = source.select_channels([2, 1]).to_ome_zarr(tmp_path / "a.zarr")
    again = open_array({"type": "zarr", "file_name": str(path)})
    colors = [channel["color"] for channel in again.attrs["omero"]["channels"]]
    assert colors == ["FF0000", "00FF00"]


def test_a_written_selection_keeps_its_channels(tmp_path, cells):
    path = cells.select_channels(["RFP", "DAPI"]).to_ome_zarr(tmp_path / "a.zarr")
    again = open_array({"type": "zarr", "file_name": str(path)})
    assert again.channels == ("RFP", "DAPI")
    np.testing.assert_array_equal(again.read(), cells.read()[[2, 0]])


def stored(tmp_path):
    return create_array(
        tmp_path / "a.zarr",
        "raw",
        axes="cyx",
        roi=Roi((0, 0), (3, 4)),
        voxel_size=(1, 1),
        channels=["a", "b", "c", "d"],
        dtype="uint8",
        chunks=(2, 3, 4),
    )


@pytest.mark.parametrize("channels", [["c"], [2], [1, 2], [0, 1, 2, 3]])
def test_what_is_assigned_to_a_run_goes_to_the_source(tmp_path, channels):
    source = stored(tmp_path)
    chosen = source.select_channels(channels)
    chosen[-1, 0] = 7
    assert chosen[-1, 0].tolist() == [7] * 4
    index = 2 if channels == ["c"] else channels[-1]
    assert source[index, 0].tolist() == [7] * 4
    assert source[...].sum() == 28


@pytest.mark.parametrize("channels", [2, "a", ["a", "b"], [1, 0], [0, 2], [0, "b"]])
def test_others_are_not_written_through(tmp_path, channels):
    chosen = stored(tmp_path).select_channels(channels)
    assert not chosen.writable
    with pytest.raises(WriteError, match="select"):
        chosen[...] = 1


def test_chunks_are_no_longer_than_the_axis(tmp_path):
    source = stored(tmp_path)
    assert source.select_channels([3]).chunks == (1, 3, 4)
    assert source.select_channels([3, 0, 1]).chunks == (2, 3, 4)
    assert source.select_channels(3).chunks == (3, 4)


@pytest.mark.parametrize(
    ("channels", "key"),
    [
        (["DAPI", "GPF"], ("channels", 1)),
        ("DAP", ("channels",)),
        (3, ("channels",)),
        ([0, -1], ("channels", 1)),
        ([0, 1, "DAPI"], ("channels", 2)),
        ([1, 1], ("channels", 1)),
    ],
)
def test_channels_that_are_not_there_or_twice(cells, channels, key):
    with pytest.raises(SpecError) as error:
        cells.select_channels(channels)
    assert error.value.key == key


def test_a_mistyped_name_is_mended(cells):
    with pytest.raises(SpecError, match="no such channel") as error:
        cells.select_channels("GPF")
    assert error.value.hint == "did you mean 'GFP'?"


def test_an_array_without_channels():
    with pytest.raises(SpecError, match="no channels to select"):
        from_numpy(np.zeros((2, 2))).select_channels(0)


@pytest.mark.parametrize("channels", [[], [True], 1.0, None, [0.5]])
def test_what_is_no_channel(cells, channels):
    with pytest.raises(ConfigError):
        cells.select_channels(channels)


def test_numpy_s_integers_are_indices(cells):
    assert cells.select_channels(np.array([1, 0])).config == cells.select_channels([1, 0]).config
    assert cells.select_channels(np.int64(1)).axes == ("y", "x")


def test_documents_say_single_ones_and_lists(tmp_path):
    source = as_zarr(np.zeros((3, 2, 2), "uint8"), tmp_path / "a.zarr", axes="cyx")
    document = {
        "type": "select_channels",
        "source": {"type": "zarr", "file_name": source.config.file_name},
    }
    assert open_array({**document, "channels": 2}).shape == (2, 2)
    assert open_array({**document, "channels": "2"}).shape == (2, 2)
    assert open_array({**document, "channels": [2, "0"]}).shape == (2, 2, 2)
    (problem,) = verify({**document, "channels": [0, 7]})
    assert problem.key == "channels[1]"


def test_the_tree_shows_its_source_once(cells):
    tree = tree_of(cells.select_channels([2, 0]))
    assert len(tree.children) == 1
