"""MongoDB, where DaCapo's documents may be already."""

from __future__ import annotations

import pytest

from dacapo_like import ConfigStore, CropArrayConfig, Roi, ZarrArrayConfig
from dacapo_like.errors import ConfigError, DocumentError

THEIRS = {
    "name": "cropped",
    "source_array_config": {
        "name": "em",
        "file_name": "/data/fly.zarr",
        "dataset": "em",
        "snap_to_grid": None,
        "_axes": None,
        "__type__": "ZarrArrayConfig",
    },
    "roi": [[0, 0, 0], [400, 40, 2**40]],
    "__type__": "CropArrayConfig",
}
OURS = CropArrayConfig(
    source_array_config=ZarrArrayConfig(file_name="/data/fly.zarr", dataset="em"),
    roi=Roi((0, 0, 0), (400, 40, 2**40)),
)


@pytest.fixture(params=["mongodb"])
def url(request, mongodb):
    """Give the URL of an empty database of the server."""
    return mongodb


@pytest.fixture
def arrays(url):
    """Give the collection as DaCapo makes it, with one of its arrays."""
    from pymongo import MongoClient

    with MongoClient(url) as client:
        found = client.get_default_database()["arrays"]
        found.create_index([("name", 1)], name="name", unique=True)
        found.insert_one(dict(THEIRS))
        yield found


def test_documents_of_dacapo_are_read_as_they_are(store, arrays):
    assert store.names() == ("cropped",)
    assert store.config("cropped") == OURS
    assert store.search("fly.zarr") == ("cropped",)
    assert "_id" not in store.text("cropped")


def test_documents_of_dacapo_are_renamed_replaced_and_deleted(store, arrays):
    store.put("ones", {"type": "ones", "source": "cropped"})
    with pytest.raises(ConfigError, match="already"):
        store.put("cropped", OURS)
    with pytest.raises(ConfigError, match="differs in case"):
        store.put("Cropped", OURS)
    store.rename("cropped", "other", force=True)
    assert store.config("other") == OURS
    store.put("other", OURS.source_array_config, overwrite=True)
    assert store.config("other") == OURS.source_array_config
    assert arrays.count_documents({}) == 2
    store.delete("other")
    assert store.names() == ("ones",)


def test_documents_of_dacapo_are_migrated(store, arrays, tmp_path):
    folder = ConfigStore(tmp_path / "arrays")
    folder.put_all({name: store.config(name) for name in store.names()})
    assert folder.config("cropped") == OURS


def test_what_bson_has_and_documents_have_not_is_refused(store, arrays):
    arrays.insert_one({"name": "bytes", "__type__": "ZarrArrayConfig", "file_name": b"a"})
    with pytest.raises(DocumentError, match="bytes"):
        store.config("bytes")
