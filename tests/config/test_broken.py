"""Every problem of every broken document is found in one run, at its place, and nothing else is."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like.config.verify import verify_all

BROKEN = Path(__file__).parent.parent / "broken"
ARRAYS = {
    "raw": {"voxel_size": [8, 8, 8]},
    "labels": {"voxel_size": [8, 8, 8], "dtype": "uint32"},
    "coarse": {"voxel_size": [16, 16, 16], "shape": (8, 8, 8)},
    "shifted": {"voxel_size": [8, 8, 8], "offset": [4, 4, 4]},
    "far": {"voxel_size": [8, 8, 8], "offset": [8000, 0, 0]},
    "odd": {"voxel_size": [12, 8, 8]},
    "noise": {"voxel_size": [8, 8, 8], "dtype": "float32"},
    "flat": {"voxel_size": [8, 8], "shape": (16, 16)},
}


def expected() -> dict[str, list[str]]:
    """Read the lines ``file:line:column severity code key``, by file."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in (BROKEN / "expected.txt").read_text().splitlines():
        found[line.partition(":")[0]].append(line)
    return found


EXPECTED = expected()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give the broken documents beside the volume that they speak of."""
    folder = tmp_path_factory.mktemp("broken")
    for name, given in ARRAYS.items():
        fields = {"shape": (16, 16, 16), "dtype": "uint8", "offset": None, **given}
        array = zarr.create_array(
            folder / "em.zarr", name=name, shape=fields["shape"], dtype=fields["dtype"]
        )
        voxels = np.arange(array.size).reshape(array.shape) % 200
        array[...] = voxels.astype(fields["dtype"])
        array.attrs["voxel_size"] = fields["voxel_size"]
        array.attrs["units"] = ["nm"] * array.ndim
        array.attrs["offset"] = fields["offset"] or [0] * array.ndim
    for path in BROKEN.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def lines_of(problems):
    return sorted(
        f"{Path(p.path).name}:{p.line}:{p.column} {p.severity} {p.code} {p.key or '-'}"
        for p in problems
    )


def test_there_are_fifty_and_each_has_its_problems():
    documents = {path.name for path in BROKEN.iterdir()} - {"expected.txt"}
    assert len(documents) >= 50
    assert documents == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_problem_is_found_where_it_is_and_no_other(folder, name):
    assert lines_of(dacapo_like.verify(folder / name)) == sorted(EXPECTED[name])


def test_all_documents_together_have_the_same_problems(folder):
    found = verify_all([folder / name for name in EXPECTED])
    for name, problems in zip(EXPECTED, found, strict=True):
        assert lines_of(problems) == sorted(EXPECTED[name])


def test_no_message_names_a_class_of_ours_or_of_python(folder):
    for problems in verify_all([folder / name for name in EXPECTED]):
        for problem in problems:
            assert "dacapo_like." not in problem.message
            assert "<class" not in problem.message
            assert "Traceback" not in problem.message
