"""What people are told of patches: counted by hand, and pictures whose lines are where patches end."""

import matplotlib.image
import numpy as np
import pytest
import zarr
from click.testing import CliRunner

from dacapo_like.cli import main
from dacapo_like.errors import ConfigError
from dacapo_like.experiment import load
from dacapo_like.patch_report import patches_table, save_patches


@pytest.fixture
def document(tmp_path):
    for name, shape, size in (("raw", (8, 40, 40), 4), ("gt", (4, 20, 20), 8)):
        stored = zarr.create_array(tmp_path / f"{name}.zarr", data=np.zeros(shape, np.uint8))
        stored.attrs.update({"voxel_size": [size] * 3, "axes": ["z", "y", "x"], "units": "nm"})
    path = tmp_path / "experiment.yaml"
    path.write_text(
        """
        arrays:
          raw: {type: zarr, file_name: raw.zarr}
          gt: {type: zarr, file_name: gt.zarr, kind: labels}
        datasets:
          - {name: one, split: train, raw: raw, gt: gt}
          - {name: two, split: validate, raw: raw, gt: gt}
        patches:
          train: {shape: [4, 8, 8], samples: 50}
          validate: {shape: [4, 16, 16], edge: drop}
        """
    )
    return path


def test_numbers(document):
    table = patches_table(load(document))
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    assert rows[0] == (
        "train",
        "one",
        "raw 4x8x8, gt 2x4x4",
        "50 of all",
        "at random",
        "288 B",
        "14.1 KiB",
    )
    covered = 8 * 32 * 32 / (8 * 40 * 40)
    assert rows[1] == (
        "validate",
        "two",
        "raw 4x16x16, gt 2x8x8",
        "8 (2x2x2)",
        f"{covered:.1%}",
        "1.1 KiB",
        "9.0 KiB",
    )


def test_the_command_prints_them_and_draws(document, tmp_path):
    done = CliRunner().invoke(main, ["patches", str(document)])
    assert done.exit_code == 0, done.output
    assert "64.0%" in done.output
    picture = tmp_path / "a.png"
    done = CliRunner().invoke(main, ["patches", str(document), "validate", "--png", str(picture)])
    assert done.exit_code == 0, done.output
    image = matplotlib.image.imread(picture)[..., :3]
    orange = (image[..., 0] > 0.8) & (image[..., 1] < 0.8) & (image[..., 2] < 0.3)
    distances = []
    for axis in (0, 1):  # borders at 16 and 32 voxels; that at 0 is hidden by the frame
        counts = orange.sum(axis=axis)
        lines = np.flatnonzero(counts > counts.max() / 2)
        first, second = np.split(lines, np.flatnonzero(np.diff(lines) > 2) + 1)
        distances.append(second.mean() - first.mean())
    assert abs(distances[0] - distances[1]) < 2
    assert image.shape[0] > 100


def test_samples_are_drawn_too(document, tmp_path):
    image = matplotlib.image.imread(save_patches(load(document), "train", tmp_path / "a.png"))
    assert ((image[..., 0] > 0.8) & (image[..., 2] < 0.3)).sum() > 1000


def test_what_has_no_patches(tmp_path, document):
    text = document.read_text()
    without = tmp_path / "without.yaml"
    without.write_text(text[: text.index("patches:")])
    with pytest.raises(ConfigError, match="no patches in the document"):
        patches_table(load(without))
    done = CliRunner().invoke(main, ["patches", str(document), "--png", str(tmp_path / "a.png")])
    assert done.exit_code == 2
    assert "one of train, validate" in done.output
    one = tmp_path / "one.yaml"
    one.write_text("type: zarr\nfile_name: raw.zarr\n")
    done = CliRunner().invoke(main, ["patches", str(one)])
    assert done.exit_code == 2
    assert "one array has no patches" in done.output
