"""What becomes of bits that flip, and of files that are cut off or lost: ``python -m benchmarks.faults``.

A small volume is written, and damaged in one place at a time, drawn at random. Then it is read. Either that is an error, or it
gives what was written, or it gives something else and says nothing: that is what checksums are for.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like import from_numpy, open_array
from dacapo_like.errors import DacapoLikeError

SHAPE, CHUNKS, SHARDS = (32, 64, 64), (16, 16, 16), (32, 32, 32)

Found = tuple[Any, NDArray[Any]]
"""What metadata say, and voxels."""


@attrs.frozen
class Way:
    """A way to write a volume, and to read it.

    Attributes
    ----------
    name : str
        Of the row.
    write : callable
        Takes a folder, writes the volume there, and gives its path.
    read : callable
        Takes the path; gives what was found, or raises.
    failures : tuple of type
        What `read` raises on purpose.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Found]
    failures: tuple[type[Exception], ...] = (DacapoLikeError,)


def volume() -> NDArray[np.uint16]:
    """Give an image such as microscopes take: smooth, with noise; no voxel is zero."""
    z, y, x = np.indices(SHAPE)
    smooth = 400 + 300 * np.sin(z / 5) * np.cos(y / 9) + 2 * x
    noise = np.random.default_rng(0).normal(0, 8, SHAPE)
    return (smooth + noise).astype("uint16")


def ours(name: str, **options: Any) -> Way:
    """Written by this package, with some options of its writer, and read by it."""

    def write(folder: Path) -> Path:
        array = from_numpy(volume(), voxel_size=(4, 4, 4), units="nm")
        return array.save(folder / "a.zarr", chunks=CHUNKS, levels=1, **options)

    return Way(name, write, _read_ours)


def _read_ours(path: Path) -> Found:
    array = open_array({"type": "zarr", "file_name": str(path)})
    return array.spec, array.read()


def zarr_python(name: str, **options: Any) -> Way:
    """Written by zarr-python with its own codecs, and read by it, which raises whatever its codecs raise."""
    import zarr

    def write(folder: Path) -> Path:
        made = zarr.create_array(
            folder / "a.zarr", shape=SHAPE, chunks=CHUNKS, dtype="uint16", **options
        )
        made[...] = volume()
        return folder / "a.zarr"

    def read(path: Path) -> Found:
        array = zarr.open_array(path, mode="r")
        return array.attrs.asdict(), np.asarray(array[...])

    return Way(name, write, read, (Exception,))


def ways() -> list[Way]:
    """Give all rows."""
    return [
        ours("OME-Zarr 0.5"),
        ours("OME-Zarr 0.5, sharded", shards=SHARDS),
        ours("OME-Zarr 0.5, Blosc", compression="blosc"),
        ours("OME-Zarr 0.5, gzip", compression="gzip"),
        ours("OME-Zarr 0.5, not compressed", compression=None),
        ours("OME-Zarr 0.4", version="0.4"),
        zarr_python("zarr-python's defaults"),
        zarr_python("zarr-python's defaults, sharded", shards=SHARDS),
        zarr_python("zarr-python's defaults, Zarr 2", zarr_format=2),
    ]


def chunk_files(path: Path) -> list[Path]:
    """Give the files of chunks below a path, and not those of metadata."""
    return sorted(
        p for p in path.rglob("*") if p.is_file() and p.suffix != ".json" and p.name[0] != "."
    )


def metadata_files(path: Path) -> list[Path]:
    """Give the files of metadata below a path."""
    return sorted(set(filter(Path.is_file, path.rglob("*"))) - set(chunk_files(path)))


def flip(file: Path, draws: random.Random) -> None:
    """Turn around one bit of a file."""
    contents = bytearray(file.read_bytes())
    at = draws.randrange(8 * len(contents))
    contents[at // 8] ^= 1 << at % 8
    file.write_bytes(contents)


def cut_or_lose(file: Path, draws: random.Random) -> None:
    """Remove a file, or its end, which may begin at its first byte."""
    if draws.random() < 0.5:
        file.unlink()
    else:
        contents = file.read_bytes()
        file.write_bytes(contents[: draws.randrange(len(contents))])


class Tally(NamedTuple):
    """What became of faults.

    Attributes
    ----------
    errors : int
        It was an error to read.
    wrong : int
        Something else was read than had been written, and nothing was said.
    harmless : int
        What had been written was read.
    """

    errors: int
    wrong: int
    harmless: int


def outcomes(
    way: Way,
    folder: Path,
    number: int,
    damage: Callable[[Path, random.Random], None],
    files: Callable[[Path], list[Path]] = chunk_files,
) -> Tally:
    """Damage a volume in one place, read it, and repair it; again and again.

    Parameters
    ----------
    way : Way
        How it is written and read.
    folder : Path
        Where; empty.
    number : int
        Of faults.
    damage : callable
        Takes one of the files.
    files : callable
        Gives those that are damaged.
    """
    path = way.write(folder)
    about, voxels = way.read(path)
    found, counts = files(path), Counter[str]()
    draws = random.Random(way.name)  # the same faults each time
    for _ in range(number):
        file = draws.choice(found)
        contents = file.read_bytes()
        damage(file, draws)
        try:
            now, read = way.read(path)
        except way.failures:
            counts["errors"] += 1
        else:
            same = now == about and np.array_equal(read, voxels)
            counts["harmless" if same else "wrong"] += 1
        file.write_bytes(contents)
    return Tally(counts["errors"], counts["wrong"], counts["harmless"])


def rows(flips: int, cuts: int) -> Iterator[str]:
    """Run everything, and give a table in Markdown, line by line."""
    yield "| written and read as | bits of chunks | files of chunks | bits of metadata |"
    yield "|---|---|---|---|"
    damages = (
        (flips, flip, chunk_files),
        (cuts, cut_or_lose, chunk_files),
        (flips, flip, metadata_files),
    )
    for way in ways():
        cells = []
        for number, damage, files in damages:
            with tempfile.TemporaryDirectory() as folder:
                tally = outcomes(way, Path(folder), number, damage, files)
            cells.append(" / ".join(map(str, tally)))
        yield f"| {way.name} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table of the page on faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=200)
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in rows(options.flips, options.cuts):
            print(row, flush=True)


if __name__ == "__main__":
    main()
