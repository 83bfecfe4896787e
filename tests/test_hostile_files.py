"""Files whose headers and metadata are hostile, or damaged at random: errors of ours, or voxels; soon, and in little memory."""

from __future__ import annotations

import copy
import gzip
import json
import logging
import random
import resource
import struct
import subprocess
import sys
import time
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import tensorstore as ts
import tifffile
import zarr
from fuzz.mutations import NUMBERS, TEXTS

from dacapo_like import from_numpy, open_array
from dacapo_like.errors import DacapoLikeError, ReadError, SourceError

pytestmark = pytest.mark.slow  # the module takes over ten seconds

VOXELS = np.arange(8 * 8 * 8, dtype="uint16").reshape(8, 8, 8)
SAID = {"axes": ["z", "y", "x"], "voxel_size": [1, 1, 1]}
KINDS = {
    ".nii": ("nifti", {}),
    ".nii.gz": ("nifti", {}),
    ".h5": ("hdf5", {}),
    ".ims": ("imaris", {}),
    ".ome.tif": ("tiff", {}),
    ".tif": ("tiff", SAID),
    ".npy": ("npy", SAID),
    ".npz": ("npy", SAID),
    ".zarr.zip": ("zarr", SAID),
}
MUTANTS = 25
SECONDS = 5


def made(folder, suffix):
    """Write the voxels, and give the file."""
    path = folder / f"a{suffix}"
    match suffix:
        case ".npy":
            np.save(path, VOXELS)
        case ".npz":
            np.savez_compressed(path, a=VOXELS)
        case ".tif":
            tifffile.imwrite(path, VOXELS, compression="zlib")
        case ".zarr.zip":
            with zarr.storage.ZipStore(path, mode="w") as store:
                zarr.create_array(store, data=VOXELS, chunks=(4, 4, 4))
        case _:
            from_numpy(VOXELS, voxel_size=(2, 1, 1), units="um").save(path)
    return path


def read_or_refused(document):
    """Open and read an array, or be told why not."""
    began = time.process_time()
    try:
        array = open_array(document)
        array[(slice(0, 1),) * array.ndim]
        if np.prod(np.array(array.shape, float)) < 1e6:
            array.read()
    except DacapoLikeError as error:
        said = str(error)
    else:
        said = ""
    assert len(said) < 20_000
    assert time.process_time() - began < SECONDS


@pytest.fixture(autouse=True)
def bounded():
    """Refuse more memory than any of this may take."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, before[1]))
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", KINDS)
def test_bytes_changed_at_random(tmp_path, suffix):
    kind, fields = KINDS[suffix]
    path, chance = made(tmp_path, suffix), random.Random(f"{suffix} 1")
    content = path.read_bytes()
    inner = gzip.decompress(content) if suffix == ".nii.gz" else content
    header = 352 if kind == "nifti" else 128 if suffix == ".npy" else len(inner)
    for _ in range(MUTANTS):
        changed = bytearray(inner)
        for _ in range(chance.choice((1, 1, 2, 4))):
            at, width = chance.randrange(header), chance.choice((1, 2, 4, 8))
            changed[at : at + width] = chance.choice((b"\xff", b"\0", b"\x7f", b"\x80")) * width
        damaged = tmp_path / f"damaged{suffix}"
        damaged.write_bytes(gzip.compress(changed, 1) if suffix == ".nii.gz" else changed)
        read_or_refused({"type": kind, "file_name": str(damaged), **fields})


def folder_of(root, name):
    """Write the voxels into a folder of a format, and give the type."""
    path = root / name
    if name == "n5":
        spec = {"dimensions": [8] * 3, "blockSize": [4] * 3, "dataType": "uint16", "compression": {"type": "gzip"}}  # fmt: skip
        ts.open({"driver": "n5", "kvstore": f"file://{path}/", "metadata": spec, "create": True}).result()[...] = VOXELS  # fmt: skip
        return path, "n5"
    if name == "precomputed":
        scale = {"size": [8] * 3, "resolution": [1] * 3, "encoding": "raw", "chunk_size": [4] * 3, "voxel_offset": [0] * 3}  # fmt: skip
        kinds = {"data_type": "uint16", "num_channels": 1, "type": "image"}
        ts.open({"driver": "neuroglancer_precomputed", "kvstore": f"file://{path}/", "multiscale_metadata": kinds, "scale_metadata": scale, "create": True}).result()[..., 0] = VOXELS  # fmt: skip
        return path, "precomputed"
    if name == "ngff":
        group = zarr.open_group(path, mode="w")
        for level in (0, 1):
            step = 2**level
            group.create_array(str(level), data=VOXELS[::step, ::step, ::step].copy(), chunks=(4, 4, 4))  # fmt: skip
        scaled = [{"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [2.0**i] * 3}]} for i in (0, 1)]  # fmt: skip
        axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
        group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": scaled}]}
        return path, "zarr"
    more = {"zarr_format": 2} if name == "v2" else {"shards": (8, 8, 8)}
    zarr.create_array(path, data=VOXELS, chunks=(4, 4, 4), **more).attrs["voxel_size"] = [1, 1, 1]
    return path, "zarr"


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()  # fmt: skip
    for key, item in items:
        yield from places(item, (*path, key))


HOSTILE = (*NUMBERS, *TEXTS, None, True, [], {}, [1], [-1] * 3, [0] * 3, [10**30] * 3, [2**31] * 3, [1e300] * 3, ["a"] * 3, [[[[]]]], "x" * 10**5)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["v2", "sharded", "ngff", "n5", "precomputed"])
def test_metadata_changed_at_random(tmp_path, name):
    path, kind = folder_of(tmp_path, name)
    files = [file for file in path.rglob("*") if file.name in {"zarr.json", ".zarray", ".zattrs", "attributes.json", "info"}]  # fmt: skip
    chance = random.Random(f"{name} 1")
    for _ in range(2 * MUTANTS):
        file = chance.choice(sorted(files))
        before = file.read_text()
        document = json.loads(before)
        place = chance.choice(list(places(document))[1:])
        changed = at = copy.deepcopy(document)
        for part in place[:-1]:
            at = at[part]
        if chance.random() < 0.2:
            del at[place[-1]]
        else:
            at[place[-1]] = chance.choice(HOSTILE)
        file.write_text(json.dumps(changed))
        read_or_refused({"type": kind, "file_name": str(path)})
        file.write_text(before)


# What was found so, and what else is known to be tried


def refusal(document) -> DacapoLikeError:
    with pytest.raises(SourceError) as error:
        open_array(document)[:1]
    assert document["file_name"] in str(error.value)
    return error.value


def with_metadata(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_chunks_that_do_not_divide_their_shard(tmp_path):
    path, _ = folder_of(tmp_path, "sharded")
    for shape in ([2, 8, 8], [8, 8], [8, 8, 9]):
        with_metadata(path / "zarr.json", lambda d, s=shape: d["chunk_grid"]["configuration"].update(chunk_shape=s))  # fmt: skip
        refusal({"type": "zarr", "file_name": str(path)})


@pytest.mark.parametrize(("name", "chunk"), [("v2", 2**40), ("sharded", 2**62), ("n5", 2**31)])
def test_absurd_chunks_take_no_memory(tmp_path, name, chunk):
    path, kind = folder_of(tmp_path, name)
    if name == "v2":
        with_metadata(path / ".zarray", lambda d: d.update(chunks=[chunk] * 3))
    elif name == "n5":
        with_metadata(path / "attributes.json", lambda d: d.update(blockSize=[chunk] * 3))
    else:
        inner = {"name": "bytes", "configuration": {"endian": "little"}}
        with_metadata(path / "zarr.json", lambda d: (d["chunk_grid"]["configuration"].update(chunk_shape=[chunk] * 3), d.update(codecs=[inner])))  # fmt: skip
    code = "import sys, resource\nresource.setrlimit(resource.RLIMIT_AS, (8 << 30,) * 2)\nfrom dacapo_like import open_array\ntry: open_array({'type': sys.argv[1], 'file_name': sys.argv[2]})[:1]\nexcept OSError as e: print(type(e).__name__)\nexcept IndexError as e: print(type(e).__name__)\nelse: print('read')"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, kind, str(path)], capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.stdout.strip() in {"SourceError", "ReadError", "RegionError", "read"}, done.stderr


@pytest.mark.parametrize("codec", [{"id": "pickle"}, {"id": "json2"}, {"id": "msgpack2"}, {"id": "vlen-bytes"}, {"id": "os.system"}])  # fmt: skip
@pytest.mark.parametrize("where", ["compressor", "filters"])
def test_codecs_of_objects_are_not_run(tmp_path, codec, where):
    path, kind = folder_of(tmp_path, "v2")
    with_metadata(path / ".zarray", lambda d: d.update({where: [codec] if where == "filters" else codec}))  # fmt: skip
    harm = b"cos\nsystem\n(S'touch " + str(tmp_path / "harmed").encode() + b"'\ntR."
    for chunk in path.glob("[0-9]*"):
        chunk.write_bytes(harm)
    with pytest.raises(DacapoLikeError):
        open_array({"type": kind, "file_name": str(path)}).read()
    assert not (tmp_path / "harmed").exists()


def test_voxels_that_are_objects_are_refused(tmp_path):
    path, kind = folder_of(tmp_path, "v2")
    for dtype in ("|O", "O8", [["a", "<u2"]], "<M8[s]", "|V99999999999", "<U10", "10/3", "("):
        with_metadata(path / ".zarray", lambda d, t=dtype: d.update(dtype=t))
        refusal({"type": kind, "file_name": str(path)})
    np.save(tmp_path / "a.npy", np.array([{}, None], object), allow_pickle=True)
    refusal({"type": "npy", "file_name": str(tmp_path / "a.npy"), **SAID})


def test_a_key_of_a_scale_that_is_no_name_or_leads_out(tmp_path):
    path, kind = folder_of(tmp_path, "precomputed")
    for key in (1e-9, 7, None, "../../etc", "/etc"):
        with_metadata(path / "info", lambda d, k=key: d["scales"][0].update(key=k))
        refusal({"type": kind, "file_name": str(path)})


def test_an_attribute_of_hdf5_that_says_to_be_huge(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        made = file.create_dataset("raw", data=VOXELS)
        made.attrs.create("x", np.zeros(2**22 + 1, "<f8"))
    error = refusal({"type": "hdf5", "file_name": str(tmp_path / "a.h5"), **SAID})
    assert "an attribute is too large" in str(error)


def test_directories_of_a_tiff_in_a_circle(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, photometric="minisblack", metadata=None)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        last, first = file.pages[-1].offset, file.pages[0].offset
        entries = len(file.pages[-1].tags)
    for target in (first, last, len(content) + 10, 2**32 - 2):
        struct.pack_into("<I", content, last + 2 + 12 * entries, target)
        (tmp_path / "b.tif").write_bytes(content)
        began = time.process_time()
        read_or_refused({"type": "tiff", "file_name": str(tmp_path / "b.tif"), **SAID})
        assert time.process_time() - began < 2


@pytest.mark.parametrize("tag", [256, 257, 277, 322, 278])
def test_a_tiff_that_says_to_be_huge(tmp_path, tag):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS[0], compression="zlib", rowsperstrip=4)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        found = file.pages[0].tags.get(tag)
    if found is None:
        return
    struct.pack_into("<HI", content, found.offset + 2, 4, 1)
    struct.pack_into("<I", content, found.offset + 8, 2**31 - 8)
    (tmp_path / "b.tif").write_bytes(content)
    read_or_refused({"type": "tiff", "file_name": str(tmp_path / "b.tif"), "axes": ["y", "x"], "voxel_size": [1, 1]})  # fmt: skip


@pytest.mark.parametrize("dims", [[3, 2**31 - 1, 2**31 - 1, 2**31 - 1], [7, *[32767] * 7], [3, -5, 4, 4], [0, 1, 1, 1], [999, 1, 1, 1]])  # fmt: skip
def test_a_nifti_that_says_to_be_huge(tmp_path, dims):
    path = from_numpy(VOXELS).save(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    for i, n in enumerate(dims):
        struct.pack_into("<h", content, 40 + 2 * i, max(min(n, 32767), -32768))
    path.write_bytes(content)
    with pytest.raises(DacapoLikeError):
        open_array({"type": "nifti", "file_name": str(path)}).read()


def test_a_chunk_of_a_tiff_that_unpacks_to_far_more(tmp_path):
    pytest.importorskip(
        "imagecodecs"
    )  # without it, tifffile unpacks with the standard library, which knows no limit
    tifffile.imwrite(tmp_path / "a.tif", VOXELS[0], compression="zlib", metadata=None)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    bomb = zlib.compress(bytes(2**26), 1)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages[0].tags
        starts, lengths = tags[273].offset, tags[279].offset
    for entry, value in ((starts, len(content)), (lengths, len(bomb))):
        struct.pack_into("<HII", content, entry + 2, 4, 1, value)
    (tmp_path / "a.tif").write_bytes(content + bomb)
    with pytest.raises(ReadError):
        open_array({"type": "tiff", "file_name": str(tmp_path / "a.tif"), "axes": ["y", "x"], "voxel_size": [1, 1]}).read()  # fmt: skip


@pytest.mark.parametrize("size", [2**22, 2**25])
def test_a_member_of_a_zip_file_that_unpacks_to_far_more(tmp_path, size):
    """Of which TensorStore says that it is not there, so that it would be the fill value."""
    root, _ = folder_of(tmp_path, "v2")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for member in root.rglob("*"):
            content = bytes(size) if member.name == "0.0.0" else member.read_bytes()
            file.writestr(member.relative_to(root).as_posix(), content)
    error = refusal({"type": "zarr", "file_name": str(tmp_path / "a.zip")})
    assert f"got {size} bytes in" in str(error)
