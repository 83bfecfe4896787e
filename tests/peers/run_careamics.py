"""Let CAREamics' image stacks extract patches: `run_careamics.py FOLDER`.

Run by the interpreter of an environment of its own (requirements-formats.txt) over a folder that tests/test_careamics_peer.py
makes: ``requests.json``, and the Zarr arrays and ``.npy`` files that it names. Leaves ``patches.npz``, whose arrays are called by the
number of their request and ``memory`` or ``zarr``, and ``answers.json``.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from absent import without_its_init

without_its_init(
    "careamics",
    "careamics.config",
    "careamics.dataset",
    "careamics.image_io",
    "careamics.utils",
)  # their `__init__` import torch

from careamics.dataset.image_stack import InMemoryImageStack, ZarrImageStack  # noqa: E402  # behind the above


def stack_of(kind: str, folder: Path, name: str, axes: str) -> Any:
    """Open one of CAREamics' image stacks."""
    if kind == "memory":
        return InMemoryImageStack.from_array(np.load(folder / f"{name}.npy"), axes)
    return ZarrImageStack(zarr.open_group(folder / "all.zarr", mode="r"), name, axes)


def main(folder: Path) -> None:
    """Extract what is asked for."""
    patches, refused, stacks = {}, {}, {}
    for number, request in enumerate(json.loads((folder / "requests.json").read_text())):
        for kind in ("memory", "zarr"):
            stack = stack_of(kind, folder, request["name"], request["axes"])
            key = f"{number}_{kind}"
            stacks[key] = {
                "data_shape": list(map(int, stack.data_shape)),
                "data_dtype": str(stack.data_dtype),
                "original_axes": stack.original_axes,
                "original_data_shape": list(stack.original_data_shape),
                "source": str(stack.source),
                "chunks": list(stack.chunks) if kind == "zarr" else None,
            }
            try:
                patches[key] = stack.extract_patch(**request["patch"])
            except (IndexError, ValueError) as error:
                refused[key] = f"{type(error).__name__}: {error}"
    np.savez(folder / "patches.npz", **patches)
    answers = {"version": version("careamics"), "refused": refused, "stacks": stacks}
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
