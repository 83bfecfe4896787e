"""Random trees of up to six operators, against an eager oracle that holds whole arrays and exact fractions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import attrs
import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

import dacapo_like
from dacapo_like import (
    ArrayConfig,
    AstypeArrayConfig,
    BinarizeArrayConfig,
    ConcatArrayConfig,
    ConstantArrayConfig,
    CropArrayConfig,
    FlipArrayConfig,
    IntensitiesArrayConfig,
    LogicalOrArrayConfig,
    MergeInstancesArrayConfig,
    MissingAnnotationsMaskConfig,
    OnesArrayConfig,
    PadArrayConfig,
    ReorientArrayConfig,
    ResampledArrayConfig,
    Roi,
    SelectChannelsArrayConfig,
    SelectTimepointsArrayConfig,
    SumArrayConfig,
    TransposeArrayConfig,
    from_numpy,
)
from dacapo_like.testing import as_zarr, difference, random_boxes, sample_voxels

GRIDS = [("9.8", "25"), ("0.7", "10/3"), ("40", "4", "4"), ("2", "9.8", "0.7")]
DTYPES = ["bool", "uint8", "int16", "uint16", "uint32", "int64", "uint64", "float32", "float64"]
LEADING = ["", "c", "t", "tc"]
NANOMETRES = {"nm": 1, "um": 1000}
LISTED = [1, 2, 3]  # labels whose annotation sources speak of
MOST_VOXELS = 3000
HALF = Fraction(1, 2)


@attrs.frozen(eq=False)
class Eager:
    """A config, and by independent means what its array must be."""

    config: ArrayConfig
    voxels: np.ndarray
    axes: str
    voxel_size: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]
    unit: str
    kind: str
    channels: tuple[str, ...] | None = None
    missing: frozenset[int] = frozenset()  # labels that its source calls present but not annotated
    pointing: tuple[tuple[str, int], ...] = (
        attrs.field(  # along which axis of the world, and whether against it
            default=attrs.Factory(
                lambda self: tuple((axis, 1) for axis in self.axes[self.lead :]), takes_self=True
            )
        )
    )

    @property
    def dims(self) -> int:
        return len(self.voxel_size)

    @property
    def lead(self) -> int:
        return len(self.axes) - self.dims

    @property
    def space(self) -> tuple[int, ...]:
        return self.voxels.shape[self.lead :]

    def evolve(self, config_class, voxels, fields, **changes) -> Eager:
        config = config_class(source_array_config=self.config, **fields)
        return attrs.evolve(self, config=config, voxels=voxels, **changes)


# The operators, one after the other: what the config says, and what that means


def crop(draw, node: Eager) -> Eager:
    """Cut; the region may leave the array, or lie off its grid where it is snapped."""
    snap = draw(st.sampled_from([None, "grow", "shrink", "nearest"]))
    start, stop = [], []
    for n in node.space:
        low = draw(st.integers(-2, n - 1))
        start.append(Fraction(low))
        stop.append(Fraction(draw(st.integers(max(low, 0) + 1, n + 2))))
    if snap is not None:  # shares of a voxel
        start = [value + draw(st.sampled_from([0, HALF, Fraction(-1, 3)])) for value in start]
        stop = [value + draw(st.sampled_from([0, HALF, Fraction(1, 4)])) for value in stop]
    down, up = {
        None: (math.floor, math.floor),
        "grow": (math.floor, math.ceil),
        "shrink": (math.ceil, math.floor),
        "nearest": (lambda v: math.ceil(v - HALF), lambda v: math.ceil(v - HALF)),
    }[snap]
    low = [max(down(value), 0) for value in start]
    high = [min(up(value), n) for value, n in zip(stop, node.space, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return node
    offset, size = node.offset, node.voxel_size
    begin = [o + v * s for o, v, s in zip(offset, size, start, strict=True)]
    end = [o + v * s for o, v, s in zip(offset, size, stop, strict=True)]
    roi = Roi(begin, [b - a for a, b in zip(begin, end, strict=True)])
    return node.evolve(
        CropArrayConfig,
        node.voxels[(..., *(slice(a, b) for a, b in zip(low, high, strict=True)))],
        {"roi": roi, "snap": snap},
        offset=tuple(o + v * i for o, v, i in zip(offset, size, low, strict=True)),
    )


def pad(draw, node: Eager) -> Eager:
    """Put a border around, which numpy pads; a width may lie off the grid where it is snapped."""
    before, after = ([draw(st.integers(0, 3)) for _ in node.space] for _ in range(2))
    shape = [a + n + b for a, n, b in zip(before, node.space, after, strict=True)]
    if math.prod(shape) * math.prod(node.voxels.shape[: node.lead]) > MOST_VOXELS:
        return node
    fill = draw(st.sampled_from(["edge", "reflect", {"constant": 1}]))
    grows = draw(st.booleans())
    less = [Fraction(n, 1) - (HALF if n and grows else 0) for n in before]
    how = {"mode": fill} if isinstance(fill, str) else {"constant_values": 1}
    around = [(0, 0)] * node.lead + list(zip(before, after, strict=True))
    return node.evolve(
        PadArrayConfig,
        np.pad(node.voxels, around, **how),
        {
            "before": [n * s for n, s in zip(less, node.voxel_size, strict=True)],
            "after": [n * s for n, s in zip(after, node.voxel_size, strict=True)],
            "fill": fill,
            "snap": "grow" if grows else None,
        },
        offset=tuple(
            o - n * s for o, n, s in zip(node.offset, before, node.voxel_size, strict=True)
        ),
    )


def turned(node: Eager, config_class, fields, order, flipped, axes) -> Eager:
    """Take axes in another order, with what is known of each, and turn some around."""
    voxels = np.flip(node.voxels.transpose(order), [i for i, flip in enumerate(flipped) if flip])
    space = [i - node.lead for i in order[node.lead :]]
    at = [node.offset[i] for i in space]
    size = [node.voxel_size[i] for i in space]
    points = [node.pointing[i] for i in space]
    for i, flip in enumerate(flipped[node.lead :]):
        if flip:
            at[i] = -(at[i] + size[i] * node.space[space[i]])
            points[i] = (points[i][0], -points[i][1])
    return node.evolve(
        config_class,
        voxels,
        fields,
        axes=axes,
        offset=tuple(at),
        voxel_size=tuple(size),
        pointing=tuple(points),
    )


def flip(draw, node: Eager) -> Eager:
    flipped = [axis in "zyx" and draw(st.booleans()) for axis in node.axes]
    names = [axis for axis, flip in zip(node.axes, flipped, strict=True) if flip]
    order = range(len(node.axes))
    return turned(node, FlipArrayConfig, {"axes": names}, [*order], flipped, node.axes)


def transpose(draw, node: Eager) -> Eager:
    lead = draw(st.permutations(node.axes[: node.lead]))
    axes = "".join([*lead, *draw(st.permutations(node.axes[node.lead :]))])
    order = [node.axes.index(axis) for axis in axes]
    none = [False] * len(axes)
    return turned(node, TransposeArrayConfig, {"axes": axes}, order, none, axes)


def reorient(draw, node: Eager) -> Eager:
    """Let every axis point as its letter says, x as the first."""
    towards = {
        "R": ("x", 1),
        "L": ("x", -1),
        "A": ("y", 1),
        "P": ("y", -1),
        "S": ("z", 1),
        "I": ("z", -1),
    }
    code = draw(st.permutations([draw(st.sampled_from(pair)) for pair in ("RL", "AP", "SI")]))
    order, flipped = [*range(node.lead)], [False] * node.lead
    along = [world for world, _ in node.pointing]
    for axis in node.axes[node.lead :]:
        world, sign = towards[code["xyz".index(axis)]]
        if world not in along:
            return node
        source = along.index(world)
        order.append(node.lead + source)
        flipped.append(node.pointing[source][1] != sign)
    fields = {"orientation": "".join(code)}
    return turned(node, ReorientArrayConfig, fields, order, flipped, node.axes)


def select_channels(draw, node: Eager) -> Eager:
    if "c" not in node.axes:
        return node
    at = node.axes.index("c")
    n = node.voxels.shape[at]
    chosen = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4, unique=True))
    names = node.channels or [str(i) for i in range(n)]
    wanted = [names[i] if draw(st.booleans()) else i for i in chosen]
    if draw(st.booleans()):
        return node.evolve(
            SelectChannelsArrayConfig,
            node.voxels.take(chosen[0], at),
            {"channels": wanted[0]},
            axes=node.axes.replace("c", ""),
            channels=None,
        )
    return node.evolve(
        SelectChannelsArrayConfig,
        node.voxels.take(chosen, at),
        {"channels": wanted},
        channels=node.channels and tuple(names[i] for i in chosen),
    )


def select_timepoints(draw, node: Eager) -> Eager:
    if "t" not in node.axes:
        return node
    at = node.axes.index("t")
    n = node.voxels.shape[at]
    low = draw(st.integers(0, n - 1))
    high = draw(st.integers(low + 1, n))
    chosen = draw(st.permutations(range(n)))[: draw(st.integers(1, n))]
    fields, indices = draw(
        st.sampled_from(
            [
                ({"timepoints": low}, low),
                ({"timepoints": chosen}, chosen),
                ({"start": low, "stop": high}, range(low, high)),
            ]
        )
    )
    axes = node.axes.replace("t", "") if indices is low else node.axes
    voxels = node.voxels.take(indices, at)
    return node.evolve(SelectTimepointsArrayConfig, voxels, fields, axes=axes)


def astype(draw, node: Eager) -> Eager:
    """Cast; floats voxel by voxel with Python's numbers, and not at all where that is an error."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    labels = node.kind == "labels"
    rounding = draw(
        st.sampled_from(["error"] if labels else ["nearest-even", "floor", "ceil", "trunc"])
    )
    clip = not labels and draw(st.booleans())
    values = node.voxels.ravel().tolist()
    if dtype.kind == "f":
        largest = 2 ** (np.finfo(dtype).nmant + 1)
        if labels and any(abs(value) >= largest or value % 1 for value in values):
            return node
        voxels = node.voxels.astype(dtype)
    else:
        limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        rounds = {
            "nearest-even": round,
            "floor": math.floor,
            "ceil": math.ceil,
            "trunc": math.trunc,
        }
        if rounding == "error" and any(value % 1 for value in values):
            return node
        whole = [rounds.get(rounding, int)(value) for value in values]
        held = [min(max(value, int(limits[0])), int(limits[1])) for value in whole]
        if held != whole and not clip:
            return node
        voxels = np.array(held, dtype).reshape(node.voxels.shape)
    return node.evolve(
        AstypeArrayConfig,
        voxels,
        {"dtype": dtype.name, "round": rounding, "clip": clip},
        kind="mask" if dtype.kind == "b" else node.kind,
    )


def intensities(draw, node: Eager) -> Eager:
    """Scale by a power of two: then float32 and float64 round to the same voxels."""
    low = draw(st.integers(-20, 200))
    high = low + draw(st.sampled_from([1, 16, 256, -64]))
    clip = draw(st.booleans())
    voxels = (node.voxels.astype("float64") - low) / (high - low)
    return node.evolve(
        IntensitiesArrayConfig,
        (voxels.clip(0, 1) if clip else voxels).astype("float32"),
        {"min": low, "max": high, "clip": clip},
        kind="image",
    )


def binarize(draw, node: Eager) -> Eager:
    if node.voxels.dtype.kind not in "biu" or "c" in node.axes:
        return node
    present = [int(label) for label in np.unique(node.voxels)]
    ids = st.one_of(st.sampled_from(present), st.sampled_from([0, 1, -1, 2**64 - 1]))
    groups = draw(st.lists(st.lists(ids, max_size=4), min_size=1, max_size=3))
    background = draw(ids)
    voxels = np.zeros((len(groups), *node.voxels.shape), "uint8")
    for channel, group in enumerate(groups):
        for at, label in np.ndenumerate(node.voxels):
            member = int(label) in group if group else True
            voxels[(channel, *at)] = member and int(label) != background
    names = tuple(f"g{i}" for i in range(len(groups)))
    return node.evolve(
        BinarizeArrayConfig,
        voxels,
        {"groupings": dict(zip(names, groups, strict=True)), "background": background},
        axes="c" + node.axes,
        channels=names,
        kind="mask",
    )


def missing_annotations_mask(draw, node: Eager) -> Eager:
    if node.voxels.dtype.kind not in "biu" or "c" in node.axes:
        return node
    groups = draw(st.lists(st.lists(st.sampled_from(LISTED), max_size=2), min_size=1, max_size=3))
    voxels = np.zeros((len(groups), *node.voxels.shape), "uint8")
    for channel, group in enumerate(groups):
        if not any(label in node.missing for label in group or LISTED):
            for at, label in np.ndenumerate(node.voxels):
                voxels[(channel, *at)] = int(label) > 0
    names = tuple(f"g{i}" for i in range(len(groups)))
    return node.evolve(
        MissingAnnotationsMaskConfig,
        voxels,
        {"groupings": dict(zip(names, groups, strict=True))},
        axes="c" + node.axes,
        channels=names,
        kind="mask",
    )


def logical_or(draw, node: Eager) -> Eager:
    if "c" not in node.axes:
        return node
    return node.evolve(
        LogicalOrArrayConfig,
        (node.voxels != 0).any(axis=node.axes.index("c")).astype("uint8"),
        {},
        axes=node.axes.replace("c", ""),
        channels=None,
        kind="mask",
    )


def filled_kind(node: Eager, voxels) -> str:
    return node.kind if voxels.dtype == node.voxels.dtype else infer_kind(voxels.dtype)


def ones(draw, node: Eager) -> Eager:
    dtype = draw(st.sampled_from([None, *DTYPES]))
    voxels = np.ones(node.voxels.shape, dtype or node.voxels.dtype)
    return node.evolve(OnesArrayConfig, voxels, {"dtype": dtype}, kind=filled_kind(node, voxels))


def constant(draw, node: Eager) -> Eager:
    dtype = draw(st.sampled_from([None, *DTYPES]))
    kind = np.dtype(dtype or node.voxels.dtype)
    if kind.kind in "iu":
        value = draw(st.integers(np.iinfo(kind).min, np.iinfo(kind).max))
    else:
        value = draw(st.sampled_from([0, 1]) if kind.kind == "b" else st.sampled_from([-0.1, 7]))
    voxels = np.full(node.voxels.shape, value, kind)
    return node.evolve(
        ConstantArrayConfig,
        voxels,
        {"value": value, "dtype": dtype},
        kind=filled_kind(node, voxels),
    )


def resampled(draw, node: Eager) -> Eager:
    down = [draw(st.integers(1, min(n, 3))) for n in node.space]
    up = [draw(st.integers(1, 3)) for _ in node.space]
    ratios = [Fraction(a, b) for a, b in zip(down, up, strict=True)]
    if any(r > 1 and r.denominator > 1 for r in ratios):
        return node
    shape = [math.floor(n / r) for n, r in zip(node.space, ratios, strict=True)]
    if math.prod(shape) * math.prod(node.voxels.shape[: node.lead]) > MOST_VOXELS:
        return node
    image = node.kind == "image"
    methods = ["mode", "min", "max", "stride", *(["mean", "median"] if image else [])]
    method = draw(st.sampled_from([None, *methods]))
    orders = [0, 1, 3] if image and node.voxels.dtype != bool else [0]
    order = draw(st.sampled_from([*orders, *([None] if image == (len(orders) == 3) else [])]))
    cells = (1,) * node.lead + tuple(int(r) if r >= 1 else 1 for r in ratios)
    voxels = pool(node.voxels, cells, method or ("mean" if image else "mode"))
    finer = (Fraction(1),) * node.lead + tuple(min(r, Fraction(1)) for r in ratios)
    default = 1 if image else 0
    voxels = interpolate(voxels, finer, default if order is None else order)
    size = tuple(v * r for v, r in zip(node.voxel_size, ratios, strict=True))
    factors = {"downsample": down, "upsample": up}
    return node.evolve(
        ResampledArrayConfig,
        voxels,
        {
            **draw(st.sampled_from([factors, {"voxel_size": size}])),
            "method": method,
            "interp_order": order,
        },
        voxel_size=size,
    )


def pool(voxels, cells, method):
    """Every cell by itself, with Python's numbers."""
    shape = tuple(n // f for n, f in zip(voxels.shape, cells, strict=True))
    result = np.empty(shape, voxels.dtype)
    for at in np.ndindex(shape):
        slices = (slice(i * f, (i + 1) * f) for i, f in zip(at, cells, strict=True))
        cell = voxels[tuple(slices)].ravel().tolist()
        result[at] = reduce_cell(cell, method, is_float=voxels.dtype.kind == "f")
    return result


def reduce_cell(cell, method, *, is_float):
    ordered, n = sorted(cell), len(cell)
    if method == "stride":
        return cell[0]
    if method in ("min", "max"):
        return ordered[0 if method == "min" else -1]
    if method == "mode":
        counts = Counter(cell)
        return min(value for value in counts if counts[value] == max(counts.values()))
    if method == "median":
        low, high = ordered[(n - 1) // 2], ordered[n // 2]
        if is_float:
            return low if n % 2 else (low + high) / 2
        return round(Fraction(low + high, 2))
    if is_float:
        total = cell[0]  # added one by one, in C order
        for value in cell[1:]:
            total += value
        return total / n
    return round(Fraction(sum(cell), n))  # halves to even


def interpolate(voxels, ratios, order):
    """Axis by axis from the last to the first, every output index by itself."""
    if all(r == 1 for r in ratios):
        return voxels
    values = voxels if order == 0 else voxels.astype("float64")
    for axis in reversed(range(voxels.ndim)):
        if ratios[axis] == 1:
            continue
        lines = np.moveaxis(values, axis, 0)
        n, results = len(lines), []
        for o in range(math.floor(n / ratios[axis])):
            terms = [
                lines[i] * w if order else lines[i] for i, w in taps(o, ratios[axis], order, n)
            ]
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            results.append(total)
        values = np.moveaxis(np.stack(results), 0, axis)
    if voxels.dtype.kind in "iu" and order:
        limits = np.iinfo(voxels.dtype)
        whole = [min(max(round(v), limits.min), limits.max) for v in values.ravel().tolist()]
        return np.array(whole, voxels.dtype).reshape(values.shape)
    return values.astype(voxels.dtype)


def taps(o, ratio, order, n) -> Iterator[tuple[int, float]]:
    """Voxels around the centre of output voxel `o`, each with its weight rounded once."""
    if order == 0:
        yield math.floor((o + HALF) * ratio), 1.0
        return
    x = (o + HALF) * ratio - HALF
    for i in range(math.floor(x) - 1, math.floor(x) + 3):
        t = abs(x - i)
        if order == 1:
            weight = max(1 - t, Fraction(0))
        elif t < 1:
            weight = Fraction(3, 2) * t**3 - Fraction(5, 2) * t**2 + 1
        else:
            weight = -HALF * t**3 + Fraction(5, 2) * t**2 - 4 * t + 2
        if weight:
            yield min(max(i, 0), n - 1), float(weight)


def partners(draw, node: Eager, pool: list[Eager], fits) -> list[Eager]:
    """Choose up to three arrays on one grid, the node first."""
    parts = [node]
    for other in draw(st.permutations([other for other in pool if other is not node])):
        if len(parts) < 3 and all(fits(part, other) for part in parts):
            parts.append(other)
    return parts


def voxelwise(config_class, parts: list[Eager], voxels, **changes) -> Eager:
    """Make a node of arrays with the same axes; `changes` are of the config or of the node."""
    low, _ = common(parts)
    first = parts[0]
    fields = {name: changes.pop(name) for name in ("id_stride", "overlap") if name in changes}
    return Eager(
        config_class(source_array_configs=[part.config for part in parts], **fields),
        voxels,
        first.axes,
        first.voxel_size,
        tuple(v / NANOMETRES[first.unit] for v in low),
        first.unit,
        channels=first.channels if len({part.channels for part in parts}) == 1 else None,
        pointing=first.pointing,
        **changes,
    )


def total(draw, node: Eager, pool: list[Eager]) -> Eager:
    parts = partners(draw, node, pool, alike)
    if common(parts) is None:
        return node
    shares = [in_common(part, parts) for part in parts]
    promoted = np.result_type(*shares)
    if promoted.kind == "f":
        if all(share.dtype.kind in "biu" for share in shares):
            return node
        voxels = shares[0].astype(promoted)
        for share in shares[1:]:
            voxels = voxels + share.astype(promoted)
    else:
        exact = np.sum([share.astype(object) for share in shares], axis=0)
        dtype = np.dtype("uint64" if promoted.kind == "u" else "int64")
        if exact.min() < np.iinfo(dtype).min or exact.max() > np.iinfo(dtype).max:
            return node
        voxels = exact.astype(dtype)
    labels = all(part.kind == "labels" for part in parts)
    return voxelwise(SumArrayConfig, parts, voxels, kind="labels" if labels else "image")


def merge_instances(draw, node: Eager, pool: list[Eager]) -> Eager:
    parts = partners(draw, node, pool, alike)
    if common(parts) is None or any(part.voxels.dtype.kind not in "biu" for part in parts):
        return node
    ids = [in_common(part, parts).astype(object) for part in parts]
    highest = max(int(share.max()) for share in ids)
    strides = [stride for stride in (max(highest, 1), 2**32, 2**63 - 1) if stride >= highest]
    stride = draw(st.sampled_from(strides))
    if len(parts) * stride >= 2**64 or min(int(share.min()) for share in ids) < 0:
        return node
    overlap = draw(st.sampled_from(["first", "last", "error"]))
    voxels = np.zeros(ids[0].shape, "uint64")
    for at in np.ndindex(voxels.shape):
        met = [i * stride + int(share[at]) for i, share in enumerate(ids) if share[at]]
        if len(met) > 1 and overlap == "error":
            return node
        voxels[at] = met[-1 if overlap == "last" else 0] if met else 0
    how = {"id_stride": stride, "overlap": overlap}
    return voxelwise(MergeInstancesArrayConfig, parts, voxels, kind="labels", **how)


def concat(draw, node: Eager, pool: list[Eager]) -> Eager:
    parts = partners(draw, node, pool, on_one_grid)
    region = common(parts)
    dtype = np.result_type(*(part.voxels.dtype for part in parts))
    invents_floats = dtype.kind == "f" and all(part.voxels.dtype.kind in "biu" for part in parts)
    if region is None or invents_floats or sum(p.voxels.size for p in parts) > MOST_VOXELS:
        return node
    kinds = {part.kind for part in parts}
    default = parts.pop() if len(parts) > 1 and draw(st.booleans()) else None
    sources = {f"s{i}": part for i, part in enumerate(parts)}
    gaps = ["gap", "hole"][: draw(st.integers(0, 2))]
    names = draw(st.permutations([*sources, *gaps]))
    shares = [channels_of(name, sources.get(name, default), node, region) for name in names]
    return Eager(
        ConcatArrayConfig(
            channels=names,
            source_array_configs={name: part.config for name, part in sources.items()},
            default_config=default and default.config,
        ),
        np.concatenate([voxels.astype(dtype) for voxels, _ in shares]),
        "c" + node.axes.replace("c", ""),
        node.voxel_size,
        tuple(v / NANOMETRES[node.unit] for v in region[0]),
        node.unit,
        kinds.pop() if len(kinds) == 1 else "image",
        tuple(label for _, labels in shares for label in labels),
        node.missing,
        node.pointing,
    )


def channels_of(name, part: Eager | None, like: Eager, region) -> tuple[np.ndarray, list[str]]:
    """Give the share of one channel name: its voxels, channels in front, and what they are called."""
    if part is None:
        return np.zeros_like(stacked(like, *region)[:1]), [name]
    voxels = stacked(part, *region)
    if len(voxels) == 1:
        return voxels, [name]
    return voxels, [f"{name}.{label}" for label in part.channels or range(len(voxels))]


def nanometres(node: Eager, values) -> list[Fraction]:
    return [value * NANOMETRES[node.unit] for value in values]


def on_one_grid(a: Eager, b: Eager) -> bool:
    """Whether two arrays could be channels of one."""
    if a.pointing != b.pointing:
        return False
    if a.axes.replace("c", "") != b.axes.replace("c", ""):
        return False
    if "t" in a.axes and a.voxels.shape[a.axes.index("t")] != b.voxels.shape[b.axes.index("t")]:
        return False
    size = nanometres(a, a.voxel_size)
    apart = zip(nanometres(a, a.offset), nanometres(b, b.offset), size, strict=True)
    return size == nanometres(b, b.voxel_size) and all((q - p) % s == 0 for p, q, s in apart)


def alike(a: Eager, b: Eager) -> bool:
    """Whether voxels of two arrays could be combined one by one."""
    same = a.axes == b.axes and a.voxels.shape[: a.lead] == b.voxels.shape[: b.lead]
    return same and on_one_grid(a, b)


def in_common(part: Eager, parts: list[Eager]) -> np.ndarray:
    """Cut an array to what all parts cover."""
    return part.voxels[(..., *slices_of(part, *common(parts)))]


def corners(node: Eager) -> tuple[list[Fraction], list[Fraction]]:
    low = nanometres(node, node.offset)
    size = nanometres(node, node.voxel_size)
    return low, [a + s * n for a, s, n in zip(low, size, node.space, strict=True)]


def common(parts: list[Eager]) -> tuple[list[Fraction], list[Fraction]] | None:
    """Give the corners, in nanometres, of what all cover."""
    lows, highs = zip(*map(corners, parts), strict=True)
    low, high = (
        [max(v) for v in zip(*lows, strict=True)],
        [min(v) for v in zip(*highs, strict=True)],
    )
    return None if any(a >= b for a, b in zip(low, high, strict=True)) else (low, high)


def slices_of(part: Eager, low, high) -> list[slice]:
    """Give the voxels between two corners."""
    start = zip(low, corners(part)[0], nanometres(part, part.voxel_size), strict=True)
    stop = zip(high, corners(part)[0], nanometres(part, part.voxel_size), strict=True)
    return [
        slice(int((a - o) / s), int((b - p) / t))
        for (a, o, s), (b, p, t) in zip(start, stop, strict=True)
    ]


def stacked(part: Eager, low, high) -> np.ndarray:
    """Cut to the common corners, channels in front."""
    voxels = part.voxels[(..., *slices_of(part, low, high))]
    if "c" not in part.axes:
        return voxels[None]
    return np.moveaxis(voxels, part.axes.index("c"), 0)


# Sources


def infer_kind(dtype) -> str:
    names = {"bool": "mask", **dict.fromkeys(["int32", "int64", "uint32", "uint64"], "labels")}
    return names.get(np.dtype(dtype).name, "image")


def leaf(array, unit) -> Eager:
    spec = array.spec
    return Eager(
        array.config,
        array.read(),
        "".join(array.axes),
        tuple(map(Fraction, spec.voxel_size)),
        tuple(map(Fraction, spec.offset)),
        unit,
        spec.kind,
        spec.channels,
    )


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory) -> list[list[Eager]]:
    """Write some Zarr arrays for each of the grids."""
    directory = tmp_path_factory.mktemp("leaves")
    leaves = []
    for i, grid in enumerate(GRIDS):
        size = [Fraction(v) for v in grid]
        leaves.append([])
        for j, dtype in enumerate(["uint8", "uint64", "float32"]):
            shape = [*range(5, 5 + len(size))]
            array = as_zarr(
                sample_voxels(shape, dtype, j) // (1 if dtype == "float32" else 37),
                directory / f"{i}-{j}.zarr",
                voxel_size=size,
                offset=[v * j for v in size],
                units="nm",
            )
            leaves[-1].append(leaf(array, "nm"))
    return leaves


def in_memory(draw, grid, lead) -> Eager:
    """Make a small array on the grid, in nanometres or micrometres."""
    dtype, unit = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(list(NANOMETRES)))
    size = [Fraction(v) / NANOMETRES[unit] for v in grid]
    shape = [2 + (axis == "c") for axis in lead] + [draw(st.integers(1, 7)) for _ in size]
    voxels = sample_voxels(shape, dtype, draw(st.integers(0, 99)))
    if draw(st.booleans()) and np.dtype(dtype).kind in "iu":
        voxels = voxels % 5  # few labels, so that groups and modes meet some
    missing = draw(st.sets(st.sampled_from(LISTED)))
    array = from_numpy(
        voxels,
        axes=lead + "zyx"[3 - len(size) :],
        voxel_size=size,
        offset=[v * draw(st.integers(-2, 2)) for v in size],
        units=unit,
        channels=("p", "q", "r") if "c" in lead and draw(st.booleans()) else None,
        attrs={"labels": [annotation(label, label not in missing) for label in LISTED]},
    )
    assert array.kind == infer_kind(dtype)
    return attrs.evolve(leaf(array, unit), missing=frozenset(missing))


def annotation(label, done) -> dict:
    return {"value": label, "annotationState": {"present": True, "annotated": done}}


OF_SEVERAL = [concat, total, merge_instances]
OPERATORS = [
    *(crop, intensities, binarize, ones, constant, resampled, resampled),
    *(missing_annotations_mask, logical_or, concat, *OF_SEVERAL),
    *(pad, flip, transpose, reorient, select_channels, select_timepoints, astype),
]


@st.composite
def grown(draw, leaves: list[list[Eager]]) -> Eager:
    """Grow a tree: every step takes a node of those that are there and puts an operator on it."""
    at, lead = draw(st.integers(0, len(GRIDS) - 1)), draw(st.sampled_from(LEADING))
    nodes = [in_memory(draw, GRIDS[at], lead) for _ in range(draw(st.integers(1, 3)))]
    if lead in ("", "c") and draw(st.booleans()):
        nodes.append(draw(st.sampled_from(leaves[at])))
    for operator in draw(st.lists(st.sampled_from(OPERATORS), min_size=1, max_size=6)):
        node = nodes[-1 - draw(st.integers(0, min(2, len(nodes) - 1)))]
        new = operator(draw, node, nodes) if operator in OF_SEVERAL else operator(draw, node)
        if new is not node:
            nodes.append(new)
    return nodes[-1]


@settings(max_examples=200)
@given(data=st.data())
def test_random_trees_are_what_an_eager_oracle_says(on_disk, data):
    tree = data.draw(grown(on_disk))
    note(repr(tree.config))
    array = tree.config.array()
    assert_spec(array, tree)

    whole = array.read()
    assert difference(whole, tree.voxels) is None
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    for box in random_boxes(array.spec, rng, count=6):
        part = array.read_box(box)
        assert difference(part, whole[box.slices], signed_zeros=True) is None, box
    assert_spec(array, tree)


def assert_spec(array: dacapo_like.Array, tree: Eager) -> None:
    assert "".join(array.axes) == tree.axes
    assert array.shape == tree.voxels.shape
    assert array.dtype == tree.voxels.dtype
    assert array.spec.voxel_size == tree.voxel_size
    assert array.spec.offset == tree.offset
    assert array.units == (tree.unit,) * tree.dims
    assert array.kind == tree.kind
    assert array.channels == tree.channels
    names = tree.axes[tree.lead :]
    vectors = tuple(
        tuple(float(sign * (name == world)) for name in names) for world, sign in tree.pointing
    )
    own = tuple((name, 1) for name in names)
    assert array.spec.directions == (None if tree.pointing == own else vectors)
