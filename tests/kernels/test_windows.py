"""Windows against those of SciPy, the rules of nnU-Net and Vooban, and what every window has to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.signal.windows import gaussian, hann, triang

from dacapo_like.errors import ConfigError
from dacapo_like.kernels.windows import window, window_weights

KINDS = ["flat", "hann", "gaussian", "spline"]
LENGTHS = [1, 2, 3, 4, 5, 6, 7, 16, 33, 80]


@pytest.mark.parametrize("n", LENGTHS)
def test_hann_is_every_second_sample_of_scipys(n):
    np.testing.assert_allclose(window("hann", n), hann(2 * n + 1)[1::2], rtol=1e-13)


@pytest.mark.parametrize("n", LENGTHS)
def test_gaussian_is_scipys(n):
    np.testing.assert_allclose(window("gaussian", n), gaussian(n, n / 8), rtol=1e-13)


def test_gaussian_is_nnunets_but_for_where_its_centre_is():
    delta = np.zeros(65)
    delta[32] = 1
    theirs = gaussian_filter1d(delta, 65 / 8, mode="constant")
    np.testing.assert_allclose(window("gaussian", 65), theirs / theirs.max(), rtol=1e-10)


@pytest.mark.parametrize("n", [4, 6, 8, 10, 32, 126])
def test_spline_is_vooban_s(n):
    """Their formula: the halves meet at a quarter of the length, and the mean is 1."""
    quarter = n // 4
    outer = (2 * triang(n)) ** 2 / 2
    outer[quarter : n - quarter] = 0
    inner = 1 - (2 * (triang(n) - 1)) ** 2 / 2
    inner[:quarter] = inner[n - quarter :] = 0
    theirs = (outer + inner) / np.mean(outer + inner)
    ours = window("spline", n)
    np.testing.assert_allclose(ours / ours.mean(), theirs, rtol=1e-13)


@pytest.mark.parametrize("kind", ["hann", "spline"])
@pytest.mark.parametrize("n", [2, 4, 10, 64])
def test_halves_that_overlap_add_up_to_one(kind, n):
    weights = window(kind, n)
    np.testing.assert_allclose(weights[n // 2 :] + weights[: n // 2], 1, rtol=1e-14)


@given(kind=st.sampled_from(KINDS), n=st.integers(1, 5000))
def test_positive_symmetric_and_highest_in_the_middle(kind, n):
    weights = window(kind, n)
    assert weights.shape == (n,)
    assert weights.min() > 0
    assert weights.max() <= 1
    assert weights.tobytes() == weights[::-1].tobytes()
    assert np.all(np.diff(weights[: (n + 1) // 2]) >= 0)


@pytest.mark.parametrize("kind", KINDS)
def test_corners_of_huge_patches_still_count(kind):
    corner = window_weights(kind, (10**6,) * 3, (slice(0, 1),) * 3)
    assert corner.item() > np.finfo(np.float32).tiny


@given(kind=st.sampled_from(KINDS), shape=st.lists(st.integers(1, 9), max_size=3), data=st.data())
def test_parts_have_the_weights_of_the_whole(kind, shape, data):
    whole = window_weights(kind, shape)
    expected = np.ones(shape)
    for axis, n in enumerate(shape):
        expected *= window(kind, n).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    np.testing.assert_array_equal(whole, expected)
    starts = [data.draw(st.integers(0, n - 1)) for n in shape]
    part = tuple(
        slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True)
    )
    np.testing.assert_array_equal(window_weights(kind, shape, part), whole[part])


def test_no_such_window():
    with pytest.raises(ConfigError, match="did you mean 'gaussian'"):
        window("gausian", 3)
