"""MongoDB, where DaCapo's documents may be already."""

from __future__ import annotations

import pytest
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

from dacapo_like import ConfigStore, CropArrayConfig, Roi, ZarrArrayConfig
from dacapo_like.errors import ConfigError, DocumentError, StoreError

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
def collection(url):
    """Give the collection as DaCapo makes it."""
    with MongoClient(url) as client:
        found = client.get_default_database()["arrays"]
        found.create_index([("name", 1)], name="name", unique=True)
        yield found


@pytest.fixture
def arrays(collection):
    """Give the collection with one of DaCapo's arrays."""
    collection.insert_one(dict(THEIRS))
    return collection


def test_the_server_keeps_what_the_store_relies_on(collection):
    collection.create_index([("folded", 1)], name="folded", unique=True, sparse=True)
    collection.insert_many([{"name": "a", "folded": "a"}, {"name": "b", "folded": "b"}])
    collection.insert_many([{"name": "theirs"}, {"name": "theirs too"}])  # the index is sparse
    for refused in (
        lambda: collection.insert_one({"name": "a", "folded": "new"}),
        lambda: collection.insert_one({"name": "A", "folded": "a"}),
        lambda: collection.replace_one({"name": "A"}, {"name": "A", "folded": "a"}, upsert=True),
        lambda: collection.replace_one({"name": "b"}, {"name": "b", "folded": "a"}, upsert=True),
        lambda: collection.update_one({"name": "b"}, {"$set": {"name": "a"}}),
        lambda: collection.update_one({"name": "b"}, {"$set": {"name": "c", "folded": "a"}}),
    ):
        with pytest.raises(DuplicateKeyError) as caught:
            refused()
        assert caught.value.code == 11000
    found = collection.find({}, {"_id": False}).batch_size(2)
    assert sorted(map(tuple, (each.items() for each in found))) == [
        (("name", "a"), ("folded", "a")),
        (("name", "b"), ("folded", "b")),
        (("name", "theirs"),),
        (("name", "theirs too"),),
    ]
    replaced = collection.replace_one({"name": "b"}, {"name": "b", "x": 2**62}, upsert=True)
    assert (replaced.matched_count, replaced.upserted_id) == (1, None)
    assert collection.find_one({"name": "b"}, {"_id": False}) == {"name": "b", "x": 2**62}
    assert collection.replace_one({"name": "c"}, {"name": "c"}, upsert=True).upserted_id is not None
    assert collection.update_one({"name": "gone"}, {"$set": {"x": 1}}).matched_count == 0
    assert [collection.delete_one({"name": "c"}).deleted_count for _ in range(2)] == [1, 0]


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


def test_what_is_no_array_or_has_no_name_is_left_alone_and_told(store, arrays):
    arrays.insert_one({"of": "somebody"})
    arrays.insert_one(THEIRS | {"name": "a/b"})
    assert store.names() == ("a/b", "cropped")
    assert store.search("fly") == ("a/b", "cropped")
    store.rename("cropped", "crop")
    with pytest.raises(ConfigError, match="not a name for an array"):
        store.config("a/b")
    (problem,) = [each for each in store.verify() if each.code == "DL133"]
    assert problem.path == store.place("a/b")
    assert arrays.count_documents({}) == 3


def test_a_server_that_does_not_answer_is_an_error_with_its_place_and_no_password(tmp_path):
    store = ConfigStore("mongodb://me:secret@127.0.0.1:1/arrays?serverSelectionTimeoutMS=200")
    for use in (store.names, lambda: store.put("raw", OURS), lambda: store.text("raw")):
        with pytest.raises(StoreError, match=r"MongoDB refuses: .*refused") as caught:
            use()
        assert caught.value.where == store.url == "mongodb://127.0.0.1:1/arrays"
        assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="names no database"):
        ConfigStore("mongodb://127.0.0.1:1")
