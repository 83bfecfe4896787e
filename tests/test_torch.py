"""Data sets of torch: the same patches whatever loads them, in this process and in workers, killed ones too."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip(
        "NOT RUN WITH TORCH, which is not installed: `pip install 'dacapo_like[torch]'` (on Linux with CUDA, about 5 GB)",
        allow_module_level=True,
    )

import torch
from torch.utils.data import DataLoader, DistributedSampler, default_collate

from dacapo_like import from_numpy
from dacapo_like.errors import ConfigError, RegionError
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.sampler import PatchSampler, Stratified
from dacapo_like.patches.together import Together
from dacapo_like.testing import as_zarr, sample_voxels
from dacapo_like.torch import PatchBatches, PatchDataset, to_tensor

SAMPLES = 26
LOADERS = [(0, None), *itertools.product((2, 4), ("fork", "spawn"))]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # few cores
]


@pytest.fixture
def arrays(tmp_path):
    """Give an image of two channels, and labels of voxels twice as wide, both stored, with operators on top."""
    grid = {"units": "nm", "offset": (0, 0, 0)}
    image = sample_voxels((2, 12, 24, 24), "uint16")
    raw = as_zarr(image, tmp_path / "raw.zarr", axes="czyx", voxel_size=(4, 4, 4), **grid)
    labels = sample_voxels((12, 12, 12), "uint32") % 5
    ids = as_zarr(labels, tmp_path / "ids.zarr", axes="zyx", voxel_size=(4, 8, 8), **grid)
    return {
        "raw": raw.intensities(min=0, max=2**16 - 1),
        "gt": ids.binarize({"a": [1], "b": [2, 3]}),
    }


@pytest.fixture
def sampler(arrays):
    return PatchSampler(
        arrays, (4, 8, 8), Stratified(), seed=5, samples=SAMPLES, context=(1, 2, 2), pad="edge"
    )


def loader(dataset, workers, start, **options):
    if workers:
        options |= {"multiprocessing_context": start, "timeout": 120}
    return DataLoader(dataset, num_workers=workers, **options)


def expected_batch(sampler, epoch, indices):
    samples = [sampler.at(epoch, index) for index in indices]
    return {name: np.stack([s.arrays[name] for s in samples]) for name in ("raw", "gt")} | {
        "index": np.array(list(indices)),
        "source": np.zeros(len(samples), int),
    }


def require_same(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert isinstance(found[name], torch.Tensor)
        np.testing.assert_array_equal(found[name].numpy(), values, err_msg=name)


def ranges(n, size):
    return [range(i, min(i + size, n)) for i in range(0, n, size)]


@pytest.mark.parametrize(("workers", "start"), LOADERS)
def test_the_same_batches_from_any_workers(sampler, workers, start):
    parts = ranges(SAMPLES, 4)
    expected = [expected_batch(sampler, 3, part) for part in parts]  # TensorStore is loaded here
    by_number = loader(PatchDataset(sampler, epoch=3), workers, start, batch_size=4)
    in_order = PatchBatches(sampler, epoch=3, batch_size=4)
    for found in (by_number, loader(in_order, workers, start, batch_size=None)):
        assert len(found) == len(parts) == 7
        for batch, values in zip(found, expected, strict=True):
            require_same(batch, values)


@pytest.mark.parametrize(("workers", "start"), [(0, None), (2, "fork"), (2, "spawn")])
def test_another_epoch_reaches_workers_that_are_kept(sampler, workers, start):
    kept = {"persistent_workers": True} if workers else {}
    data, batches = PatchDataset(sampler), PatchBatches(sampler, batch_size=13)
    loaders = (
        loader(data, workers, start, batch_size=13, **kept),
        loader(batches, workers, start, batch_size=None, **kept),
    )
    for epoch in (0, 7, 1):
        data.set_epoch(epoch)
        batches.set_epoch(epoch)
        for loaded in loaders:
            for batch, part in zip(loaded, ranges(SAMPLES, 13), strict=True):
                require_same(batch, expected_batch(sampler, epoch, part))


def test_shuffled_by_the_loader_items_are_those_of_their_index(sampler):
    generator = torch.Generator().manual_seed(0)
    seen = []
    for batch in DataLoader(PatchDataset(sampler), batch_size=5, shuffle=True, generator=generator):
        require_same(batch, expected_batch(sampler, 0, batch["index"].tolist()))
        seen += batch["index"].tolist()
    assert seen != sorted(seen) == list(range(SAMPLES))


def test_a_killed_worker_is_an_error_and_a_new_loader_goes_on(sampler):
    data = PatchDataset(sampler)
    running = iter(loader(data, 2, "spawn", batch_size=1, prefetch_factor=2))
    first = next(running)
    os.kill(running._workers[1].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"killed|exited unexpectedly"):
        list(running)
    again = iter(loader(data, 2, "spawn", batch_size=1))
    require_same(next(again), {name: values.numpy() for name, values in first.items()})
    for index, batch in enumerate(again, 1):
        require_same(batch, expected_batch(sampler, 0, [index]))


SCRIPT = """
import pickle, sys
from torch.utils.data import DataLoader
from dacapo_like.torch import PatchBatches
if __name__ == "__main__":
    sampler = pickle.load(open(sys.argv[1], "rb"))
    data = PatchBatches(sampler, batch_size=2, epoch=1, start=int(sys.argv[2]))
    for batch in DataLoader(data, batch_size=None, num_workers=2):
        print(batch["index"].tolist(), batch["raw"].sum(dtype=int).item(), flush=True)
"""


def test_a_process_that_was_killed_goes_on_where_it_was(tmp_path, arrays):
    """The sums are of integers, and so exact."""
    raw = arrays["raw"].inputs[0]
    sampler = PatchSampler({"raw": raw}, (4, 8, 8), seed=5, samples=SAMPLES)
    (tmp_path / "sampler.pickle").write_bytes(pickle.dumps(sampler))
    (tmp_path / "run.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "run.py", tmp_path / "sampler.pickle"]
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(3)]
        process.kill()
    rest = subprocess.run([*command, "6"], capture_output=True, text=True, check=True)
    lines += rest.stdout.splitlines(keepends=True)
    assert lines == [
        f"{list(part)} {sum(int(sampler.at(1, i).arrays['raw'].sum(dtype=int)) for i in part)}\n"
        for part in ranges(SAMPLES, 2)
    ]


def test_patches_of_a_grid_find_their_way_back(arrays):
    raw = arrays["raw"]
    grid = PatchGrid(raw, (4, 8, 8), context=(0, 2, 2), edge="pad")[3:20]
    batches = list(
        DataLoader(PatchBatches(grid, {"raw": raw}, batch_size=8, pad="reflect"), batch_size=None)
    )
    items = list(DataLoader(PatchDataset(grid, {"raw": raw}, pad="reflect"), batch_size=8))
    assert [len(batch["index"]) for batch in batches] == [8, 8, 1]
    for batch, item in zip(batches, items, strict=True):
        require_same(item, {name: values.numpy() for name, values in batch.items()})
        for index, voxels in zip(batch["index"], batch["raw"], strict=True):
            inner = voxels[:, :, 2:-2, 2:-2].numpy()
            np.testing.assert_array_equal(inner, raw.read(grid[index].write_roi))


def test_patches_of_arrays_together(arrays):
    both = Together(arrays, (4, 8, 8), context={"raw": (1, 0, 0)}, pad="edge")
    grid = both.grid()
    dataset = PatchDataset(grid, both)
    assert len(dataset) == len(grid) == 27
    item = dataset[-1]
    assert item["raw"].shape == (2, 6, 8, 8)
    assert item["gt"].shape == (2, 4, 4, 4)
    for name, voxels in both.read(grid[26]).items():
        np.testing.assert_array_equal(item[name].numpy(), voxels)
    assert item["index"] == 26


def test_ranks_take_each_patch_once(sampler):
    parts = [PatchBatches(sampler, batch_size=3, start=rank, step=4) for rank in range(4)]
    seen = [batch["index"].tolist() for part in parts for batch in part]
    assert sorted(itertools.chain(*seen)) == list(range(SAMPLES))
    assert [len(part) for part in parts] == [3, 3, 2, 2]
    assert seen[0] == [0, 4, 8]
    data = PatchDataset(sampler)
    ranks = [DistributedSampler(data, 2, rank, shuffle=False) for rank in range(2)]
    seen = [DataLoader(data, sampler=rank, batch_size=None) for rank in ranks]
    assert sorted(int(item["index"]) for part in seen for item in part) == list(range(SAMPLES))


def test_an_epoch_without_end(arrays):
    sampler = PatchSampler(arrays, (4, 8, 8))
    data = PatchBatches(sampler, batch_size=2, start=1, step=3)
    with pytest.raises(TypeError, match="no end"):
        len(data)
    with pytest.raises(TypeError, match="no end"):
        PatchDataset(sampler)[0]
    found = [batch["index"].tolist() for batch in itertools.islice(data, 3)]
    assert found == [[1, 4], [7, 10], [13, 16]]
    workers = loader(data, 2, "spawn", batch_size=None)
    assert [batch["index"].tolist() for batch in itertools.islice(workers, 3)] == found


def test_the_last_batch_may_be_left_out(sampler):
    data = PatchBatches(sampler, batch_size=4, drop_last=True)
    assert len(data) == len(list(data)) == 6
    assert len(PatchBatches(sampler, batch_size=27, drop_last=True)) == 0
    assert list(PatchBatches(sampler, batch_size=27, drop_last=True)) == []


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [
        ("bool", torch.bool),
        ("uint8", torch.uint8),
        ("uint16", torch.int32),
        ("uint32", torch.int64),
        ("uint64", torch.int64),
        ("int8", torch.int8),
        ("int16", torch.int16),
        ("int32", torch.int32),
        ("int64", torch.int64),
        ("float16", torch.float16),
        ("float32", torch.float32),
        ("float64", torch.float64),
    ],
)
def test_tensors_hold_the_numbers_of_the_array(dtype, becomes):
    values = sample_voxels((3, 4), dtype)
    if dtype == "uint64":
        values >>= np.uint64(1)
        values[0, 0] = 2**63 - 1
    tensor = to_tensor(values)
    assert tensor.dtype == becomes
    assert tensor.tolist() == values.tolist()
    assert default_collate([tensor, tensor]).shape == (2, 3, 4)


def test_what_torch_has_not_is_refused():
    with pytest.raises(
        ConfigError, match=r"a label that torch has not \(got 9223372036854775808"
    ) as error:
        to_tensor(np.array([0, 2**63], "uint64"))
    assert "binarize" in error.value.hint
    with pytest.raises(ConfigError, match="torch has no such dtype"):
        to_tensor(np.zeros(2, np.longdouble))


def test_tensors_of_voxels_that_cannot_be_written_are_copies():
    values = np.broadcast_to(np.uint8(4), (3, 3))
    tensor = to_tensor(values)
    tensor += 1
    assert tensor.tolist() == [[5] * 3] * 3
    assert values[0, 0] == 4


def test_what_does_not_fit(arrays, sampler):
    raw = arrays["raw"]
    grid = PatchGrid(raw, (5, 8, 8), edge="shrink")
    with pytest.raises(ConfigError, match="but no arrays"):
        PatchDataset(grid)
    with pytest.raises(ConfigError, match="already"):
        PatchDataset(sampler, arrays)
    with pytest.raises(ConfigError, match="already"):
        PatchBatches(sampler, batch_size=2, pad="edge")
    with pytest.raises(ConfigError, match="cannot have this name"):
        PatchDataset(grid, {"index": raw})
    with pytest.raises(ConfigError, match="cannot have this name"):
        PatchDataset(PatchSampler({"source": raw}, (4, 8, 8), samples=2))
    with pytest.raises(ConfigError, match="no batch size"):
        PatchBatches(sampler, batch_size=0)
    with pytest.raises(ConfigError, match="no such part"):
        PatchBatches(sampler, batch_size=1, start=-1)
    with pytest.raises(RegionError, match="different shapes"):
        list(PatchBatches(grid, {"raw": raw}, batch_size=len(grid)))
    with pytest.raises(IndexError, match="item 26 of 26"):
        PatchDataset(sampler)[SAMPLES]


def test_arrays_in_memory_go_along_to_workers():
    values = sample_voxels((40,), "uint32")
    data = PatchDataset(
        PatchGrid((40,), (4,)), {"raw": from_numpy(values, axes="x"), "same": values}
    )
    for batch in loader(data, 2, "spawn", batch_size=10):
        for name in ("raw", "same"):
            assert batch[name].reshape(-1).tolist() == values.tolist()
