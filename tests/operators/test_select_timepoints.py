import numpy as np
import pytest

from dacapo_like import (
    Roi,
    SelectTimepointsArrayConfig,
    create_array,
    from_numpy,
    open_array,
    verify,
)
from dacapo_like.errors import ConfigError, SpecError, WriteError
from dacapo_like.geometry import Box
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


class TestLaws(ArrayContract):
    def case_a_list(self, directory):
        voxels = sample_voxels((7, 3, 4), "uint8")
        source = as_zarr(voxels, directory / "a", axes="tyx", voxel_size=(9.8, 0.7))
        return Case(source.select_timepoints([6, 0, 2, 3]), voxels[[6, 0, 2, 3]])

    def case_a_single_one_drops_the_axis(self, directory):
        voxels = sample_voxels((4, 2, 3, 5), "float64")
        source = as_zarr(voxels, directory / "a", axes="tcyx")
        return Case(source.select_timepoints(3), voxels[3])

    def case_a_span(self, directory):
        voxels = sample_voxels((6, 2, 3, 5), "int32")
        source = as_zarr(voxels, directory / "a", axes="tcyx")
        return Case(source.select_timepoints(start=2, stop=5), voxels[2:5])

    def case_behind_channels(self, directory):
        voxels = sample_voxels((2, 5, 3, 4), "uint64")
        source = as_zarr(voxels, directory / "a", axes="ctyx")
        return Case(source.select_timepoints(range(0, 5, 2)), voxels[:, ::2])

    def case_of_chosen_channels(self, directory):
        voxels = sample_voxels((5, 4, 3, 4), "uint16")
        source = as_zarr(voxels, directory / "a", axes="tcyx")
        chosen = source.select_channels([3, 0]).select_timepoints([4, 1]).select_channels(1)
        return Case(chosen, voxels[[4, 1], 0])


@pytest.fixture
def film():
    return from_numpy(np.arange(60).reshape(5, 3, 4), axes="tyx", kind="image")


def test_the_rest_of_the_spec_stays(film):
    assert film.select_timepoints([3, 1]).spec == film.spec.replace(shape=(2, 3, 4))
    assert film.select_timepoints(start=3).shape == (2, 3, 4)
    assert film.select_timepoints(stop=3).shape == (3, 3, 4)
    single = film.select_timepoints(2)
    assert single.spec == film.spec.replace(axes="yx", shape=(3, 4))


def test_only_the_timepoints_are_read(watched, film):
    source = watched(film)
    chosen = SelectTimepointsArrayConfig(source_array_config=source, timepoints=[4, 0, 1]).array()
    chosen.read()
    assert sorted(source.boxes) == [Box((0, 0, 0), (2, 3, 4)), Box((4, 0, 0), (1, 3, 4))]
    source.boxes.clear()
    chosen[1:2, 1:]
    assert source.boxes == [Box((0, 1, 0), (1, 2, 4))]


def test_a_long_span_is_not_spelled_out(unreadable):
    film = unreadable(from_shape((10**12, 2, 2), axes="tyx"))
    assert film.select_timepoints(start=5).shape == (10**12 - 5, 2, 2)


def test_what_is_assigned_goes_to_the_source_where_it_is_a_run(tmp_path):
    source = create_array(
        tmp_path / "a.zarr",
        "raw",
        axes="tyx",
        roi=Roi((0, 0), (3, 4)),
        voxel_size=(1, 1),
        dtype="uint8",
        lengths={"t": 5},
    )
    source.select_timepoints(start=3)[1, 0] = 7
    source.select_timepoints([1, 2])[0, 0] = 3
    source.select_timepoints([0])[0, 0] = 1
    assert source[:, 0, 0].tolist() == [1, 3, 0, 0, 7]
    for others in (2, [0, 2], [2, 1]):
        chosen = source.select_timepoints(others)
        assert not chosen.writable
        with pytest.raises(WriteError, match="not writable"):
            chosen[...] = 1


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"timepoints": 5}, ("timepoints",)),
        ({"timepoints": -1}, ("timepoints",)),
        ({"timepoints": [0, 5]}, ("timepoints", 1)),
        ({"start": 5}, ("start",)),
        ({"start": -1}, ("start",)),
        ({"start": 1, "stop": 6}, ("stop",)),
        ({"start": 3, "stop": 3}, ("stop",)),
        ({"stop": 0}, ("stop",)),
    ],
)
def test_timepoints_that_are_not_there(film, fields, key):
    with pytest.raises(SpecError) as error:
        film.select_timepoints(**fields)
    assert error.value.key == key


def test_an_array_without_time():
    with pytest.raises(SpecError, match="no timepoints to select"):
        from_numpy(np.zeros((2, 2))).select_timepoints(0)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"timepoints": []},
        {"timepoints": [0, 0]},
        {"timepoints": "0"},
        {"timepoints": True},
        {"timepoints": [0.5]},
        {"timepoints": 0, "start": 0},
        {"timepoints": [1], "stop": 2},
    ],
)
def test_what_says_no_timepoints(film, fields):
    with pytest.raises(ConfigError):
        film.select_timepoints(**fields)


def test_documents_say_single_ones_lists_and_spans(tmp_path):
    source = as_zarr(np.zeros((4, 2, 2), "uint8"), tmp_path / "a.zarr", axes="tyx")
    document = {
        "type": "select_timepoints",
        "source": {"type": "zarr", "file_name": source.config.file_name},
    }
    assert open_array({**document, "timepoints": 2}).shape == (2, 2)
    assert open_array({**document, "timepoints": [2]}).shape == (1, 2, 2)
    assert open_array({**document, "start": 1, "stop": 3}).shape == (2, 2, 2)
    (problem,) = verify({**document, "stop": 9})
    assert problem.key == "stop"
