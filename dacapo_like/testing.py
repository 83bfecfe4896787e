"""The laws that every operator, source and composition keeps, as a pytest suite to subclass.

Only tests import this module: it needs pytest, which the package itself does not.
"""

from __future__ import annotations

import multiprocessing
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import attrs
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from dacapo_like.config.document import Format
from dacapo_like.config.loading import dump
from dacapo_like.core import Array, ArrayConfig, Block, tree_nodes
from dacapo_like.errors import ConfigError, RegionError, WriteError
from dacapo_like.experiment import load
from dacapo_like.geometry import Box, Exact, box_between, plain_number
from dacapo_like.operators.crop import CropArrayConfig
from dacapo_like.padding import Pad
from dacapo_like.registry import array_type
from dacapo_like.sources.memory import from_numpy
from dacapo_like.spec import ArraySpec, infer_kind

_SEED = 20240229
_BOXES = 12
_THREADS = 8
_PADS: tuple[tuple[Pad, dict[str, Any]], ...] = (  # and how numpy.pad says it
    ({"constant": 1}, {"constant_values": 1}),
    ("edge", {"mode": "edge"}),
    ("reflect", {"mode": "reflect"}),
)


@attrs.frozen
class Case:
    """One array that the laws are tried on.

    Attributes
    ----------
    array : Array
        Small: it is read whole, many times.
    expected : ndarray or None
        All of its voxels, from an independent truth; ``None`` where there is none.
    oracle_tolerance : float
        How far `expected` may be off, as a share of its range; by default it is exact.
    in_memory : bool
        Declares that the tree holds arrays which no document can name, so that it has no round trip.
    id : str
        How failures call it; the suite fills it in.
    directory : Path
        Where its files are; the suite fills it in.
    """

    array: Array
    expected: NDArray[Any] | None = None
    oracle_tolerance: float = attrs.field(default=0.0, kw_only=True)
    in_memory: bool = attrs.field(default=False, kw_only=True)
    id: str = attrs.field(default="case", kw_only=True)
    directory: Path = attrs.field(factory=Path, kw_only=True)

    def boxes(self, spec: ArraySpec | None = None) -> list[Box]:
        """Give the boxes to try, the same ones in every run; by default of the array itself."""
        return random_boxes(spec or self.array.spec, self.rng())

    def rng(self) -> np.random.Generator:
        """Give a generator that depends on the case alone."""
        return np.random.default_rng([_SEED, zlib.crc32(self.id.encode())])

    def require(self, holds: object, law: str, detail: object, place: object = None) -> None:
        """Fail unless something holds, saying which law is broken, where and how."""
        if not holds:
            at = "" if place is None else f" at {place}"
            pytest.fail(f"law broken: {law}; case {self.id!r}{at} (seed {_SEED}): {detail}")

    def same(
        self, got: NDArray[Any], expected: NDArray[Any], law: str, place: object = None, **how: Any
    ) -> None:
        """Fail unless two arrays are the same, `how` being said as to `difference`."""
        detail = difference(got, expected, **how)
        self.require(detail is None, law=law, detail=detail, place=place)


Build: TypeAlias = "Callable[[Path], Case]"


class ArrayContract:
    """The laws, as tests. Subclass it as ``Test…`` and write ``case_…`` methods.

    Each is given an empty directory for its files, and gives a `Case`. A subclass with many similar cases overrides
    `cases` instead. Let sources be files, which `as_zarr` writes: arrays in memory have no documents.

    Attributes
    ----------
    tolerance_of_range : float
        How far two reads of one voxel may be apart, as a share of the array's range; 0 means equal bit for bit.
    in_other_processes : bool
        Whether a new process can import the configs; not where a test module defines them.

    Examples
    --------
    >>> class TestCrop(ArrayContract):
    ...     def case_plane(self, directory):
    ...         voxels = np.arange(24, dtype="uint8").reshape(4, 6)
    ...         source = as_zarr(voxels, directory / "a.zarr", voxel_size=(9.8, 25))
    ...         return Case(source.crop(Roi((9.8, 50), (19.6, 75))), expected=voxels[1:3, 2:5])
    >>> list(TestCrop().cases())
    ['plane']
    """

    tolerance_of_range: ClassVar[float] = 0.0
    in_other_processes: ClassVar[bool] = True

    def cases(self) -> Mapping[str, Build]:
        """Give the functions that build the cases, by id; by default the ``case_…`` methods."""
        return {
            name.removeprefix("case_"): getattr(self, name)
            for name in sorted(dir(self))
            if name.startswith("case_")
        }

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test that takes a `case` on each of them."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", list(self.cases()), indirect=True, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
        """Build one case, once for all tests."""
        return cls._build(request.param, tmp_path_factory)

    @classmethod
    def _build(cls, name: str, directories: pytest.TempPathFactory) -> Case:
        directory = directories.mktemp("case")
        return attrs.evolve(cls().cases()[name](directory), id=name, directory=directory)

    # 1. The spec is the truth

    def test_reads_are_as_declared(self, case: Case) -> None:
        """Shape, dtype, channels and ROI of a read are those that the spec said before."""
        law, array, spec = "the spec is the truth", case.array, case.array.spec
        for box in case.boxes():
            _require_declared(case, array.read_box(box), box.shape, law, box)
            space = _over_leading_axes(box, spec)
            roi = spec.box_to_roi(space)
            _require_declared(case, array[roi], space.shape, law, roi)
            case.require(spec.roi_to_box(roi) == space, law, "the ROI is of another box", roi)
        case.require(array.roi == spec.roi, law, f"roi is {array.roi}, the spec's {spec.roi}")
        if "c" in spec.axes and spec.channels is not None:
            case.require(len(spec.channels) == array.num_channels, law, spec.channels)
        again = array.config.array().spec
        case.require(again == spec, law, f"opened again it is {again}, before {spec}")

    def test_regions_that_do_not_fit_are_refused(self, case: Case) -> None:
        """A region off the grid, or beyond the end, is an error, never clipped or wrapped."""
        law, spec = "a region that does not fit is an error", case.array.spec
        whole = spec.roi
        for axis, size in enumerate(spec.voxel_size):
            step = [size if i == axis else 0 for i in range(spec.dims)]
            half = [Fraction(value) / 2 for value in step]
            for bad in (whole + step, whole - step, whole + half):
                try:
                    data = case.array[bad]
                except RegionError:
                    continue
                case.require(holds=False, law=law, detail=f"it gave {data.shape}", place=bad)

    # 2. Block invariance

    def test_a_box_is_that_part_of_the_whole(self, case: Case) -> None:
        """Reading a box gives what the whole array holds there."""
        whole = case.array.read()
        for box in case.boxes():
            self._same(case, case.array.read_box(box), whole[box.slices], "block invariance", box)

    # 3. World invariance

    def test_a_crop_keeps_every_world_point(self, case: Case) -> None:
        """A world point has the same value, and the same place, in a cropped array."""
        law, array = "world invariance of crop", case.array
        whole, rng = array.read(), case.rng()
        for box in case.boxes():
            space = _over_leading_axes(box, array.spec)
            cropped = array.apply(CropArrayConfig, roi=array.spec.box_to_roi(space))
            data = cropped.read()
            self._same(case, data, whole[space.slices], law, space)
            shape = np.array(cropped.spec.spatial_shape)
            voxels = np.array([0 * shape, shape - 1, rng.integers(shape)])
            ones = np.ones((len(voxels), 1))
            world = np.hstack([voxels, ones]) @ cropped.voxel_to_world.T
            back = np.rint(world @ array.world_to_voxel.T)[:, :-1].astype(int)
            for mine, theirs in zip(voxels, back, strict=True):
                here, there = data[(..., *mine)], whole[(..., *theirs)]
                self._same(case, here, there, law, f"{space}, voxel {tuple(mine)} of it")

    def test_padding_moves_nothing(self, case: Case) -> None:
        """What is read around the array is as asked for; what is inside stays where it is."""
        law, array, rng = "world invariance of padding", case.array, case.rng()
        whole, lead = array.read(), len(array.spec.leading_axes)
        for pad, how in _PADS:
            margins = [(0, 0)] * lead + rng.integers(0, 4, (array.dims, 2)).tolist()
            sides = zip(array.shape, margins, strict=True)
            box = box_between([-low for low, _ in margins], [n + high for n, (_, high) in sides])
            got, expected = array.read_box(box, pad=pad), np.pad(whole, margins, **how)
            self._same(case, got, expected, law, (pad, box))
            roi = array.spec.box_to_roi(box)
            self._same(case, array.read(roi, pad=pad), expected, law, (pad, roi))

    # 4. Purity

    def test_reads_belong_to_the_caller(self, case: Case) -> None:
        """Changing what was read changes no later read."""
        law = "purity: reads belong to the caller"
        for box in case.boxes():
            first, second = case.array.read_box(box), case.array.read_box(box)
            case.require(first.flags.writeable, law, "it cannot be written to", box)
            case.require(not np.shares_memory(first, second), law, "two reads share memory", box)
            self._same(case, second, first, "purity: reading twice gives the same", box)
            first[...] = np.where(first == 0, 1, 0)
            self._same(case, case.array.read_box(box), second, law, box)

    def test_compute_changes_no_block(self, case: Case) -> None:
        """Operators compute the same with and without `out`, from blocks that they may not change."""
        law = "purity: `compute` changes no block"
        for node in tree_nodes(case.array):
            if node.operation is None:
                continue
            for box in case.boxes(node.spec):
                place = f"{node.describe()}, {box}"
                blocks = _read_only_blocks(case, node, box)
                kept = [None if block.data is None else block.data.copy() for block in blocks]
                data = node.operation.compute(box, *blocks)
                _require_declared(case, data, box.shape, law, place, node.spec)
                self._same(case, data, node.read_box(box), law, place)
                out = np.full(box.shape, 1, node.dtype)
                self._same(case, node.operation.compute(box, *blocks, out=out), data, law, place)
                for block, before in zip(blocks, kept, strict=True):
                    if before is not None:
                        case.same(block.data, before, law, place)

    def test_reads_may_overlap_in_time(self, case: Case) -> None:
        """Several reads of a source may be begun before the first is waited for."""
        law = "purity: several reads of a source in flight"
        for node in tree_nodes(case.array):
            if node.reader is not None:
                boxes = case.boxes(node.spec)
                waits = [node.reader.start(box) for box in boxes]
                whole = node.read()
                for box, wait in reversed(list(zip(boxes, waits, strict=True))):
                    self._same(case, wait(), whole[box.slices], law, f"{node.describe()}, {box}")

    def test_any_order_and_threads_read_the_same(self, case: Case) -> None:
        """Boxes read from eight threads, in any order, are the same."""
        law, whole, rng = "purity: any order, any number of threads", case.array.read(), case.rng()
        boxes = case.boxes()
        mixed = [boxes[i] for _ in range(4) for i in rng.permutation(len(boxes))]
        fresh = case.array.config.array()
        with ThreadPoolExecutor(_THREADS) as threads:
            for box, data in zip(mixed, threads.map(fresh.read_box, mixed), strict=True):
                self._same(case, data, whole[box.slices], law, box)

    def test_what_is_assigned_is_read(self, case: Case) -> None:
        """A region that is assigned to holds what was assigned, and nothing else changes; or that is refused."""
        law, array = "what is assigned is read", case.array
        before = array.read()
        for box in case.boxes():
            new = np.where(before[box.slices] == 0, 1, 0).astype(array.dtype)
            expected = before.copy()
            if array.writable:
                array.write_box(box, new)
                expected[box.slices] = new
            else:
                with pytest.raises(WriteError, match="not writable"):
                    array.write_box(box, new)
            case.same(array.read(), expected, law, box)
            case.same(array.config.array().read(), expected, law, box)
            if array.writable:
                array.write_box(box, before[box.slices])

    def test_a_pickled_copy_reads_the_same(self, case: Case) -> None:
        """A pickled array opens again as what it was."""
        law, copy = "arrays pickle", pickle.loads(pickle.dumps(case.array))  # noqa: S301  # our own
        case.require(copy.spec == case.array.spec, law, f"it became {copy.spec}")
        for box in case.boxes():
            self._same(case, copy.read_box(box), case.array.read_box(box), law, box)

    def test_another_process_reads_the_same(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """A process that was spawned, not forked, reads all cases as this one does."""
        if not self.in_other_processes:
            pytest.skip("declared: a new process cannot import these configs")
        law = "purity: any number of processes"
        cases = [self._build(name, tmp_path_factory) for name in self.cases()]
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn) as processes:
            found = processes.map(
                _read_boxes, [case.array for case in cases], [case.boxes() for case in cases]
            )
            for case, (hashes_agree, blocks) in zip(cases, found, strict=True):
                case.require(hashes_agree, law, "equal configs hash unequal in another process")
                for box, data in zip(case.boxes(), blocks, strict=True):
                    self._same(case, data, case.array.read_box(box), law, box)

    # 5. Round trip

    @pytest.mark.parametrize("format", ["yaml", "toml", "json"])
    def test_documents_give_the_config_back(self, case: Case, format: Format) -> None:  # noqa: A002  # the parameter of dump
        """A config written into a document and loaded again is the same, its names too."""
        law = f"round trip through {format}"
        config = attrs.evolve(case.array.config, name="the root")
        if case.in_memory:
            with pytest.raises(ConfigError, match="in memory"):
                dump(config, format)
            return
        nodes = tree_nodes(case.array)
        unnamed = [node.describe() for node in nodes if not node.config.in_documents]
        hint = "write it with `as_zarr`, or declare Case(…, in_memory=True)"
        case.require(not unnamed, law, f"no document can name {', '.join(unnamed)}: {hint}")
        for base in (None, case.directory):
            path = case.directory / f"document.{format}"
            path.write_text(dump(config, format, relative_to=base), encoding="utf-8")
            loaded: Any = load(path)
            case.require(loaded == config, law, f"{loaded} is not {config}")
            case.require(hash(loaded) == hash(config), law, "equal configs hash unequal")
            names = list(_names(loaded))
            case.require(names == list(_names(config)), law, f"its names became {names}")
            case.require(loaded.array().spec == case.array.spec, law, "its spec is another")

    # 6. The eager oracle

    def test_voxels_are_as_expected(self, case: Case) -> None:
        """The whole array is what an independent truth says."""
        if case.expected is None:
            pytest.skip("declared: the case names no expected voxels")
        tolerance = case.oracle_tolerance * extent(case.expected)
        case.same(case.array.read(), case.expected, "the oracle agrees", tolerance=tolerance)

    # 7. Where the voxels go

    def test_out_is_filled(self, case: Case) -> None:
        """`out` is filled and returned, whatever its strides; one that does not fit is refused."""
        law = "`out` is filled and returned"
        for box in case.boxes():
            for out in _destinations(box, case.array.dtype):
                got = case.array.read_box(box, out=out)
                case.require(got is out, law, "another array was returned", box)
                self._same(case, out, case.array.read_box(box), law, box)
            wrong = np.empty((*box.shape[:-1], box.shape[-1] + 1), case.array.dtype)
            with pytest.raises(RegionError, match="does not fit"):
                case.array.read_box(box, out=wrong)

    def test_dask_computes_the_same(self, case: Case) -> None:
        """`to_dask` gives the same voxels, by its own chunks and by small ones."""
        law, whole = "dask computes the same", case.array.read()
        for chunks in (None, tuple(min(n, 3) for n in case.array.shape)):
            lazy = case.array.to_dask(chunks)
            case.require(lazy.shape == whole.shape, law, lazy.shape, chunks)
            case.require(lazy.dtype == whole.dtype, law, lazy.dtype, chunks)
            self._same(case, lazy.compute(scheduler="threads"), whole, law, chunks)

    def _same(
        self, case: Case, got: NDArray[Any], expected: NDArray[Any], law: str, place: object
    ) -> None:
        share = self.tolerance_of_range
        tolerance = share * extent(case.array.read()) if share else 0.0
        case.same(got, expected, law, place, tolerance=tolerance, signed_zeros=share == 0)


# What cases are made of


def as_zarr(
    data: Array | NDArray[Any],
    path: str | Path,
    *,
    chunks: Sequence[int] | None = None,
    name: str | None = None,
    **grid: Any,
) -> Array:
    """Write voxels into a plain Zarr array on disk, and open it, so that documents can name it.

    Parameters
    ----------
    data : Array or ndarray
        Small: it is written at once.
    path : str or Path
        Of the new Zarr.
    chunks : sequence of int, optional
        By default such that there are about two chunks along every axis.
    name : str, optional
        Of the config.
    **grid
        Of an ndarray: ``axes``, ``voxel_size``, ``offset``, ``units``, ``kind``, as `from_numpy` takes them.

    Returns
    -------
    Array
        Of a ``zarr`` config.

    Raises
    ------
    ValueError
        A plain Zarr array cannot hold what the spec says: names of channels, or directions.
    """
    import zarr  # heavy

    array = data if isinstance(data, Array) else from_numpy(data, **grid)
    spec = array.spec
    zarr.create_array(
        str(path),
        data=array.read(),
        chunks=tuple(chunks or (-(-n // 2) for n in spec.shape)),
        attributes={
            "axes": list(spec.axes),
            "voxel_size": [_json_number(size) for size in spec.voxel_size],
            "offset": [_json_number(start) for start in spec.offset],
            "units": [unit or "" for unit in spec.units],
        },
    )
    config_class: Any = array_type("zarr")
    kind = None if spec.kind == infer_kind(spec.dtype) else spec.kind
    written: Array = config_class(name=name, file_name=str(path), kind=kind).array()
    like = written.spec.replace(chunk_shape=spec.chunk_shape, anchor=spec.anchor)
    if like != spec:
        raise ValueError(f"a plain Zarr cannot hold all of the spec: got {like}, expected {spec}")
    return written


def _json_number(value: Exact) -> int | float | str:
    number = plain_number(value)
    return number if isinstance(number, (int, float)) else f"{Fraction(value)}"


def sample_voxels(shape: Sequence[int], dtype: DTypeLike, seed: int = 0) -> NDArray[Any]:
    """Make voxels to test with: integers up to the limits of their dtype, floats of either sign.

    Parameters
    ----------
    shape : sequence of int
        Along every axis.
    dtype : dtype-like
        Bool, integer or float.
    seed : int
        The same seed gives the same voxels.

    Examples
    --------
    >>> voxels = sample_voxels((4, 5), "int16")
    >>> voxels.min(), voxels.max()
    (np.int16(-32768), np.int16(32767))
    """
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    if kind.kind == "b":
        return rng.integers(0, 2, tuple(shape)).astype(bool)
    if kind.kind == "f":
        return rng.normal(scale=100, size=tuple(shape)).astype(kind)
    limits = np.iinfo(kind)
    voxels = rng.integers(limits.min, limits.max, tuple(shape), dtype=kind, endpoint=True)
    voxels.flat[:2] = limits.min, limits.max
    return voxels


def random_boxes(spec: ArraySpec, rng: np.random.Generator, count: int = _BOXES) -> list[Box]:
    """Choose boxes of an array: all of it, its first voxel, its last, and random ones.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> random_boxes(from_shape((4, 5)), np.random.default_rng(0), 3)[1:]
    [Box(offset=(0, 0), shape=(1, 1)), Box(offset=(3, 4), shape=(1, 1))]
    """
    last = tuple(n - 1 for n in spec.shape)
    ones = (1,) * spec.ndim
    boxes = [spec.box, Box((0,) * spec.ndim, ones), Box(last, ones)]
    while len(boxes) < count:
        ends = [sorted(rng.choice(n + 1, 2, replace=False).tolist()) for n in spec.shape]
        boxes.append(box_between(*zip(*ends, strict=True)))
    return boxes


def difference(
    got: NDArray[Any],
    expected: NDArray[Any],
    tolerance: float = 0.0,
    *,
    signed_zeros: bool = False,
) -> str | None:
    """Say how two arrays differ; ``None`` where they do not.

    Parameters
    ----------
    got, expected : ndarray
        Of equal shape and dtype, or that is the difference. NaNs equal each other.
    tolerance : float
        How far voxels may be apart.
    signed_zeros : bool
        Whether a zero differs from a negative one.

    Examples
    --------
    >>> difference(np.array([1, 2, 4]), np.array([1, 2, 3]))
    '1 of 3 voxels, the first at (2,): got 4, expected 3'
    """
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return f"got {got.dtype} {got.shape}, expected {expected.dtype} {expected.shape}"
    wrong = np.asarray(got != expected)
    if got.dtype.kind == "f":
        wrong &= ~(np.isnan(got) & np.isnan(expected))
        if signed_zeros:
            wrong |= (got == 0) & (np.signbit(got) != np.signbit(expected))
    if tolerance:
        apart = np.abs(got[wrong].astype(np.longdouble) - expected[wrong])
        wrong[wrong] = ~(apart <= tolerance)
    if not wrong.any():
        return None
    at = tuple(map(int, np.argwhere(wrong)[0]))
    count = f"{np.count_nonzero(wrong)} of {wrong.size} voxels"
    return f"{count}, the first at {at}: got {got[at]!s}, expected {expected[at]!s}"


def extent(voxels: NDArray[Any]) -> float:
    """Give the distance from the least to the greatest finite voxel."""
    finite = voxels[np.isfinite(voxels)]
    return float(finite.max()) - float(finite.min()) if finite.size else 0.0


def _over_leading_axes(box: Box, spec: ArraySpec) -> Box:
    """Extend a box to the whole of the axes that a ROI does not cover."""
    lead = len(spec.leading_axes)
    return Box((0,) * lead + box.offset[lead:], spec.leading_shape + box.shape[lead:])


def _names(config: ArrayConfig) -> Iterator[tuple[str, str | None]]:
    yield config.tag, config.name
    for _, child in config.children():
        yield from _names(child)


def _require_declared(
    case: Case,
    data: NDArray[Any],
    shape: tuple[int, ...],
    law: str,
    place: object,
    spec: ArraySpec | None = None,
) -> None:
    dtype = (spec or case.array.spec).dtype
    case.require(isinstance(data, np.ndarray), law, f"it gave a {type(data).__name__}", place)
    case.require(data.shape == shape, law, f"shape {data.shape}, not {shape}", place)
    case.require(data.dtype == dtype, law, f"dtype {data.dtype}, not {dtype}", place)
    case.require(data.dtype.isnative, law, f"byte order of {data.dtype.str}", place)


def _read_only_blocks(case: Case, node: Array, box: Box) -> list[Block]:
    """Read by hand what an operator needs for a box."""
    operation = node.operation
    assert operation is not None  # noqa: S101  # chosen by the caller

    def block(below: Array, need: Box | None) -> Block:
        data = None
        if need is not None:
            place, law = f"{node.describe()}, {box}", "an operator needs voxels that are there"
            case.require(below.spec.box.contains(need), law, need, place)
            data = below.read_box(need)
            data.setflags(write=False)
        return Block(data, need, below.spec)

    needs = operation.needs(box, *(below.spec for below in node.inputs))
    blocks = list(map(block, node.inputs, needs))
    while (more := operation.needs_more(box, *blocks)) is not None:
        for i, need in enumerate(more):
            blocks[i] = blocks[i] if need is None else block(node.inputs[i], need)
    return blocks


def _destinations(box: Box, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """Make arrays to read into: contiguous, in another order of axes, and part of a larger one."""
    yield np.full(box.shape, 1, dtype)
    yield np.full(box.shape[::-1], 1, dtype).T
    yield np.full([2 * n for n in box.shape], 1, dtype)[tuple(slice(n) for n in box.shape)]


def _read_boxes(array: Array, boxes: Sequence[Box]) -> tuple[bool, list[NDArray[Any]]]:
    """Read boxes in another process; also say whether configs hash there as equal ones made there do."""
    hashes_agree = hash(array.config) == hash(attrs.evolve(array.config))
    return hashes_agree, [array.read_box(box) for box in boxes]


__all__ = [
    "ArrayContract",
    "Case",
    "as_zarr",
    "difference",
    "extent",
    "random_boxes",
    "sample_voxels",
]
