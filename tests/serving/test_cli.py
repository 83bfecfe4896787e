"""The commands ``serve`` and ``view``, as people type them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
import zarr
from click.testing import CliRunner

import dacapo_like
from dacapo_like.cli import main


@pytest.fixture
def serving():
    """Start the command in a process; give its URL."""
    started = []

    def start(*arguments):
        command = [Path(sys.executable).with_name("dacapo-like"), "serve", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return re.search(r"http://\S+", process.stdout.readline())[0]

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        process.stdout.close()


def test_a_document_is_served_until_it_is_interrupted(serving, configs):
    url = serving(configs / "quickstart.yaml", "composed", "raw")
    listed = requests.get(url, timeout=30).json()["arrays"]
    assert list(listed) == ["composed", "raw"]
    experiment = dacapo_like.load(configs / "quickstart.yaml")
    served = zarr.open_array(f"{url}/raw/0", mode="r")
    np.testing.assert_array_equal(served[...], np.asarray(experiment.arrays["raw"]))


def test_a_store_is_served(serving, configs, tmp_path):
    store = dacapo_like.ConfigStore(f"sqlite:///{tmp_path / 'arrays.db'}")
    raw = dacapo_like.load(configs / "quickstart.yaml").config.arrays["raw"]
    store.put("my raw", raw)
    url = serving(f"sqlite:///{tmp_path / 'arrays.db'}")
    assert zarr.open_array(f"{url}/my%20raw/0", mode="r").shape == raw.array().shape


@pytest.mark.parametrize("command", ["serve", "view"])
def test_what_is_not_there_is_said(command, configs):
    result = CliRunner().invoke(main, [command, str(configs / "quickstart.yaml"), "rwa"])
    assert result.exit_code == 1
    assert "no array of this name (got 'rwa'; expected one of raw" in result.output


def test_other_hosts_need_a_token(configs):
    arguments = ["serve", str(configs / "quickstart.yaml"), "--host", "0.0.0.0"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "--token new" in result.output
