"""Hostile values in documents of every kind, and in mappings: an error of ours with its place, soon, and no file is touched."""

from __future__ import annotations

import os
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from dacapo_like import DummyArrayConfig, TiffArrayConfig, load, open_array, verify
from dacapo_like.config.document import parse_document
from dacapo_like.config.loading import load_document
from dacapo_like.drafts.crops import crops_of_csv
from dacapo_like.errors import (
    ConfigError,
    DacapoLikeError,
    DocumentError,
    InvalidDocumentError,
    SourceError,
)

DUMMY = {"type": "dummy"}
IDENTITY = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def problem(document, **options):
    (found,) = [found for found in verify(document, **options) if found.code != "DL215"]
    return found


def placed(text, form="yaml"):
    """Give the problems of a text as line, column and code."""
    try:
        loaded = load_document(parse_document(text, format=form))
    except DocumentError as error:
        return [(error.line, error.column, error.code)]
    return [(found.line, found.column, found.code) for found in loaded.problems]


# Numbers


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e400", "-1e400"])
@pytest.mark.parametrize("field", ["voxel_size", "offset", "snap_to_grid"])
def test_numbers_that_are_no_lengths(field, value):
    text = f"type: zarr\nfile_name: a.zarr\n{field}: [1, {value}, 1]\n"
    ((line, column, code),) = placed(text)
    assert (line, code) in {(3, "DL110"), (3, "DL103")}
    assert column > 1


@pytest.mark.parametrize("value", [[0, 1, 1], [-1, 1, 1], [1, -0.5, 1], [0, 0, 0]])
@pytest.mark.parametrize("tag", ["resampled", "zarr"])
def test_voxel_sizes_that_are_none(tmp_path, tag, value):
    import zarr

    zarr.create_array(tmp_path / "a.zarr", shape=(4, 4, 4), dtype="uint8")
    fields = {"source": DUMMY} if tag == "resampled" else {"file_name": str(tmp_path / "a.zarr"), "axes": ["z", "y", "x"]}  # fmt: skip
    found = problem({"type": tag, **fields, "voxel_size": value})
    assert found.key.startswith("voxel_size") or "voxel size" in found.message


ABSURD = {
    "grown": {"type": "resampled", "source": DUMMY, "upsample": [10**10] * 3},
    "shaped": {"type": "resampled", "source": DUMMY, "shape": [10**30] * 3},
    "finer": {"type": "resampled", "source": DUMMY, "voxel_size": [1e-300] * 3},
    "coarser": {"type": "resampled", "source": DUMMY, "downsample": [10**30] * 3},
    "padded": {"type": "pad", "source": DUMMY, "before": [10**30] * 3, "after": [10**30] * 3},
    "reflected": {"type": "pad", "source": DUMMY, "before": [10**30] * 3, "after": [0] * 3, "fill": "reflect"},
    "ones": {"type": "ones", "source": {"type": "pad", "source": DUMMY, "before": [10**30] * 3, "after": [0] * 3}},
    "shrunk": {"type": "crop", "source": DUMMY, "roi": {"offset": [-(10**30)] * 3, "shape": [10**31] * 3}},
    "moved": {"type": "transform", "source": DUMMY, "transforms": [{"affine": IDENTITY}], "roi": {"offset": [0] * 3, "shape": [10**30] * 3}, "voxel_size": [1] * 3},
    "flung": {"type": "transform", "source": DUMMY, "transforms": [{"affine": [[1e308, 0, 0, 1e308], *IDENTITY[1:]]}], "roi": {"offset": [0] * 3, "shape": [9] * 3}, "voxel_size": [1] * 3},
    "strided": {"type": "merge_instances", "sources": [{"type": "astype", "source": DUMMY, "dtype": "uint64"}] * 2, "id_stride": 10**30},
    "ranged": {"type": "intensities", "source": DUMMY, "min": -1e308, "max": 1e308},
    "chosen": {"type": "select_channels", "source": DUMMY, "channels": [10**30]},
    "valued": {"type": "constant", "source": DUMMY, "value": 10**399, "dtype": "uint8"},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@pytest.mark.parametrize("name", ABSURD)
def test_absurd_sizes_and_values_open_and_read_or_are_errors(name):
    """What opens reads its first and its last voxel; all of it is refused before memory is asked for."""
    try:
        array = open_array(ABSURD[name])
        repr(array)
        array[(slice(0, 1),) * array.ndim]
        array[tuple(slice(n - 1, n) for n in array.shape)]
        if int(np.prod([float(n) for n in array.shape])) < 10**12:
            return
    except DacapoLikeError:
        return
    for read in (array.read, array.to_dask, array.to_xarray):
        with pytest.raises(DacapoLikeError):
            read()


# File names


@pytest.mark.parametrize("kind", ["zarr", "n5", "precomputed", "nifti", "hdf5", "tiff", "imaris", "npy"])  # fmt: skip
@pytest.mark.parametrize(
    "name", ["a\0b", "~no-such-user/a", "x" * 5000, "/dev/zero", "", "\udc80", "http://[::1"]
)
def test_names_of_files_that_are_none(kind, name):
    found = problem({"type": kind, "file_name": name})
    assert len(str(found)) < 2000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize(
    ("kind", "suffix"),
    [*(("nifti", ".nii"), ("nifti", ".nii.gz"), ("hdf5", ".h5"), ("tiff", ".tif"), ("imaris", ".ims")), *(("npy", ".npy"), ("npy", ".npz"), ("zarr", ".zarr"), ("zarr", ".zip"), ("n5", ".n5"))],
)  # fmt: skip
def test_a_pipe_is_not_waited_for(tmp_path, kind, suffix):
    os.mkfifo(tmp_path / f"a{suffix}")
    found = problem({"type": kind, "file_name": str(tmp_path / f"a{suffix}")})
    assert (found.key, "a pipe" in found.message) == ("file_name", True)


def test_a_pipe_for_a_matrix_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mat")
    moved = {"type": "transform", "source": DUMMY, "like": DUMMY, "transforms": [{"file_name": str(tmp_path / "a.mat")}]}  # fmt: skip
    with pytest.raises(SourceError, match="a pipe"):
        open_array(moved)[:1, :1, :1]


@pytest.mark.parametrize("spec", ["9999999999d", "09999999999d", "1000", "0100d"])
def test_a_pattern_does_not_ask_for_long_names(spec):
    with pytest.raises(ConfigError, match="not a pattern"):
        TiffArrayConfig(pattern=f"z{{z:{spec}}}.tif", axes=("z", "y", "x"))


@pytest.mark.parametrize("far", ["99999999999", "9" * 200])
def test_files_of_a_stack_that_are_far_apart(tmp_path, far):
    for number in ("0", far):
        (tmp_path / f"z{number}.tif").touch()
    found = problem(
        {"type": "tiff", "pattern": str(tmp_path / "z{z}.tif"), "axes": ["z", "y", "x"]}
    )
    assert "a file of the stack is missing" in found.message


@pytest.mark.parametrize("dtype", ["10/3", "(", "01", "V99999999999", "f8,f8", "<M8[s]", "O", ""])
@pytest.mark.parametrize("tag", ["ones", "constant", "astype"])
def test_dtypes_that_are_none(tag, dtype):
    assert problem({"type": tag, "source": DUMMY, "dtype": dtype}).key == "dtype"


@pytest.mark.parametrize(
    "affine", [[[1, 2], [1]], [[1], 2], [1, [2]], [[[1]], [1]], [[]], [], [["a"]], [[None]]]
)
def test_matrices_that_are_none(affine):
    text = f"type: transform\nsource: {{type: dummy}}\nlike: {{type: dummy}}\ntransforms: [{{affine: {affine}}}]".replace("None", "null")  # fmt: skip
    ((line, _, code),) = placed(text)
    assert (line, code[:3]) == (4, "DL1")


# Text


@pytest.mark.parametrize(
    ("form", "text", "place"),
    [
        ("yaml", "type: dummy\nname: a\0b", (2, 8, "DL001")),
        ("yaml", "type: dummy\nname: \u0085\x07", (2, 8, "DL001")),
        ("yaml", "type: dummy\r\nname: [\r\n", (3, 1, "DL001")),
        ("yaml", "type: dummy\nname: yes\nlevel: 1", (3, 1, "DL105")),
        ("yaml", "type: zarr\nfile_name: a\nlevel: 1:30", (3, 8, "DL103")),
        ("yaml", "type: zarr\nfile_name: a\nlevel: 0b1", (3, 8, "DL103")),
        ("yaml", "type: zarr\nfile_name: a\nlevel: on", (3, 8, "DL103")),
        ("yaml", "type: zarr\nfile_name: 2024-01-01\nlevel: 1.0", (3, 8, "DL103")),
        ("yaml", "a: &a {x: 1}\nb: {<<: [*a, 3]}", (2, 9, "DL004")),
        ("yaml", "? [a]\n: 1", (1, 3, "DL004")),
        ("yaml", "<<: {type: dummy}\ntype: dummy\ntype: dummy", (3, 1, "DL003")),
        ("toml", "type = 'dummy'\nname = '\0'", (2, 9, "DL001")),
        ("toml", "type = 'dummy'\ntype = 'dummy'", (2, 15, "DL001")),
        ("toml", 'type = "dummy"\nname = "\\uD800"', (2, 15, "DL001")),
        ("json", '{"type": "dummy",\n "name": "\0"}', (2, 11, "DL001")),
        ("json", '{"type": "dummy",\n "name": "\\ud800"}', (2, 10, "DL001")),
        ("json", '{"type": "dummy",\n "name": NaN}', (2, 10, "DL001")),
        ("json", '{"type": "dummy",\n "type": "dummy"}', (2, 2, "DL003")),
        ("json", '\ufeff{"type": "zarr", "file_name": "a", "level": true}', (1, 45, "DL103")),
    ],
)  # fmt: skip
def test_texts_that_are_not_what_they_seem(form, text, place):
    assert place in placed(text, form)


def test_no_hostile_document_touches_a_file(tmp_path):
    """What stands in it is looked at, not opened: to load reads no file but the document, to verify those that it names."""
    touched = []
    watching = True
    sys.addaudithook(lambda event, args: watching and event in ("open", "socket.connect", "subprocess.Popen") and touched.append(args[0]))  # fmt: skip
    texts = [
        "type: zarr\nfile_name: ../../../etc/passwd",
        "type: zarr\nfile_name: http://127.0.0.1:1/a.zarr",
        "!!python/object/apply:os.system [touch a]",
        "a: !include /etc/passwd",
        "type: zarr\nfile_name: ${root:x}/a",
        "type: nifti\nfile_name: /dev/zero",
    ]
    for text in texts:
        placed(text)
    watching = False
    assert [name for name in touched if not str(name).endswith((".py", ".pyc"))] == []


# Mappings


def test_a_mapping_without_end():
    data = {"type": "ones"}
    data["source"] = data
    assert problem(data).code == "DL002"
    wide: list = []
    wide.extend([wide] * 9)
    assert problem({"type": "concat", "channels": wide}).code == "DL002"
    with pytest.raises(DocumentError):
        load(data)


@pytest.mark.parametrize("key", [1, None, (1,), b"type", 1.5, True])
def test_keys_that_are_no_text(key):
    found = problem({"arrays": {"raw": {key: 1}}})
    assert (found.code, found.path) == ("DL004", None)
    assert "arrays.raw" in found.message
    assert problem(DUMMY, overrides={key: 1}).code == "DL124"
    assert problem(DUMMY, overrides={"name": {key: 1}}).code == "DL004"


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), float("nan"), 10**400, 1j, b"1", object(), {1}, np.zeros(2)])  # fmt: skip
def test_values_that_no_document_has(value):
    assert problem({"type": "intensities", "source": DUMMY, "min": value, "max": 1}).key == "min"


def test_overrides_of_absurd_places():
    for key in ("a" * 10**6, ".".join("a" * 10**5), "[0]", f"a[{'9' * 5000}]", "a[999999999]", "", "=", '"', "a..b"):  # fmt: skip
        assert problem(DUMMY, overrides=[f"{key}=1"]).path in {None, "override"}
    deep = "name=" + "[" * 1000
    assert problem(DUMMY, overrides=[deep]).code == "DL002"
    assert isinstance(load({"type": "ones", "source": DUMMY}).source_array_config, DummyArrayConfig)


# Other files


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('store = "a\\u0000b"', ""),
        ('[roots]\nx = "~no-such-user/a"', ":2:5"),
        ('[roots]\nx = "a\\u0000b"', ":2:5"),
        ("[roots]\nx = 1", ":2:5"),
        ("roots = " + "[" * 100, ":1:"),
        ("x = " + "9" * 500, ":1:"),
    ],
)
def test_settings_of_a_project(tmp_path, text, place):
    (tmp_path / "dacapo-like.toml").write_text(text)
    (tmp_path / "a.yaml").write_text("type: zarr\nfile_name: ${root:x}/a.zarr\n")
    (found,) = verify(tmp_path / "a.yaml")
    assert found.line == 2
    if place:
        assert f"dacapo-like.toml{place}" in str(found)


def table(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((DocumentError, InvalidDocumentError)) as error:
        crops_of_csv(path)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"raw\n\xff\n", "a.csv:2:1: the document is not UTF-8"),
        (b"raw\n" + b"x" * 200_000, "field larger than field limit"),
        (b"raw,raw\na,b\n", "two columns of one name"),
        (b"raw\na\0b.zarr\n", "a.csv:2: error DL110 [raw]: not a file name"),
        (b"raw\n~no-such-user/a.zarr\n", "a.csv:2: error DL110 [raw]: no home folder"),
        (b"raw,weight\na.zarr,nan\n", "a.csv:2: error DL110 [weight]"),
        (b"raw,weight\na.zarr,1e999\n", "a.csv:2: error DL110 [weight]"),
        (b"raw\na.zarr,b,c\n", "more cells than columns"),
        (b"", "no column `raw`"),
    ],
)
def test_tables_of_crops(tmp_path, content, said):
    assert said in table(tmp_path, content)


def test_tables_that_are_too_large_or_no_files(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(2**36)
    with pytest.raises(DocumentError, match="too large"):
        crops_of_csv(tmp_path / "a.csv")
    os.mkfifo(tmp_path / "b.csv")
    with pytest.raises(DocumentError, match="regular file"):
        crops_of_csv(tmp_path / "b.csv")
    with pytest.raises(DocumentError, match="cannot be read"):
        crops_of_csv(tmp_path / "c.csv")


def test_many_crops_of_one_name_take_no_longer_each(tmp_path):
    rows = 20_000
    (tmp_path / "a.csv").write_text("raw\n" + "a.zarr\n" * rows)
    began = time.process_time()
    _, crops = crops_of_csv(tmp_path / "a.csv")
    assert len({crop.name for crop in crops}) == rows
    assert (
        time.process_time() - began < 20
    )  # it was minutes, when each looked through all before it


def test_a_byte_order_mark_before_a_table(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfraw\r\na.zarr\r\n")
    _, crops = crops_of_csv(tmp_path / "a.csv")
    assert [crop.name for crop in crops] == ["a"]
    assert Path(tmp_path / "a.csv").exists()
