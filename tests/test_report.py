"""Trees as text, and pictures whose pixels are the voxels."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

import dacapo_like
from dacapo_like.errors import SpecError
from dacapo_like.report import save_slices, tree_of


def text_of(array):
    console = Console(width=120, highlight=False)
    with console.capture() as capture:
        console.print(tree_of(array))
    return capture.get()


def test_tree_shows_every_node_once_per_use():
    raw = dacapo_like.from_numpy(
        np.zeros((4, 6), "uint8"), voxel_size=(9.8, 4), units="nm", name="raw [a]"
    )
    both = raw.intensities(min=0, max=1).concat({"ones": raw.ones_like()}, name="grey")
    text = text_of(both)
    assert text.count("numpy 'raw [a]'") == 2
    assert "sources.grey: intensities" in text
    assert "sources.ones: ones" in text
    assert "axes c 2 y 4 x 6 · float32 · image" in text
    assert text.count("voxel size (9.8, 4) nm") == 5
    assert "channels grey, ones" in text


def panel(path, left, right):
    picture = imread(path)[..., :3].mean(-1)
    width = picture.shape[1]
    return picture[:, int(left * width) : int(right * width)]


def test_picture_shows_the_middle_slice_of_every_channel(tmp_path):
    dark, bright = np.zeros((5, 8, 8), "uint8"), np.zeros((5, 8, 8), "uint8")
    bright[2] = np.indices((8, 8)).sum(0) % 2 * 255  # a chessboard in the middle slice only
    one = dacapo_like.from_numpy(dark)
    both = dacapo_like.from_numpy(dark).concat(
        {"board": dacapo_like.from_numpy(bright)}, name="empty"
    )
    path = save_slices({"one": one, "both": both}, tmp_path / "sub" / "a.png")
    inner = [panel(path, i / 3 + 0.1, (i + 1) / 3 - 0.05)[100:-100] for i in range(3)]
    assert np.median(inner[0]) == np.median(inner[1]) == 0
    board = inner[2]
    assert 0.3 < (board > 0.9).mean() < 0.7
    assert 0.3 < (board < 0.1).mean() < 0.7


def test_arrays_are_cut_at_one_world_position(tmp_path):
    ramp = np.arange(10, dtype="uint8")[:, None, None] * np.ones((10, 4, 4), "uint8")
    marked = ramp.copy()
    marked[7, ::2] = 255
    whole = dacapo_like.from_numpy(marked)
    upper = whole.crop(dacapo_like.Roi((6, 0, 0), (3, 4, 4)))  # its middle is voxel 7
    path = save_slices({"whole": whole, "upper": upper}, tmp_path / "a.png")
    left = panel(path, 0.1, 0.45)[100:-100]
    assert (left > 0.9).mean() > 0.2


def test_labels_are_coloured(tmp_path):
    labels = dacapo_like.from_numpy(np.arange(16, dtype="uint64").reshape(4, 4))
    picture = imread(save_slices({"labels": labels}, tmp_path / "a.png"))
    assert np.abs(picture[..., 0] - picture[..., 2]).max() > 0.5


def test_a_line_cannot_be_drawn(tmp_path):
    with pytest.raises(SpecError, match="nothing to draw"):
        save_slices({"line": dacapo_like.from_numpy(np.zeros(4))}, tmp_path / "a.png")
