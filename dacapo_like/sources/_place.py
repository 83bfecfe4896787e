"""A folder of a store, as those see it who read voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import attrs


@attrs.frozen(kw_only=True)
class Place:
    """A folder of a store, for those who read voxels.

    Attributes
    ----------
    kvstore : mapping
        TensorStore's spec of it.
    folder : Path or None
        The folder itself, where it can be written to.
    for_zarr : callable
        Gives what zarr-python takes as the store, and the path of the folder in it; opens what it has to.
    has : callable or None
        Whether a file is in the folder; ``None`` where to ask costs a request.
    open_file : callable or None
        Opens a file of the folder for reading; ``None`` where that costs a request.
    leaves : callable or None
        Whether a file of the folder is, by a symbolic link, outside of the store; ``None`` where there are no links.
    remote : bool
        Whether a failure to open may be the network's.
    """

    kvstore: Mapping[str, Any]
    folder: Path | None = None
    for_zarr: Callable[[], tuple[Any, str]]
    has: Callable[[str], bool] | None = None
    open_file: Callable[[str], IO[bytes]] | None = None
    leaves: Callable[[str], bool] | None = None
    remote: bool = False
