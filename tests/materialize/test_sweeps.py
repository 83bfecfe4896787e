"""Blocks cover every level, share no file, and fit into memory."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

import dacapo_like
from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Box
from dacapo_like.materialize.sweeps import Pyramid, Sweep, part_of_level
from dacapo_like.pyramids import coarser
from dacapo_like.spec import from_shape


def pyramid_of(shape, cells, file_shape, dtype="uint8", held=lambda _: 0):
    axes = "czyx"[4 - len(shape) :]
    cells = [tuple(1 if axis == "c" else n for axis, n in zip(axes, c, strict=True)) for c in cells]
    levels = [from_shape(shape, dtype, axes=axes)]
    for cell in cells:
        levels.append(coarser(levels[-1], cell[len(levels[-1].leading_axes) :]))
    return Pyramid(levels, cells, file_shape, held)


def drawn(seed):
    """Draw a small pyramid."""
    draw = random.Random(seed)
    ndim = draw.randint(1, 4)
    shape = tuple(draw.randint(1, (200, 40, 14, 7)[ndim - 1]) for _ in range(ndim))
    cells, left = [], shape
    for _ in range(draw.randint(0, 4)):
        cell = tuple(draw.randint(1, min(3, n)) for n in left)
        cells.append((1, *cell[1:]) if ndim == 4 else cell)
        left = tuple(n // f for n, f in zip(left, cells[-1], strict=True))
    file_shape = tuple(draw.randint(1, 9) for _ in shape)
    pyramid = pyramid_of(shape, cells, file_shape, draw.choice(["uint8", "float64"]))
    return pyramid, draw.randint(1, 4), draw.choice([None, 10**5, 10**9])


def written(pyramid, sweep, index):
    """Give what a block writes of each level."""
    box = sweep.block(index)
    for level in range(sweep.level, sweep.last + 1):
        if level > sweep.level:
            box = part_of_level(box, pyramid.cells[level - 1], pyramid.levels[level])
        if level in sweep.writes:
            yield level, box


@pytest.mark.parametrize("seed", range(40))
def test_every_voxel_of_every_level_is_written_once_and_files_belong_to_one_block(seed):
    pyramid, workers, most = drawn(seed)
    try:
        sweeps = pyramid.sweeps(workers, most)
    except ConfigError:
        assert most == 10**5
        return
    counts = [np.zeros(level.shape, int) for level in pyramid.levels]
    owners: dict[tuple, tuple] = {}
    assert sweeps[0].level == 0
    for number, sweep in enumerate(sweeps):
        assert sweep.level == (sweeps[number - 1].last if number else 0)
        assert sweep.computes == (number == 0)
        assert most is None or pyramid.memory(sweep) <= most
        for index in range(sweep.total):
            for level, box in written(pyramid, sweep, index):
                counts[level][box.slices] += 1
                files = [
                    range(a // n, -(-b // n))
                    for a, b, n in zip(box.offset, box.end, pyramid.file_shape, strict=True)
                ]
                for file in itertools.product(*files):
                    assert owners.setdefault((level, *file), (number, index)) == (number, index)
    assert sweeps[-1].last == len(pyramid.levels) - 1
    assert all((count == 1).all() for count in counts)


@pytest.mark.parametrize("seed", range(40))
def test_pieces_make_up_a_block_and_hold_whole_coarser_voxels(seed):
    pyramid, workers, _ = drawn(seed)
    for sweep in pyramid.sweeps(workers):
        index = sweep.total - 1
        block = sweep.block(index)
        count = np.zeros(block.shape, int)
        for piece in sweep.pieces(block):
            count[piece.slices_in(block)] += 1
            if sweep.last > sweep.level:
                cells = pyramid.cells[sweep.level]
                assert not any(a % c for a, c in zip(piece.offset, cells, strict=True))
            if sweep.computes:
                assert not any(a % n for a, n in zip(piece.offset, pyramid.file_shape, strict=True))
        assert (count == 1).all()


def test_a_volume_of_usual_size_is_swept_twice_for_four_levels():
    pyramid = pyramid_of((1024, 1024, 512), [(2, 2, 2)] * 3, (64, 64, 64))
    first, second = pyramid.sweeps(2)
    assert (first.last, first.block_shape, first.total) == (2, (256, 256, 256), 32)
    assert (second.level, list(second.writes), second.total) == (2, [3], 4)


def test_blocks_grow_until_a_task_is_worth_it():
    (sweep,) = pyramid_of((4096,) * 3, [], (16, 16, 16)).sweeps(2)
    assert sweep.block_shape == (256, 256, 256)
    (sweep,) = pyramid_of((64,) * 3, [], (16, 16, 16)).sweeps(2)
    assert sweep.total >= 16


def test_the_memory_that_a_read_holds_counts():
    bound = 2**25
    for held in (0, 4):
        pyramid = pyramid_of(
            (2048,) * 3, [(2, 2, 2)] * 2, (64,) * 3, held=lambda box, n=held: n * box.size
        )
        sweep = pyramid.sweeps(1, bound)[0]
        piece = math.prod(sweep.piece_shape)
        assert (4 + 2 * held) * piece <= pyramid.memory(sweep) <= bound


def test_what_cannot_fit_says_what_would():
    with pytest.raises(ConfigError, match=r"at least 4\.0 GiB") as caught:
        pyramid_of((4096,) * 3, [], (1024, 1024, 1024)).sweeps(1, 2**30)
    assert caught.value.key == ("memory",)


@pytest.mark.parametrize("edge", [10**3, 10**4, 10**5])
def test_choosing_costs_nothing_however_large_the_volume(edge):
    sweeps = pyramid_of((edge,) * 3, [(2, 2, 2)] * 5, (64,) * 3).sweeps(2)
    assert sum(sweep.total for sweep in sweeps) <= 3 * (edge / 256 + 1) ** 3
    last = sweeps[0].total - 1
    assert sweeps[0].block(last).end == (edge,) * 3
    assert Sweep.loaded(sweeps[0].dumped()) == sweeps[0]
    assert isinstance(sweeps[0].block(0), Box)


def test_a_first_sweep_of_the_finest_level_alone_has_others_behind_it(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 200, (70, 150, 140)).astype("uint8")
    array = dacapo_like.from_numpy(voxels, voxel_size=(9.8, 4, 4), units="nanometer")
    array.save(tmp_path / "a.zarr", chunks=(32, 50, 64))
    for level, factors in enumerate([(1, 1, 1), (1, 2, 2)]):
        document = {"type": "zarr", "file_name": str(tmp_path / "a.zarr"), "level": level}
        expected = array.downsample(factors) if level else array
        np.testing.assert_array_equal(
            np.asarray(dacapo_like.open_array(document)), np.asarray(expected)
        )
