"""Which arrays there are in a container, as the fields of configs that tell them apart."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from dacapo_like.sources import ngff
from dacapo_like.sources._h5 import dataset_names, open_file
from dacapo_like.sources._stores import ZARR_GROUPS, ZIP_SUFFIXES, Store, open_store
from dacapo_like.sources._zarr_nodes import ZARR, ArrayNode, Format, Node, _search
from dacapo_like.sources.n5 import _FILE, _N5, _Pyramid

Fields: TypeAlias = dict[str, Any]

_SUFFIXES = {
    ".zarr": "zarr",
    ".n5": "n5",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".ims": "imaris",
    ".czi": "czi",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".npy": "npy",
    ".npz": "npy",
    **dict.fromkeys(ZIP_SUFFIXES, "zarr"),
}
"""Types of containers, by how their names end."""

_MARKS = {
    "zarr.json": "zarr",
    ".zgroup": "zarr",
    ".zarray": "zarr",
    "attributes.json": "n5",
    "info": "precomputed",
}
"""Types of folders, by a file that is in them."""


def container_type(file_name: str) -> str | None:
    """Give the type of the arrays in a file or folder; ``None``: it is no container that is known here.

    Examples
    --------
    >>> container_type("brain.nii.gz"), container_type("notes.txt")
    ('nifti', None)
    """
    folder = Path(file_name)
    if "://" not in file_name and folder.is_dir():
        marked = (tag for mark, tag in _MARKS.items() if (folder / mark).is_file())
        return next(marked, None) or _SUFFIXES.get(folder.suffix.lower())
    name = file_name.partition("?")[0].rstrip("/").lower()
    return next((tag for suffix, tag in _SUFFIXES.items() if name.endswith(suffix)), None)


def split_container(path: str) -> tuple[str, str | None]:
    """Split a path that leads into a container into the container and the dataset.

    Examples
    --------
    >>> split_container("data/crop1.zarr/labels/mito")
    ('data/crop1.zarr', 'labels/mito')
    >>> split_container("data/brain.nii.gz")
    ('data/brain.nii.gz', None)
    """
    parts = path.rstrip("/").split("/")
    for end in range(1, len(parts)):
        if any(parts[end - 1].lower().endswith(suffix) for suffix in _SUFFIXES):
            return "/".join(parts[:end]), "/".join(parts[end:])
    return path, None


def arrays_in(tag: str, file_name: str) -> list[Fields]:
    """Give, for every array of a container, the fields that name it there; none where there is nothing to choose.

    Raises
    ------
    SourceError
        The container cannot be read.
    """
    listing = _LISTINGS.get(tag)
    return [{}] if listing is None else list(listing(file_name))


def _in_zarr(file_name: str) -> Iterator[Fields]:
    def opens(node: Node) -> bool:
        return isinstance(node, ArrayNode) or ngff.is_image(node.attributes)

    store, root = open_store(file_name, {}, ZARR_GROUPS)
    for node in _nodes(store, root, ZARR, opens):
        yield _dataset(node, root)
        labels = posixpath.join(node.key, "labels")
        if not isinstance(node, ArrayNode) and store.lists and store.has_folder(labels):
            yield from (_dataset(below, root) for below in _nodes(store, labels, ZARR, opens))


def _in_n5(file_name: str) -> Iterator[Fields]:
    store, root = open_store(file_name, {}, (_FILE,))
    nodes = _nodes(store, root, _N5, lambda node: isinstance(node, (ArrayNode, _Pyramid)))
    return (_dataset(node, root) for node in nodes)


def _nodes(store: Store, key: str, kind: Format, opens: Callable[[Node], bool]) -> Iterator[Node]:
    node = kind.read(store, key)
    if node is not None and opens(node):
        yield node
    elif store.lists:
        yield from _search(store, key, kind, opens, store.locate(key))


def _dataset(node: Node, root: str) -> Fields:
    path = posixpath.relpath(node.key or ".", root or ".")
    return {} if path == "." else {"dataset": path}


def _in_hdf5(file_name: str) -> Iterator[Fields]:
    with open_file(file_name) as file:
        names = dataset_names(file)
    return ({"dataset": name} for name in names)


def _in_npy(file_name: str) -> Iterator[Fields]:
    if not file_name.lower().endswith(".npz"):
        yield {}
        return
    import zipfile

    with zipfile.ZipFile(file_name) as file:
        names = [name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")]
    yield from ({"dataset": name} for name in names)


def _in_tiff(file_name: str) -> Iterator[Fields]:
    import tifffile  # heavy

    with tifffile.TiffFile(file_name) as file:
        count = len(file.series)
    return ({"series": i} if i else {} for i in range(count))


def _in_czi(file_name: str) -> Iterator[Fields]:
    from dacapo_like.sources.czi import _File, _tiles

    scenes = {tile.scene for tile in _tiles(_File(file_name), file_name)}
    if len(scenes) == 1:
        yield {}
        return
    yield from (
        {"scene": scene} for scene in sorted(scene for scene in scenes if scene is not None)
    )


_LISTINGS: dict[str, Callable[[str], Iterator[Fields]]] = {
    "zarr": _in_zarr,
    "n5": _in_n5,
    "hdf5": _in_hdf5,
    "npy": _in_npy,
    "tiff": _in_tiff,
    "czi": _in_czi,
}
