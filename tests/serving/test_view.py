"""Neuroglancer shows what is served, in a real browser."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

import dacapo_like
from dacapo_like import viewing
from dacapo_like.errors import SourceError
from dacapo_like.serving import Catalog
from dacapo_like.viewing import BROWSERS, View, layer, shown_as, state, viewable

BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason=f"NOT SEEN IN A BROWSER: install one of {', '.join(BROWSERS)}"
)
ARGUMENTS = [*viewing._HEADLESS[1:], "--no-sandbox"]
SHAPE = (40, 200, 220)


def volume(dtype="uint8", shape=SHAPE):
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


@pytest.fixture(scope="module")
def raw():
    return dacapo_like.from_numpy(
        volume(), voxel_size=(4, 4, 4), offset=(40, -80, 8), units="nanometer"
    )


@pytest.fixture(scope="module")
def browser():
    """Open a real browser that shows nothing on a screen."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield opened
        opened.close()


def plain(view, **more):
    """Show one slice, and nothing over it."""
    with view.viewer.txn() as shown:
        shown.layout = "xy"
        shown.show_axis_lines = shown.show_scale_bar = False
        shown.show_default_annotations = False
        for key, value in more.items():
            setattr(shown, key, value)


def pixels(view, size):
    """Give what is seen, when all of it is there: height, width, colours."""
    made = view.viewer.screenshot(size=list(size)).screenshot.image
    return np.asarray(Image.open(io.BytesIO(made)).convert("RGB")).astype(int)


@needs_browser
@pytest.mark.slow
def test_the_voxels_of_a_slice_are_seen_at_any_place_and_level(raw, browser):
    with View({"raw": raw}) as view:
        page = browser.new_page()
        page.goto(view.url)
        for middle, scale in (((110, 90, 20), 1), ((60, 150, 7), 1), ((100, 120, 22), 2)):
            x, y, z = middle
            position = [x + 2, y - 20, z + 10]  # where the array is in the world, in voxels
            plain(
                view,
                position=[position[0], position[1], position[2] + 0.5 * scale],
                cross_section_scale=scale,
            )
            width, height = 60, 40
            seen = pixels(view, (width, height))
            level = raw if scale == 1 else raw.downsample((scale,) * 3)
            left, top = x // scale - width // 2, y // scale - height // 2
            voxels = np.asarray(level[z // scale, top : top + height, left : left + width])
            for channel in range(3):
                np.testing.assert_allclose(seen[..., channel], voxels, atol=1)
        page.close()


@needs_browser
@pytest.mark.slow
def test_images_labels_and_masks_are_layers_of_their_kinds_in_one_world(raw, browser):
    ids = np.zeros(SHAPE, "int64")
    ids[:, :100] = 7
    labels = dacapo_like.from_numpy(
        ids, voxel_size=(4, 4, 4), offset=(40, -80, 8), units="nanometer", kind="labels"
    )
    arrays = {"raw": raw, "labels": labels, "masks": labels.binarize({"seven": [7], "none": [8]})}
    with View(arrays) as view:
        layers = view.viewer.state.to_json()["layers"]
        assert [each["type"] for each in layers] == ["image", "segmentation", "image"]
        page = browser.new_page()
        page.goto(view.url)
        at = {"position": [112, 70, 30.5], "cross_section_scale": 1}
        plain(view, **at)
        with view.viewer.txn() as shown:
            shown.layers["labels"].visible = shown.layers["raw"].visible = False
            shown.layers["masks"].layer.opacity = 1
        masks = pixels(view, (40, 40))
        inside, outside = masks[:10].reshape(-1, 3), masks[-10:].reshape(-1, 3)
        assert {tuple(colour) for colour in inside} == {(0xFF, 0x40, 0x40)}
        assert {tuple(colour) for colour in outside} == {(128, 128, 128)}  # nothing is there
        with view.viewer.txn() as shown:
            shown.layers["labels"].visible, shown.layers["masks"].visible = True, False
            shown.layers["labels"].layer.not_selected_alpha = 1
        coloured = pixels(view, (40, 40))
        assert len({tuple(colour) for colour in coloured[:10].reshape(-1, 3)}) == 1
        assert tuple(coloured[0, 0]) != tuple(coloured[-1, 0])
        page.close()


@needs_browser
@pytest.mark.slow
def test_an_array_that_cannot_be_opened_says_so_on_the_page(raw, browser, tmp_path, caplog):
    gone = {"type": "zarr", "file_name": str(tmp_path / "gone.zarr")}
    catalog = Catalog({"raw": lambda: raw, "gone": lambda: dacapo_like.open_array(gone)})
    with View(catalog) as view:
        page = browser.new_page()
        page.goto(view.url)
        said = page.get_by_text("500", exact=False).first
        with view.viewer.txn() as shown:
            shown.selected_layer.layer, shown.selected_layer.visible = "gone", True
            shown.layers["gone"].tab = "source"
        said.wait_for(timeout=20_000)
        assert "gone.zarr" in caplog.text
        seen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
        assert seen[200:400, 100:300].std() > 10  # the other is there
        page.close()
        with pytest.raises(SourceError, match=r"gone\.zarr"):
            view.screenshot(tmp_path / "shot.png")


@needs_browser
@pytest.mark.slow
def test_a_screenshot_is_a_picture_of_the_data(raw, tmp_path):
    with View({"raw": raw}) as view:
        plain(view, position=[112, 70, 30.5], cross_section_scale=1)
        path = view.screenshot(tmp_path / "shot.png", (80, 60))
    seen = np.asarray(Image.open(path).convert("RGB")).astype(int)
    voxels = np.asarray(raw[20, 60:120, 70:150])
    np.testing.assert_allclose(seen[..., 0], voxels, atol=1)


def test_no_browser_is_said(raw, tmp_path, monkeypatch):
    monkeypatch.setenv("DACAPO_LIKE_BROWSER", "no-such-browser")
    with (
        View({"raw": raw}) as view,
        pytest.raises(SourceError, match="no browser was found") as caught,
    ):
        view.screenshot(tmp_path / "shot.png")
    assert "no-such-browser" in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "kind", "shown", "served"),
    [
        ("uint8", "image", "image", "uint8"),
        ("bool", None, "mask", "uint8"),
        ("float16", "image", "image", "float32"),
        ("float64", "image", "image", "float32"),
        ("int64", "image", "image", "float32"),
        ("int64", "labels", "segmentation", "uint64"),
        ("uint32", "labels", "segmentation", "uint32"),
        ("int8", "labels", "segmentation", "uint8"),
        ("uint8", "mask", "mask", "uint8"),
    ],
)
def test_every_kind_of_voxels_is_shown_as_neuroglancer_can(dtype, kind, shown, served):
    more = {} if kind is None else {"kind": kind}
    voxels = volume(dtype, (4, 5, 6)) % 2 if kind == "mask" else volume("uint8", (4, 5, 6)) // 2
    array = dacapo_like.from_numpy(voxels.astype(dtype), voxel_size=(1, 1, 1), **more)
    changed = viewable(array)
    assert shown_as(array.spec) == shown
    assert changed.dtype == served
    np.testing.assert_array_equal(np.asarray(changed), np.asarray(array).astype(served))


def test_channels_are_colours_and_units_are_metres():
    array = dacapo_like.from_numpy(
        volume("uint16", (2, 4, 5, 6)),
        axes=("c", "z", "y", "x"),
        voxel_size=(9.8, 4, 2),
        units=("nanometer", "micrometer", "inch"),
    )
    made = layer(array, "http://localhost/a")
    assert made["shader"].count("#uicontrol invlerp") == 2
    assert "channel=1" in made["shader"]
    assert made["channelDimensions"] == {"c^": [1, ""]}
    shown = state({"a b": array}, "http://localhost")
    assert list(shown["dimensions"]) == ["x", "y", "z"]
    sizes = [size for size, unit in shown["dimensions"].values()]
    assert sizes == pytest.approx([0.0508, 4e-6, 9.8e-9])
    assert shown["position"] == [3, 2.5, 2]
    assert shown["layers"][0]["source"]["url"] == "http://localhost/a%20b/|zarr3:"


def test_unknown_units_stay_unknown():
    array = dacapo_like.from_numpy(volume("uint8", (4, 5)), voxel_size=(3, 2))
    shown = state({"a": array}, "http://localhost")
    assert shown["dimensions"] == {"x": [2, ""], "y": [3, ""]}
    assert shown["layout"] == "xy"
