"""Trees as text, and pictures of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array
from dacapo_like.errors import MissingExtraError, SpecError
from dacapo_like.geometry import Box, Exact, Roi, format_numbers
from dacapo_like.spec import ArraySpec

if TYPE_CHECKING:
    from rich.tree import Tree

_COLUMNS = 3
_MOST_CHANNELS = 9


def tree_of(array: Array) -> Tree:
    """Draw a tree of arrays: what every node is.

    Parameters
    ----------
    array : Array
        The root.

    Returns
    -------
    rich.tree.Tree
        To be printed by a ``rich`` console.
    """
    from rich.tree import Tree

    root = Tree(_label(array), guide_style="dim")
    stack = [(array, root)]
    while stack:
        node, branch = stack.pop()
        sources = zip(node.config.children(), node.inputs, strict=False)
        for (key, _), below in sources:  # one of which may be an input more than once
            label = f"[dim]{'.'.join(str(part) for part in key)}:[/] {_label(below)}"
            stack.append((below, branch.add(label)))
    return root


def _label(array: Array) -> str:
    from rich.markup import escape

    spec = array.spec
    lines = [
        f"[bold]{escape(array.describe())}[/]",
        f"axes {_axes(spec)} · {spec.dtype.name} · {spec.kind}",
        f"voxel size {format_numbers(spec.voxel_size)} {escape(spec.describe_unit())}",
        f"ROI offset {format_numbers(spec.roi.offset)}, shape {format_numbers(spec.roi.shape)} {escape(spec.describe_unit())}",
    ]
    if spec.channels:
        lines.append(f"channels {escape(', '.join(spec.channels))}")
    return "\n".join(lines)


def _axes(spec: ArraySpec) -> str:
    return " ".join(f"{axis} {n}" for axis, n in zip(spec.axes, spec.shape, strict=True))


class _Panel(NamedTuple):
    """One channel of a slice, under its title, at its world position along the axes above."""

    title: str
    name: str
    spec: ArraySpec
    image: NDArray[Any]
    height: tuple[Exact, ...]


def save_slices(
    arrays: Mapping[str, Array],
    path: str | Path,
    outlines: Mapping[str, Sequence[Roi]] = MappingProxyType({}),
) -> Path:
    """Draw the middle slice of arrays side by side, each channel in a panel of its own, at the first time point.

    Arrays with a third spatial axis are cut at one world position: the middle of the last array. One slice of each is read.

    Parameters
    ----------
    arrays : mapping of str to Array
        By title.
    path : path
        A PNG to write.
    outlines : mapping of str to sequence of Roi
        Regions of arrays, by title, whose outline is drawn where the slice meets them.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    SpecError
        An array has fewer than two spatial axes.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "matplotlib is not installed", hint="pip install 'dacapo_like[plots]'"
        ) from error
    height = _middle(list(arrays.values())[-1].spec)
    panels = [panel for title, array in arrays.items() for panel in _panels(title, array, height)]
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for index, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, index)
        _draw(axes, panel.title, panel.spec, panel.image)
        for roi in outlines.get(panel.name, ()):
            _outline(axes, roi, panel.height)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=120)
    return target


def _middle(spec: ArraySpec) -> list[Any]:
    """Give the world position of the middle of the axes above the last two."""
    return list(spec.roi.center[:-2])


def _panels(name: str, array: Array, height: list[Any]) -> list[_Panel]:
    spec = array.spec
    if spec.dims < 2:
        raise SpecError(
            "nothing to draw",
            got=f"axes {' '.join(spec.axes)}",
            expected="two or three spatial axes",
        )
    lead = len(spec.leading_axes)
    above = spec.dims - 2
    positions = height if len(height) == above else _middle(spec)
    index = [
        min(max(int((p - o) // s), 0), n - 1)
        for p, o, s, n in zip(
            positions, spec.offset, spec.voxel_size, spec.spatial_shape, strict=False
        )
    ]
    lengths = [
        n if axis == "c" else 1
        for axis, n in zip(spec.leading_axes, spec.leading_shape, strict=True)
    ]
    box = Box(
        (0,) * lead + tuple(index) + (0, 0), (*lengths, *(1,) * above, *spec.spatial_shape[-2:])
    )
    planes = array.read_box(box).reshape(-1, *spec.spatial_shape[-2:])
    titles = [f"{name}: {channel}" for channel in spec.channel_names] or [name]
    cut = tuple(spec.box_to_roi(box).center[:-2])
    return [
        _Panel(title, name, spec, plane, cut)
        for title, plane in zip(titles[:_MOST_CHANNELS], planes, strict=False)
    ]


def _draw(ax: Any, title: str, spec: ArraySpec, image: NDArray[Any]) -> None:
    low, high = spec.roi.offset[-2:], spec.roi.end[-2:]
    extent = [float(value) for value in (low[1], high[1], high[0], low[0])]
    if spec.kind == "labels":
        ax.imshow(_shuffled(image), cmap="turbo", extent=extent, interpolation="nearest")
    else:
        ax.imshow(image, cmap="gray", extent=extent, interpolation="nearest")
    ax.set_title(title, fontsize=9)
    unit = spec.units[-1] or "world units"
    ax.set_xlabel(f"{spec.axes[-1]} [{unit}]", fontsize=8)
    ax.set_ylabel(f"{spec.axes[-2]} [{unit}]", fontsize=8)
    ax.tick_params(labelsize=7)


def _outline(axes: Any, roi: Roi, height: tuple[Exact, ...]) -> None:
    from matplotlib.patches import Rectangle

    above = zip(roi.begin, height, roi.end, strict=False)
    if all(first <= at < stop for first, at, stop in above):
        (y, x), (high, wide) = map(float, roi.offset[-2:]), map(float, roi.shape[-2:])
        axes.add_patch(Rectangle((x, y), wide, high, fill=False, linewidth=0.8, edgecolor="orange"))


def _shuffled(labels: NDArray[Any]) -> NDArray[Any]:
    """Give neighbouring ids distant colours; background stays 0."""
    _, index = np.unique(labels, return_inverse=True)
    return np.asarray((index.reshape(labels.shape) * 97) % 255 + (labels != 0))
