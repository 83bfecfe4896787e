"""Arrays in Neuroglancer: which layer shows an array, in which colours, and a viewer of several."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import tempfile
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, DacapoLikeError, MissingExtraError, SourceError
from dacapo_like.serving import Catalog, Server
from dacapo_like.serving.virtual import has_few_channels
from dacapo_like.spec import ArraySpec
from dacapo_like.units import length_factor

Show = Literal["image", "segmentation", "mask"]

IMAGES = frozenset(["int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64", "float32"])
"""What the voxels of an image may be in Neuroglancer; it has no others."""

COLOURS = ("#ff4040", "#40c040", "#4080ff", "#ffb000", "#c040ff", "#00c0c0", "#ff80c0")
"""Of masks, one after the other."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Programs that make screenshots; the environment variable ``DACAPO_LIKE_BROWSER`` names another."""

PATIENCE = 120.0
"""Seconds that a screenshot may take."""

_HEADLESS = (
    "--headless=new",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--use-angle=swiftshader",  # draws without a graphics card
    "--enable-unsafe-swiftshader",
)


def shown_as(spec: ArraySpec) -> Show:
    """Say which kind of layer shows an array: labels as a segmentation, masks in a colour per channel.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> shown_as(from_shape((4, 4, 4), "uint64", kind="labels"))
    'segmentation'
    """
    if spec.kind == "labels" and spec.dtype.kind in "iu":
        return "segmentation"
    return "mask" if spec.kind == "mask" else "image"


def viewable(array: Array) -> Array:
    """Give an array as Neuroglancer can show it, with other voxels where it does not know those that it has.

    Masks become bytes, all other floats float32, 64-bit integers of images too, and signed labels unsigned ones.
    """
    dtype, show = array.dtype, shown_as(array.spec)
    if show == "segmentation":
        return array if dtype.kind == "u" else array.astype(f"uint{8 * dtype.itemsize}")
    if dtype.name in IMAGES:
        return array
    if dtype.kind == "b":
        return array.astype("uint8")
    return array.astype("float32", clip=dtype.kind == "f")


def layer(array: Array, url: str) -> dict[str, Any]:
    """Give the layer that shows a served array, as JSON of Neuroglancer's state.

    Parameters
    ----------
    array : Array
        As it is served.
    url : str
        Of its image.
    """
    spec, show = array.spec, shown_as(array.spec)
    made: dict[str, Any] = {"source": {"url": f"{url}/|zarr3:"}}
    if show == "segmentation":
        return {"type": "segmentation", **made}
    channels = spec.num_channels if has_few_channels(spec) else None
    if channels is not None:
        made["source"]["transform"] = {"outputDimensions": _dimensions_of_source(spec)}
        made["channelDimensions"] = {"c^": [1, ""]}
    colours = [_colour(spec, i, show) for i in range(channels or 1)]
    shader = _mask_shader(colours) if show == "mask" else _image_shader(spec, colours)
    blend = {"blend": "default", "opacity": 0.5} if show == "mask" else {"blend": "additive"}
    return {"type": "image", **made, "shader": shader, **(blend if show == "mask" else {})}


def dimensions(spec: ArraySpec) -> dict[str, list[Any]]:
    """Give the spatial axes of a viewer, the last one of the array first: by name, the length of a voxel, in metres where that is known."""
    axes = zip(spec.spatial_axes, spec.voxel_size, spec.units, strict=True)
    found = {name: _metres(float(size), unit) for name, size, unit in axes}
    return dict(reversed(found.items()))


def state(arrays: Mapping[str, Array | DacapoLikeError], base: str) -> dict[str, Any]:
    """Give the state of a viewer that shows served arrays over each other in the world.

    It looks at the middle of the first. Of an array that cannot be opened there is a layer too: Neuroglancer shows there what is wrong.

    Parameters
    ----------
    arrays : mapping of str to Array or error
        As they are served, by name.
    base : str
        Of the URLs that they are served at.
    """
    layers = []
    for name, array in arrays.items():
        url = f"{base}/{quote(name, safe='')}"
        made = (
            layer(array, url)
            if isinstance(array, Array)
            else {"type": "image", "source": f"{url}/|zarr3:"}
        )
        layers.append({"name": name, **made})
    found: dict[str, Any] = {"layers": layers, "layout": "4panel"}
    first = next((array.spec for array in arrays.values() if isinstance(array, Array)), None)
    if first is not None:
        middle = [
            float((o + n / 2) / size)
            for o, n, size in zip(first.roi.offset, first.roi.shape, first.voxel_size, strict=True)
        ]
        found |= {"dimensions": dimensions(first), "position": middle[::-1]}
        if first.dims == 2:
            found["layout"] = "xy"
        found["crossSectionScale"] = max(first.spatial_shape) / 400
        found["projectionScale"] = 2 * max(first.spatial_shape)
    return found


class View:
    """Arrays that are served, and a Neuroglancer that shows them; as a context manager.

    Parameters
    ----------
    arrays : Catalog or mapping of str to Array
        By name; other voxels are served where Neuroglancer does not know those that an array has, see `viewable`.
    **options
        Of the `Server`.

    Attributes
    ----------
    server : Server
        Of the arrays.
    viewer : neuroglancer.Viewer
        What is shown, to be changed.
    url : str
        Of the page.

    Raises
    ------
    MissingExtraError
        Neuroglancer's package is not installed.
    """

    def __init__(self, arrays: Catalog | Mapping[str, Array], **options: Any) -> None:
        catalog = arrays if isinstance(arrays, Catalog) else Catalog.of(arrays)
        self._catalog = catalog.changed(viewable)
        self.viewer = _neuroglancer().Viewer()
        self.server = Server(self._catalog, **options)

    @property
    def url(self) -> str:
        """Of the page."""
        return str(self.viewer.get_viewer_url())

    def __enter__(self) -> Self:
        """Serve, and tell the viewer what to show."""
        self.server.__enter__()
        tried = {name: self._catalog.tried(name) for name in self._catalog}
        shown = {
            name: each if isinstance(each, DacapoLikeError) else each.image.array
            for name, each in tried.items()
        }
        self.viewer.set_state(state(shown, self.server.url))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.server.__exit__(kind, error, traceback)

    def open(self) -> None:
        """Open the page in the browser of this machine."""
        webbrowser.open(self.url)

    def screenshot(self, path: str | os.PathLike[str], size: Sequence[int] = (1280, 960)) -> Path:
        """Draw the page into a PNG file, when all that it shows is there.

        Raises
        ------
        SourceError
            An array cannot be shown; there is no browser, or it draws nothing.
        """
        for each in map(self._catalog.tried, self._catalog):
            if isinstance(each, DacapoLikeError):  # the page would wait for it for ever
                raise each
        target, made, done = Path(path), [], threading.Event()

        def keep(answer: Any) -> None:
            made.append(answer.screenshot.image)
            done.set()

        with (  # processes of the browser may end after it, and write until then
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
            (Path(profile) / "log").open("wb") as log,
        ):
            command = [_browser(), *_HEADLESS, f"--user-data-dir={profile}", self.url]
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                command.insert(1, "--no-sandbox")  # which the browser refuses to have as root
            browser = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  # a browser, with our own URL
            try:
                with self.viewer.config_state.txn() as page:
                    page.viewer_size = list(size)
                    page.show_ui_controls = page.show_panel_borders = False
                self.viewer.async_screenshot(keep)
                drawn = done.wait(PATIENCE)
            finally:
                browser.terminate()
                browser.wait()
            if not drawn:
                raise SourceError(
                    f"nothing was drawn in {PATIENCE:g} s",
                    got=Path(log.name).read_text(errors="replace")[-500:],
                    where=self.url,
                )
        target.write_bytes(made[0])
        return target


def _neuroglancer() -> Any:
    try:
        return importlib.import_module("neuroglancer")
    except ImportError as error:
        raise MissingExtraError(
            "arrays are shown by Neuroglancer, which is not installed",
            hint="pip install 'dacapo_like[serve]'",
        ) from error


def _browser() -> str:
    named = os.environ.get("DACAPO_LIKE_BROWSER")
    found = next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)
    if found is None:
        raise SourceError(
            "no browser was found for the screenshot",
            got=named or "none",
            expected=f"one of {', '.join(BROWSERS)}",
            hint="DACAPO_LIKE_BROWSER names a program",
        )
    return found


def _metres(size: float, unit: str | None) -> list[Any]:
    if unit is None:
        return [size, ""]
    try:
        return [size * float(length_factor(unit, "meter")), "m"]
    except ConfigError:
        return [size, ""]


def _dimensions_of_source(spec: ArraySpec) -> dict[str, list[Any]]:
    """Name all dimensions of a served image, in its own order, the channels as Neuroglancer's shaders take them."""
    leading = sorted(spec.leading_axes, key=lambda axis: axis != "t")
    names = {axis: "c^" if axis == "c" else axis for axis in leading}
    spatial = dict(reversed(dimensions(spec).items()))
    return {names[axis]: [1, ""] for axis in leading} | spatial


def _colour(spec: ArraySpec, channel: int, show: Show) -> str:
    if show == "mask":
        return COLOURS[channel % len(COLOURS)]
    said = spec.attrs.get("omero", {}).get("channels", ())
    if channel < len(said) and said[channel].get("color"):
        return f"#{said[channel]['color']}"
    return "#ffffff" if (spec.num_channels or 1) == 1 else COLOURS[channel % len(COLOURS)]


def _image_shader(spec: ArraySpec, colours: Sequence[str]) -> str:
    """Add the channels, each in its colour, between the values that it is shown at."""
    low, high = _window(spec)
    controls, terms = [], []
    for i, colour in enumerate(colours):
        controls.append(f"#uicontrol invlerp contrast{i}(range=[{low}, {high}], channel={i})")
        controls.append(f'#uicontrol vec3 colour{i} color(default="{colour}")')
        terms.append(f"colour{i} * contrast{i}()")
    if len(colours) == 1 and not has_few_channels(spec):
        controls[0] = f"#uicontrol invlerp contrast0(range=[{low}, {high}])"
    return "\n".join([*controls, "void main() {", f"  emitRGB({' + '.join(terms)});", "}"])


def _window(spec: ArraySpec) -> tuple[float, float]:
    said = spec.attrs.get("omero", {}).get("channels", ())
    window = said[0].get("window", {}) if said else {}
    if {"start", "end"} <= window.keys():
        return window["start"], window["end"]
    return {"uint8": (0, 255), "uint16": (0, 65535)}.get(spec.dtype.name, (0, 1))


def _mask_shader(colours: Sequence[str]) -> str:
    """Show the first channel that is not 0, in its colour, and nothing where all are."""
    controls = [
        f'#uicontrol vec3 colour{i} color(default="{colour}")' for i, colour in enumerate(colours)
    ]
    tests = [
        f"  if (toRaw(getDataValue({i})) != {{zero}}) {{ emitRGB(colour{i}); return; }}"
        for i in range(len(colours))
    ]
    body = "\n".join(tests).replace("{zero}", "0u")
    return "\n".join([*controls, "void main() {", body, "  emitTransparent();", "}"])
