"""Samplers: their distributions enumerated exactly and drawn, and the same samples however they are drawn."""

import itertools
import math
import multiprocessing
import pickle
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
import zarr
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from dacapo_like import engine, from_numpy
from dacapo_like.errors import DacapoLikeError
from dacapo_like.patches import _landscape, _strategies
from dacapo_like.patches._draws import Draws, key_of, shuffled
from dacapo_like.patches.sampler import (
    Balanced,
    Centers,
    PatchSampler,
    Rejection,
    Stratified,
    Uniform,
    Weighted,
)
from dacapo_like.patches.together import Together
from dacapo_like.sources.zarr import ZarrArrayConfig

UNLIKELY = 1e-5  # of a test whose seed is fixed: it passes always or never


def array_of(data, voxel_size=1, offset=0, **options):
    data = np.asarray(data)
    dims = data.ndim
    return from_numpy(data, voxel_size=[voxel_size] * dims, offset=[offset] * dims, **options)


def is_likely(observed, expected):
    return stats.chisquare(observed, expected).pvalue > UNLIKELY


# Random numbers


def philox(counter, key, rounds=10):
    """Give a block of Philox 4x64, after the paper of Salmon et al."""
    a, b, c, d = counter
    k, m = key
    for _ in range(rounds):
        high0, low0 = divmod(a * 0xD2E7470EE14C6C93, 1 << 64)
        high1, low1 = divmod(c * 0xCA5A826395121157, 1 << 64)
        a, b, c, d = high1 ^ b ^ k, low1, high0 ^ d ^ m, low0
        k, m = (k + 0x9E3779B97F4A7C15) % (1 << 64), (m + 0xBB67AE8584CAA73B) % (1 << 64)
    return [a, b, c, d]


def test_the_oracle_gives_the_published_words():
    known = "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6"
    counter = "243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89"
    key = "452821e638d01377 be5466cf34e90c6c"
    words = [[int(word, 16) for word in text.split()] for text in (counter, key, known)]
    assert philox(words[0], words[1]) == words[2]


@given(
    seed=st.integers(),
    numbers=st.tuples(*[st.integers(0, 2**64 - 1)] * 3),
)
def test_words_are_those_of_philox(seed, numbers):
    epoch, index, attempt = numbers
    draws = Draws(key_of(seed), epoch=epoch, index=index, attempt=attempt)
    expected = [
        word for block in (1, 2) for word in philox([block, attempt, index, epoch], key_of(seed))
    ]
    assert [draws._bits(1) for _ in expected] == expected


@given(n=st.integers(1, 2**200), index=st.integers(0, 999))
def test_integers_are_in_range(n, index):
    assert 0 <= Draws(key_of(0), epoch=0, index=index).below(n) < n


@pytest.mark.parametrize("n", [2, 3, 10, 3 << 62, 3 << 126])
def test_integers_are_uniform(n):
    draws = Draws(key_of(1), epoch=0, index=0)
    cells = min(n, 12)
    found = Counter(draws.below(n) * cells // n for _ in range(6000))
    assert is_likely([found[i] for i in range(cells)], [6000 / cells] * cells)


def test_no_integer_is_favoured():
    draws = Draws(key_of(1), epoch=0, index=0)
    found = Counter(
        draws.below(3 << 62) % 3 for _ in range(3000)
    )  # a product alone has 0 half of the time
    assert is_likely([found[i] for i in range(3)], [1000] * 3)


@given(n=st.integers(1, 300), seed=st.integers(0, 9), turn=st.integers(0, 3))
def test_orders_hold_every_number_once(n, seed, turn):
    assert sorted(shuffled(i, n, key_of(seed), turn) for i in range(n)) == list(range(n))


def test_orders_are_as_likely_as_each_other():
    found = Counter(tuple(shuffled(i, 4, key_of(3), t) for i in range(4)) for t in range(2400))
    orders = list(itertools.permutations(range(4)))
    assert is_likely([found[order] for order in orders], [100] * len(orders))


def test_orders_of_many_are_not_made():
    n = 10**30
    found = [shuffled(i, n, key_of(0), 0) for i in range(100)]
    assert len(set(found)) == 100
    assert all(0 <= i < n for i in found)


# Every way that a strategy can go, with its exact probability


class EveryWay:
    """Stands for the random numbers, and goes one of all ways."""

    def __init__(self, path):
        self.path, self.widths, self.probability = path, [], Fraction(1)

    def _choose(self, width):
        self.widths.append(width)
        return self.path[len(self.widths) - 1] if len(self.widths) <= len(self.path) else 0

    def below(self, n):
        self.probability /= n
        return self._choose(n)

    def pick(self, cumulative):
        weights = np.diff(cumulative, prepend=cumulative.dtype.type(0)).tolist()
        choices = [i for i, weight in enumerate(weights) if weight]
        chosen = choices[self._choose(len(choices))]
        self.probability *= Fraction(weights[chosen]) / Fraction(cumulative[-1].item())
        return chosen


def distribution(chooser):
    """Give the exact probability of every place."""
    found, path = Counter(), []
    while path is not None:
        draws = EveryWay(path)
        place = chooser.place(0, draws)
        found[place] += draws.probability
        path = [*path, *[0] * (len(draws.widths) - len(path))]
        while path and path[-1] + 1 == draws.widths[len(path) - 1]:
            path.pop()
        path = [*path[:-1], path[-1] + 1] if path else None
    return found


def values_at_centres(together, mask):
    """Look up the voxel of a mask that holds the centre of the patch at every place, in exact fractions."""
    found = {}
    for place in itertools.product(*map(range, together.positions.counts)):
        box = together.patch(place).box
        lattice = together.lattice
        centre = [
            o + v * (b + n // 2 + (Fraction(1, 2) if n % 2 else 0))
            for o, v, b, n in zip(*lattice, box.offset, box.shape, strict=True)
        ]
        voxel = [
            math.floor((c - o) / v)
            for c, o, v in zip(centre, mask.spec.offset, mask.spec.voxel_size, strict=True)
        ]
        inside = all(0 <= i < n for i, n in zip(voxel, mask.shape, strict=True))
        found[place] = mask[tuple(voxel)].item() if inside else None
    return found


MASKS = st.tuples(
    st.sampled_from(["bool", "uint8", "int32", "float32"]),
    st.sampled_from([1, 2, 3, Fraction(1, 2), Fraction(3, 4), 5]),
    st.sampled_from([0, -3, 2, Fraction(1, 3)]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.integers(0, 99),
)


@pytest.fixture
def _small_blocks(monkeypatch):
    monkeypatch.setattr(_landscape, "_SMALL_BLOCK", 4)
    monkeypatch.setattr(_landscape, "_LARGE_BLOCK", 12)


def masked(given_mask, patch):
    """Give arrays with places for a patch, at a distance of two voxels if it is of even size, and a mask over them."""
    dtype, voxel_size, offset, shape, seed = given_mask
    values = np.random.default_rng(seed).integers(0, 3, shape).astype(dtype)
    if dtype == "float32":
        values /= np.float32(4)
    mask = array_of(values, voxel_size, offset)
    raw, gt = array_of(np.zeros((9, 8), "uint8")), array_of(np.zeros((5, 5), "uint8"), 2, -1)
    return Together({"raw": raw} if patch[0] % 2 else {"raw": raw, "gt": gt}, patch), mask


@pytest.mark.usefixtures("_small_blocks")
@given(given_mask=MASKS, patch=st.sampled_from([(2, 2), (4, 2), (5, 3)]))
def test_weighted_is_exactly_the_mask(given_mask, patch):
    together, mask = masked(given_mask, patch)
    weights = {k: Fraction(v) for k, v in values_at_centres(together, mask).items() if v}
    if not weights:
        with pytest.raises(DacapoLikeError, match="no patch has"):
            Weighted(mask).choosers([together])
        return
    (chooser,) = Weighted(mask).choosers([together])
    total = sum(weights.values())
    assert distribution(chooser) == {place: w / total for place, w in weights.items()}


@pytest.mark.usefixtures("_small_blocks")
@given(given_mask=MASKS, patch=st.sampled_from([(2, 2), (4, 2), (5, 3)]))
def test_balanced_is_exactly_every_label_and_then_every_place(given_mask, patch):
    together, labels = masked(("uint8", *given_mask[1:]), patch)
    at = values_at_centres(together, labels)
    counts = Counter(label for label in at.values() if label)
    assume(counts)
    (chooser,) = Balanced(labels).choosers([together])
    expected = {
        place: Fraction(1, len(counts) * counts[label]) for place, label in at.items() if label
    }
    assert distribution(chooser) == expected
    (chooser,) = Balanced(labels, ids=list(counts)[:1]).choosers([together])
    chosen = next(iter(counts))
    assert set(distribution(chooser)) == {p for p, label in at.items() if label == chosen}


def test_uniform_is_exactly_uniform():
    together = Together({"raw": array_of(np.zeros((7, 5)))}, (3, 2))
    (chooser,) = Uniform().choosers([together])
    assert distribution(chooser) == dict.fromkeys(
        itertools.product(range(5), range(4)), Fraction(1, 20)
    )


@pytest.mark.parametrize(
    ("length", "patch", "cells"), [(20, 4, None), (21, 4, 7), (9, 4, 99), (4, 4, None)]
)
def test_stratified_is_a_partition_of_the_places(length, patch, cells):
    together = Together({"raw": array_of(np.zeros((length, 6)))}, (patch, 3))
    (chooser,) = Stratified(None if cells is None else (cells, 1)).choosers([together])
    found = Counter()
    for number in range(chooser.count):
        reached = distribution(
            type("One", (), {"place": lambda _, __, d, n=number: chooser.place(n, d)})()
        )
        assert set(reached.values()) == {Fraction(1, len(reached))}
        found.update(reached.keys())
    places = itertools.product(*map(range, together.positions.counts))
    assert found == dict.fromkeys(places, 1)
    if cells is None:
        assert chooser.count == -(-length // patch) * 2


# Samplers

RAW = array_of(np.arange(60 * 60).reshape(60, 60).astype("uint16"), 4, units="nm")
GT = array_of((np.indices((30, 30)).sum(0) % 7).astype("uint8"), 8, units="nm", kind="labels")
ARRAYS = {"raw": RAW, "gt": GT}
STRATEGIES = [
    Uniform(),
    Weighted("gt"),
    Balanced("gt"),
    Stratified(),
    Centers([(100, 120), (60.5, 90), (111, 111)]),
]


def plain(sample):
    return (
        {name: data.tobytes() for name, data in sample.arrays.items()},
        sample.patch,
        sample.source,
    )


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
def test_a_sample_does_not_depend_on_what_was_before(strategy):
    def make():
        return PatchSampler(ARRAYS, 8, strategy, seed=5, context=2)

    keys = [(epoch, index) for epoch in (0, 1, 7) for index in range(8)]
    first = make()
    expected = {key: plain(first.at(*key)) for key in keys}
    shuffled_keys = keys.copy()
    np.random.default_rng(0).shuffle(shuffled_keys)
    again = pickle.loads(pickle.dumps(make()))
    assert {tuple(key): plain(again.at(*map(int, key))) for key in shuffled_keys} == expected
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda key: plain(first.at(*key)), keys * 4))
    assert found == list(expected.values()) * 4
    assert len({plain(first.at(0, i))[1].box for i in range(8)}) > 1


@pytest.mark.filterwarnings(r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_every_kind_draw_the_same(method):
    samplers = [PatchSampler(ARRAYS, 8, strategy, seed=5) for strategy in STRATEGIES]
    context = multiprocessing.get_context(method)
    for workers in (2,) if method == "spawn" else (2, 4):
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            jobs = {
                (number, i): pool.submit(sampler.at, 1, i)
                for i in reversed(range(4))
                for number, sampler in enumerate(samplers)
            }
            for (number, i), job in jobs.items():
                assert plain(job.result(120)) == plain(samplers[number].at(1, i))


@pytest.mark.filterwarnings(r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_open_trees_over_files_again(tmp_path, method):
    raw = np.random.default_rng(0).integers(0, 255, (40, 40, 40), "uint8")
    ids = np.random.default_rng(1).integers(0, 5, (20, 20, 20), "uint32")
    for name, data, size in (("raw", raw, 4), ("ids", ids, 8)):
        zarr.create_array(
            tmp_path / f"{name}.zarr",
            data=data,
            chunks=(8, 8, 8),
            attributes={"voxel_size": [size] * 3},
        )
    opened = {
        name: ZarrArrayConfig(file_name=str(tmp_path / f"{name}.zarr")).array()
        for name in ("raw", "ids")
    }
    arrays = {
        "raw": opened["raw"].intensities(min=0, max=255).crop(np.s_[4:, :, :36]),
        "gt": opened["ids"].binarize(groupings={"a": [1, 2], "b": [3]}),
    }
    mask = opened["ids"].crop(np.s_[5:, 5:, 5:])
    sampler = PatchSampler(arrays, 8, Weighted(mask), context={"raw": 2}, pad="reflect", seed=3)
    samples = [sampler.at(0, i) for i in range(6)]
    for sample in samples:
        roi = sample.patch.lattice.roi(sample.patch.box)
        assert sample.arrays["gt"].shape == (2, 4, 4, 4)
        np.testing.assert_array_equal(sample.arrays["gt"], arrays["gt"][roi])
        np.testing.assert_array_equal(
            sample.arrays["raw"], arrays["raw"].read(sample.patch.roi, pad="reflect")
        )
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        jobs = [pool.submit(sampler.at, 0, i) for i in range(6)]
        assert [plain(job.result(120)) for job in jobs] == list(map(plain, samples))


GOLDEN = {
    "Uniform": [(20, 26), (30, 14), (12, 44)],
    "Weighted": [(26, 14), (14, 28), (44, 42)],
    "Balanced": [(16, 52), (28, 0), (42, 10)],
    "Stratified": [(30, 40), (20, 32), (14, 50)],
    "Centers": [(20, 26), (22, 22), (10, 18)],
}


def test_samples_are_these_on_every_platform_for_ever():
    found = {
        type(strategy).__name__: [
            PatchSampler(ARRAYS, 8, strategy, seed=2**70).where(3, i)[1].box.offset
            for i in range(3)
        ]
        for strategy in STRATEGIES
    }
    assert found == GOLDEN


def test_seeds_and_epochs_differ():
    boxes = [
        tuple(PatchSampler(ARRAYS, 8, seed=seed).where(epoch, i)[1].box for i in range(4))
        for seed in (-1, 0, 1)
        for epoch in (0, 1)
    ]
    assert len(set(boxes)) == 6


def test_where_a_sample_is_and_what_it_holds():
    sampler = PatchSampler(ARRAYS, (8, 4), context={"raw": 3, "gt": 1}, samples=40, pad="edge")
    for index, sample in enumerate(sampler.epoch(2)):
        assert sample.patch.index == index
        roi = sample.patch.lattice.roi(sample.patch.box)
        np.testing.assert_array_equal(sample.arrays["raw"][3:-3, 3:-3], RAW[roi])
        np.testing.assert_array_equal(sample.arrays["gt"][1:-1, 1:-1], GT[roi])
    assert index == 39


def test_places_are_uniform():
    sampler = PatchSampler({"raw": array_of(np.zeros(15))}, 6, seed=3)
    found = Counter(sampler.where(0, i)[1].box.offset[0] for i in range(4000))
    assert is_likely([found[i] for i in range(10)], [400] * 10)


def test_places_are_as_likely_as_the_mask_says():
    mask = array_of(np.arange(10, dtype="uint8") % 4)
    sampler = PatchSampler({"raw": array_of(np.zeros(10))}, 1, Weighted(mask), seed=3)
    found = Counter(sampler.where(0, i)[1].box.offset[0] for i in range(4000))
    kept = [i for i in range(10) if i % 4]
    assert set(found) == set(kept)
    assert is_likely([found[i] for i in kept], [4000 * (i % 4) / 13 for i in kept])


def test_labels_are_as_likely_as_each_other():
    ids = np.array([0, 7, 9, 2**63 + 1], "uint64")
    labels = np.repeat(ids, [500, 5, 100, 1])
    sampler = PatchSampler({"gt": array_of(labels)}, 1, Balanced("gt"), seed=3)
    found = Counter(int(sampler.at(0, i).arrays["gt"][0]) for i in range(3000))
    assert is_likely([found[i] for i in (7, 9, 2**63 + 1)], [1000] * 3)


def test_labels_that_doubles_do_not_tell_apart():
    labels = array_of(np.array([2**60, 2**60 + 1, 2**60 + 2], "uint64"))
    for i, options in enumerate([{"ids": [2**60]}, {"background": [2**60, 2**60 + 2]}]):
        sampler = PatchSampler({"gt": labels}, 1, Balanced("gt", **options), samples=20)
        assert {sample.patch.box.offset[0] for sample in sampler.epoch(0)} == {i}


def test_an_epoch_of_cells_covers_the_volume_evenly():
    sampler = PatchSampler(ARRAYS, 8, Stratified((5, 6)))
    assert len(sampler) == 30
    n = sampler.sources[0].positions.counts
    orders = []
    for start in (0, 30):
        places = [
            sampler.sources[0].positions.nearest(sampler.where(0, start + i)[1].box.offset)
            for i in range(30)
        ]
        cells = [(next(c for c in range(5) if (c + 1) * n[0] // 5 > a),
                  next(c for c in range(6) if (c + 1) * n[1] // 6 > b)) for a, b in places]  # fmt: skip
        assert sorted(cells) == list(itertools.product(range(5), range(6)))
        orders.append(cells)
    assert orders[0] != orders[1]


# Centers


def test_centers_are_those_of_crop_centered():
    points = [(100, 121), (60.5, 90.4), (119.9, 111), (4 * 0.1 + 99.6, 120)]
    sampler = PatchSampler({"raw": RAW}, (5, 8), Centers(points))
    found = sorted(sample.arrays["raw"].tolist() for sample in sampler.epoch(0))
    assert found == sorted(crop[...].tolist() for crop in RAW.crop_centered(points, (5, 8)))


def test_centers_of_a_turned_array_are_true_points():
    half = math.sqrt(0.5)
    turned = from_numpy(
        np.arange(400).reshape(20, 20), voxel_size=(2, 2), directions=((half, half), (-half, half))
    )
    point = turned.index_to_world((9, 11))
    sample = PatchSampler({"raw": turned}, 3, Centers([point])).at(0, 0)
    np.testing.assert_array_equal(sample.arrays["raw"], turned[8:11, 10:13])


def test_centers_in_voxels_each_once_in_an_epoch():
    points = [(9, 10), (20, 30), (31, 17)]
    sampler = PatchSampler({"raw": RAW}, 3, Centers(points, units="voxel"))
    middles = [[s.patch.box.offset for s in sampler.epoch(e)] for e in range(6)]
    assert len(sampler) == 3
    expected = sorted((a - 1, b - 1) for a, b in points)
    assert all(sorted(epoch) == expected for epoch in middles)
    assert len(set(map(tuple, middles))) > 1


def test_centers_that_leave_the_arrays():
    points = [(1, 30), (30, 30), (58, 59)]
    options = {"units": "voxel"}
    with pytest.raises(DacapoLikeError, match=r"leaves an array .*1.0, 30.0"):
        PatchSampler({"raw": RAW}, 8, Centers(points, **options))
    shifted = PatchSampler({"raw": RAW}, 8, Centers(points, outside="shift", **options))
    assert sorted(s.patch.box.offset for s in shifted.epoch(0)) == [(0, 26), (26, 26), (52, 52)]
    dropped = PatchSampler({"raw": RAW}, 8, Centers(points, outside="drop", **options))
    assert [s.patch.box.offset for s in dropped.epoch(0)] == [(26, 26)]


def test_centers_between_the_corners_of_coarse_voxels():
    sampler = PatchSampler(ARRAYS, 4, Centers([(21, 22)], units="voxel"))
    assert sampler.where(0, 0)[1].box.offset == (18, 20)  # 19 is between; the lower one is taken


# Rejection, sources, iteration


def is_dark(arrays):
    return bool(arrays["raw"].max() < 1000)


def test_what_is_accepted():
    sampler = PatchSampler(ARRAYS, 8, rejection=Rejection(is_dark), samples=20)
    samples = list(sampler.epoch(0))
    assert all(is_dark(sample.arrays) for sample in samples)
    again = pickle.loads(pickle.dumps(sampler))
    assert [plain(s) for s in again.epoch(0)] == [plain(s) for s in samples]
    assert sampler.where(0, 3)[1] == samples[3].patch
    seen = PatchSampler(ARRAYS, 8, rejection=Rejection(is_dark, of="raw"), samples=20)
    assert [plain(s) for s in seen.epoch(0)] == [plain(s) for s in samples]
    assert list(samples[0].arrays) == list(seen.at(0, 0).arrays) == ["raw", "gt"]


@pytest.mark.parametrize("strategy", [Stratified(), Centers([(10, 20), (50, 50)], units="voxel")])
def test_in_the_place_of_a_rejected_cell_or_centre_another_is_drawn(strategy):
    sampler = PatchSampler(ARRAYS, 8, strategy, rejection=Rejection(is_dark))
    assert all(s.patch.box.offset[0] < 20 for s in sampler.epoch(0))


def test_nothing_more_is_read_of_what_is_rejected(monkeypatch):
    tried = []
    reads = []
    start = engine.Readout.start
    monkeypatch.setattr(engine.Readout, "start", lambda *args: reads.append(args) or start(*args))

    def third(arrays):
        tried.append(list(arrays))
        return len(tried) == 3

    PatchSampler(ARRAYS, 8, rejection=Rejection(third, of=["gt"])).at(0, 0)
    assert tried == [["gt"]] * 3
    assert len(reads) == 4
    PatchSampler(ARRAYS, 8).at(0, 0)
    assert len(reads) == 6


def test_tries_are_bounded():
    sampler = PatchSampler(ARRAYS, 8, rejection=Rejection(lambda _: False, tries=7))
    with pytest.raises(
        DacapoLikeError, match=r"no patch was accepted .*7 tries for sample 3 of epoch 2"
    ):
        sampler.at(2, 3)


def test_sources_are_as_likely_as_their_weights():
    sources = [{"raw": array_of(np.full(20, i))} for i in range(4)]
    sampler = PatchSampler(sources, 3, weights=[0.5, 0, 2, 1.5])
    found = Counter(int(sampler.at(0, i).arrays["raw"][0]) for i in range(2000))
    assert is_likely([found[0], found[2], found[3]], [250, 1000, 750])
    assert found[1] == 0
    even = PatchSampler(sources, 3)
    found = Counter(even.where(0, i)[0] for i in range(2000))
    assert is_likely([found[i] for i in range(4)], [500] * 4)


def test_cells_of_all_sources_are_drawn_once():
    sources = [{"raw": array_of(np.full(n, n))} for n in (20, 4, 12)]
    sampler = PatchSampler(sources, 4, Stratified())
    assert len(sampler) == 5 + 1 + 3
    assert Counter(s.source for s in sampler.epoch(0)) == {0: 5, 1: 1, 2: 3}
    weighted = PatchSampler(sources, 4, Stratified(), weights=[0, 1, 1], samples=400)
    found = Counter(s.source for s in weighted.epoch(0))
    assert is_likely([found[1], found[2]], [200, 200])


def test_centers_and_masks_of_several_sources():
    sources = [{"raw": array_of(np.full(30, i))} for i in range(3)]
    points = [[(5,)], [], [(20,), (8,)]]
    sampler = PatchSampler(sources, 3, Centers(points))
    assert sorted((s.source, *s.patch.box.offset) for s in sampler.epoch(0)) == [
        (0, 4),
        (2, 7),
        (2, 19),
    ]
    masks = [array_of(np.eye(1, 30, k, "uint8")[0]) for k in (4, 9, 13)]
    sampler = PatchSampler(sources, 3, Weighted(masks), samples=50)
    assert {(s.source, *s.patch.box.offset) for s in sampler.epoch(0)} == {(0, 3), (1, 8), (2, 12)}


def test_iteration():
    endless = PatchSampler(ARRAYS, 8)
    with pytest.raises(TypeError, match="no end"):
        len(endless)
    first = [plain(s) for s in itertools.islice(endless.epoch(1), 10)]
    counted = PatchSampler(ARRAYS, 8, samples=10)
    assert [plain(s) for s in counted.epoch(1)] == first
    shares = [[plain(s) for s in counted.epoch(1, start=k, step=3)] for k in range(3)]
    assert shares == [first[k::3] for k in range(3)]
    assert len(PatchSampler(ARRAYS, 8, Stratified(), samples=7)) == 7


def test_a_mask_over_a_huge_volume_is_looked_at_where_patches_are():
    huge = from_numpy(np.zeros((1, 1, 1), "uint8")).pad(
        (0, 0, 0), (10**6 - 1,) * 3, fill={"constant": 1}
    )
    part = array_of(np.ones((50, 50, 50), "uint8"), offset=500_000)
    assert PatchSampler({"raw": part}, 4, Weighted(huge)).where(0, 0)[0] == 0
    assert len(PatchSampler({"raw": huge}, 4, samples=5)) == 5
    with pytest.raises(DacapoLikeError, match=r"too large to look through .*downsample\(\(616, "):
        PatchSampler({"raw": huge}, 4, Weighted("raw"))


def test_blocks_are_read_when_they_are_drawn_from_and_kept(monkeypatch):
    monkeypatch.setattr(_landscape, "_LARGE_BLOCK", 64)
    mask = array_of(np.ones((64, 64), "uint8"))
    sampler = PatchSampler({"raw": RAW}, 8, Weighted(mask))
    again = pickle.loads(pickle.dumps(sampler))
    reads = []
    start = engine.Readout.start
    monkeypatch.setattr(
        engine.Readout, "start", lambda *args: reads.append(args[1]) or start(*args)
    )
    again.where(0, 0)
    again.where(0, 0)
    assert [box.size for box in reads] == [64]


def negative(shape=20, **options):
    return array_of(np.full(shape, -1.0, **options))


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ([], {}, "no sources"),
        ([{"raw": RAW}, {"raw": GT}], {}, "sources that give different patches .*uint8 .*uint16"),
        ([{"raw": RAW}, {"em": RAW}], {}, "sources that give different patches"),
        (ARRAYS, {"strategy": Weighted("mask")}, "no array of this name"),
        (ARRAYS, {"strategy": Weighted([RAW, RAW])}, "mask does not fit the sources .*got 2"),
        (ARRAYS, {"strategy": Balanced("gt", ids=[3, 99])}, r"no patch has at its centre \(got 99"),
        (ARRAYS, {"strategy": Balanced("gt", ids=[-3])}, "dtype cannot hold"),
        (ARRAYS, {"strategy": Weighted("raw", largest=999)}, "too large to look through"),
        ({"raw": array_of(np.zeros(20))}, {"strategy": Weighted("raw")}, "no patch has any weight"),
        ({"raw": array_of(np.zeros(20, "u4"))}, {"strategy": Balanced("raw")}, "but background"),
        ({"raw": negative()}, {"strategy": Weighted("raw")}, "no weights .*got -1.0 to -1.0"),
        ({"raw": array_of(np.full(20, np.nan))}, {"strategy": Weighted("raw")}, "are no weights"),
        ({"raw": array_of(np.full(20, np.inf))}, {"strategy": Weighted("raw")}, "are no weights"),
        ({"raw": array_of(np.full(20, 2**62))}, {"strategy": Weighted("raw")}, "weights .* too large"),
        ({"raw": array_of(np.zeros(20))}, {"strategy": Weighted(array_of(np.ones(2), offset=99))},
         "no patch has its centre in it"),
        ({"raw": from_numpy(np.zeros((2, 20)), axes="cx")}, {"strategy": Weighted("raw")}, "one value at a"),
        (ARRAYS, {"strategy": Weighted(array_of(np.zeros(20)))}, "different spatial axes"),
        (ARRAYS, {"strategy": Stratified((0, 3))}, "cells is not in whole voxels"),
        (ARRAYS, {"strategy": Centers([1, 2])}, "not points"),
        (ARRAYS, {"strategy": Centers([("1", "2")])}, "not points"),
        (ARRAYS, {"strategy": Centers([(np.nan, 2)])}, "nowhere"),
        (ARRAYS, {"strategy": Centers([(20.5, 2)], units="voxel")}, "are no voxels"),
        (ARRAYS, {"strategy": Centers([])}, "no patch is left"),
        ([ARRAYS, ARRAYS], {"strategy": Centers([[(99, 99)]])}, "points do not fit the sources"),
        ([ARRAYS, ARRAYS], {"strategy": Centers([[(99, 99)], []]), "weights": (1, 1)}, "source that no patch"),
        (ARRAYS, {"weights": [1, 2]}, "weights do not fit"),
        ([ARRAYS, ARRAYS], {"weights": [0, 0]}, "weights do not fit"),
        ([ARRAYS, ARRAYS], {"weights": [2, -1]}, "weights do not fit"),
        (ARRAYS, {"samples": -1}, "samples below 0"),
        (ARRAYS, {"rejection": Rejection(is_dark, of=["mask"])}, "no array of this name"),
        (ARRAYS, {"rejection": Rejection(is_dark, tries=0)}, "no tries"),
        (ARRAYS, {"context": 30}, "no patch fits"),
    ],
)  # fmt: skip
def test_what_is_refused_when_it_is_made(arrays, options, message):
    with pytest.raises(DacapoLikeError, match=message):
        PatchSampler(arrays, 4, **options)


@pytest.mark.parametrize("options", [{"units": "voxels"}, {"outside": "shft"}])
def test_choices_of_centers(options):
    with pytest.raises(DacapoLikeError, match=r"not one of the choices .*did you mean"):
        Centers([(1, 2)], **options)


@pytest.mark.parametrize("numbers", [(-1, 0), (0, -1), (2**64, 0), (0, 2**64)])
def test_numbers_that_are_no_sample(numbers):
    with pytest.raises(DacapoLikeError, match=r"no such (epoch|sample)"):
        PatchSampler(ARRAYS, 8).at(*numbers)


def test_too_many_labels(monkeypatch):
    monkeypatch.setattr(_strategies, "_MOST_PAIRS", 5)
    with pytest.raises(DacapoLikeError, match="too many labels"):
        PatchSampler(ARRAYS, 8, Balanced("gt"))
