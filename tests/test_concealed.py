"""A secret reaches the server that asks for it, and nothing that a person may see."""

from __future__ import annotations

import functools
import http.server
import pickle
import threading
import traceback
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like.concealed import reveal
from dacapo_like.config.document import parse_document
from dacapo_like.config.loading import load_document
from dacapo_like.errors import DacapoLikeError, SourceError

SECRET = "hunter2"
VOXELS = np.arange(64, dtype="u2").reshape(8, 8)


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Serves files to those who know the secret."""

    def do_GET(self):
        if parse_qs(urlsplit(self.path).query).get("sig") == [SECRET]:
            super().do_GET()
        else:
            self.send_error(403)

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def document(tmp_path, monkeypatch):
    """Give a document of an array behind a signature."""
    stored = zarr.create_array(tmp_path / "a.zarr", data=VOXELS, chunks=(4, 4))
    stored.attrs.update({"voxel_size": [4, 4], "units": "nm"})
    monkeypatch.setenv("SIGNATURE", SECRET)
    handler = functools.partial(Guarded, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/a.zarr?sig=${{sig}}"
        yield f"parameters: {{sig: {{env: SIGNATURE, secret: true}}}}\narrays: {{raw: {{type: zarr, file_name: '{url}'}}}}\n"
        server.shutdown()
        thread.join()


def experiment_of(text):
    return dacapo_like.Experiment(load_document(parse_document(text)).config)


def test_the_server_is_told_and_nobody_else(document, tmp_path, capfd):
    experiment = experiment_of(document)
    array = experiment.arrays["raw"]
    np.testing.assert_array_equal(array.read(), VOXELS)
    again = pickle.loads(pickle.dumps(array))
    np.testing.assert_array_equal(again.read(), VOXELS)
    array.save(tmp_path / "copy.zarr")
    kept = [path for path in (tmp_path / "copy.zarr").rglob("*") if path.is_file()]
    seen = [
        repr(array),
        array._repr_html_(),
        repr(array.config),
        repr(experiment.config),
        dacapo_like.dump(experiment.config),
        str(dacapo_like.cache_statistics()),
        str(dict(array.attrs)),
        pickle.dumps(array).decode("latin-1"),
        *(path.read_bytes().decode("latin-1") for path in kept),
        *capfd.readouterr(),
    ]
    assert [text for text in seen if SECRET in text] == []


def test_errors_do_not_say_it(document, tmp_path):
    chunk = next(path for path in (tmp_path / "a.zarr" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(b"nonsense")
    with pytest.raises(DacapoLikeError) as caught:
        experiment_of(document).arrays["raw"].read()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(DacapoLikeError) as caught:
        experiment_of(document.replace("a.zarr", "b.zarr")).arrays["raw"].read()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_another_secret_is_another_answer(document, monkeypatch):
    monkeypatch.setenv("SIGNATURE", "hunter3")
    with pytest.raises(DacapoLikeError) as caught:
        experiment_of(document).arrays["raw"].read()
    assert "hunter3" not in "".join(traceback.format_exception(caught.value))


def test_what_is_not_set_is_an_error_and_other_text_stays(monkeypatch):
    monkeypatch.delenv("SIGNATURE", raising=False)
    with pytest.raises(SourceError, match="SIGNATURE"):
        reveal("https://example.org/a?${secret:SIGNATURE}")
    assert reveal("${secret:}/${root:a}/$${x}") == "${secret:}/${root:a}/$${x}"


def test_a_signature_that_a_document_holds_is_not_saved_beside_voxels(document, tmp_path):
    """Nor is it shown; one that the document only names may be, so that what was written tells where it came from."""
    literal = document.replace("${sig}", f"{SECRET}&x=1").replace(
        "sig: {env: SIGNATURE, secret: true}", ""
    )
    named = document.replace("}'}}", "}&x=1'}}")
    for text, kept in ((literal, ""), (named, "?sig=${secret:SIGNATURE}")):
        array = experiment_of(text).arrays["raw"]
        path = array.save(tmp_path / f"out{len(kept)}.zarr")
        said = b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())
        assert SECRET.encode() not in said
        assert f'a.zarr{kept}"'.encode() in said
    assert SECRET not in repr(experiment_of(named).arrays["raw"])
