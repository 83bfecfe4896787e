import itertools

import numpy as np
import pytest
from nibabel.orientations import aff2axcodes

from dacapo_like.anatomy import directions_of, is_anatomical, is_code, words_of, words_of_code
from dacapo_like.errors import SourceError

AXES = ("z", "y", "x")
PAIRS = ["RL", "AP", "SI"]
CODES = [
    "".join(letters)
    for order in itertools.permutations(PAIRS)
    for letters in itertools.product(*order)
]


@pytest.mark.parametrize("code", CODES)
def test_directions_are_those_that_nibabel_names(code):
    directions = directions_of(words_of_code(code, AXES), AXES)
    vectors = np.eye(3) if directions is None else np.array(directions)
    affine = np.eye(4)
    affine[:3, :3] = vectors[::-1, ::-1].T  # x, y, z
    assert "".join(aff2axcodes(affine)) == code
    assert words_of(directions, AXES) == words_of_code(code, AXES)
    assert is_anatomical(words_of_code(code, AXES))
    assert is_code(code)


def test_other_orders_of_axes():
    words = ("right-to-left", "posterior-to-anterior")
    assert directions_of(words, ("x", "y")) == ((-1, 0), (0, 1))
    assert words_of(((-1, 0), (0, 1)), ("x", "y")) == words
    assert directions_of(words, ("y", "x")) == ((0, -1), (1, 0))


def test_what_points_out_of_a_plane_or_names_nothing():
    assert directions_of(("superior-to-inferior", "right-to-left"), ("y", "x")) is None
    assert directions_of((), AXES) is None
    assert words_of(((0.6, 0.8), (-0.8, 0.6)), ("y", "x")) is None
    assert words_of(None, ("depth", "y", "x")) is None
    assert not is_anatomical(())
    assert not is_anatomical(("dorsal-to-ventral",))


@pytest.mark.parametrize("code", ["RA", "RRS", "RAX", "", "RASS", 7, None, ["R", "A", "S"]])
def test_what_is_no_code(code):
    assert not is_code(code)
    with pytest.raises(SourceError, match="not an anatomical orientation"):
        words_of_code(code, AXES)
