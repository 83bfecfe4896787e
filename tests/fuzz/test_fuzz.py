"""A short run of the fuzzing of documents (`make fuzz` is the long one); and that it finds what it looks for."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fuzz import strategies, target
from fuzz.mutations import mutated, written
from fuzz.seeds import ROOT, format_byte, seeds, words
from fuzz.target import fault_of, fault_of_mapping
from hypothesis import given, settings
from hypothesis import strategies as st

from dacapo_like.errors import DocumentError

INPUTS = 1500


@pytest.fixture(scope="module", autouse=True)
def imported():
    """Run the seeds once, so that all is imported that will be."""
    for data in seeds():
        fault_of(data)


def test_seeds_are_of_all_kinds():
    assert len(seeds()) > 100
    assert {seed[:1] for seed in seeds()} == {format_byte(form) for form in target.FORMATS}
    assert {"resampled", "ResampledArrayConfig", "source_array_config", "voxel_size"} < set(words())


def test_no_seed_has_a_fault():
    assert [fault for seed in seeds() if (fault := fault_of(seed))] == []


def test_mutations_have_no_fault():
    chance = random.Random(20)
    for _ in range(INPUTS):
        data = mutated(chance.choice(seeds()), chance)
        assert fault_of(data) is None, data


@settings(max_examples=60)
@given(strategies.documents, st.randoms(use_true_random=False))
def test_documents_that_are_drawn_have_no_fault(document, chance):
    assert fault_of(written(document, chance)) is None


@settings(max_examples=60)
@given(strategies.mappings, strategies.overrides)
def test_mappings_that_are_drawn_have_no_fault(mapping, overrides):
    assert fault_of_mapping(mapping, overrides) is None


# What it finds


def spin(_):
    while True:
        pass


@pytest.mark.parametrize(
    ("does", "fault"),
    [
        (lambda _: {}["a"], "KeyError at test_fuzz.py"),
        (lambda _: [].pop(), "IndexError"),
        (spin, "takes over"),
        (lambda _: time.sleep(0), None),
        (lambda _: Path(__file__).read_bytes(), "touches open"),
        (lambda _: list(Path("/").iterdir()), "touches os.listdir"),
        (lambda _: subprocess.run([sys.executable, "-V"], capture_output=True, check=True), "touches"),
        (lambda _: (_ for _ in ()).throw(DocumentError("")), "says too little"),
        (lambda _: (_ for _ in ()).throw(DocumentError("a", code="x")), "says too little"),
        (lambda _: (_ for _ in ()).throw(DocumentError("a")), None),
    ],
)  # fmt: skip
def test_faults_are_found(monkeypatch, does, fault):
    monkeypatch.setattr(target, "examine", does)
    monkeypatch.setattr(target, "SECONDS", 0.1)
    found = fault_of(b"x")
    assert found is None if fault is None else fault in found


def test_the_command_runs_and_keeps_what_it_finds(tmp_path):
    """In a process of its own, with Hypothesis and without guidance."""
    command = [sys.executable, "-m", "tests.fuzz", "--findings", str(tmp_path / "findings")]
    done = subprocess.run([*command, "--inputs", "40", "--engine", "blind"], cwd=ROOT, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "blind: 40 inputs" in done.stdout
    (tmp_path / "one").write_bytes(b"xtype: dummy")
    done = subprocess.run([*command, "--again", str(tmp_path / "one")], cwd=ROOT, capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "ok  one\n")
