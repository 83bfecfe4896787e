"""What benchmarks have in common: how ways take turns, ratios, tables, the page, and processes that read."""

from __future__ import annotations

import doctest
import importlib
import platform
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # `benchmarks` is not installed

from benchmarks import __main__ as command  # noqa: E402  # behind the above
from benchmarks import measuring, page, results, volumes  # noqa: E402
from benchmarks.measuring import Spread, Timing, race, timed  # noqa: E402
from benchmarks.reading.asking import AbsentError, Process, check  # noqa: E402
from benchmarks.reading.serving import Box  # noqa: E402
from benchmarks.results import Figure, Row, Table, at_least, at_most, beside  # noqa: E402
from benchmarks.running import Run  # noqa: E402

SCRIPT = f"""
import sys
sys.path.insert(0, {str(ROOT / "benchmarks" / "reading")!r})
import numpy as np
from serving import in_flight, in_threads, one_by_one, serve

def ramp(step=1):
    volume = np.arange(1000).reshape(10, 10, 10) * step
    return lambda box: volume[box.slices]

def loud():
    print("what a program prints is no answer")
    return one_by_one(ramp())

def absent():
    import a_program_that_is_not_there

def large(box):
    return np.ones(2**26, "uint8")

def wrong(box):
    raise KeyError("a fault of its own")

makers = {{
    "ramp": lambda step=1: one_by_one(ramp(step)),
    "threads": lambda: in_threads(ramp(), 3),
    "loud": loud,
    "absent": absent,
    "large": lambda: one_by_one(large),
    "wrong": lambda: one_by_one(wrong),
}}
serve(makers, ["numpy"])
"""
BOXES = [Box((1, 2, 3), (2, 3, 4)), Box((0, 0, 0), (1, 1, 2)), Box((5, 5, 5), (5, 5, 5))]


@pytest.fixture
def process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with closing(Process(script)) as started:
        yield started


# How ways take turns


def recorded(seconds, log, name):
    def way(turn):
        log.append((turn, name))
        return seconds

    return way


def test_ways_take_turns_in_an_order_that_turns_around():
    log = []
    race({"a": recorded(1e-6, log, "a"), "b": recorded(1e-6, log, "b")}, 4)
    assert log[:2] == [(3, "a"), (3, "b")]  # before anything counts
    assert log[2:] == [
        *((0, "b"), (0, "a")),
        *((1, "a"), (1, "b")),
        *((2, "b"), (2, "a")),
        *((3, "a"), (3, "b")),
    ]


def test_slow_ways_sit_turns_out_but_not_alone():
    ways = {"fast": recorded(1e-6, [], "fast"), "slow": recorded(100.0, [], "slow")}
    taken = race(ways, 12)
    assert sorted(taken["fast"].seconds) == list(range(12))
    assert sorted(taken["slow"].seconds) == [0, 4, 8]
    assert list(taken) == ["fast", "slow"]


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 40])
def test_every_way_takes_part(turns):
    taken = race({"slow": recorded(100.0, [], "slow")}, turns)
    assert len(taken["slow"].seconds) >= min(turns, 3)


def test_a_ratio_is_that_of_the_same_turn():
    ours = Timing({0: 2.0, 1: 30.0, 2: 4.0})  # the machine was slow in turn 1
    theirs = Timing({0: 1.0, 1: 10.0, 2: 1.0, 3: 1.0})
    assert ours.over(theirs) == Spread.of([2.0, 3.0, 4.0])
    assert ours.over(theirs).median == 3.0
    assert ours.each(2).spread.median == 2.0


def test_a_call_that_is_soon_over_is_timed_several_times():
    calls = []
    assert timed(lambda: calls.append(1), times=5)(0) >= 0
    assert len(calls) == 5


@pytest.mark.parametrize("module", [measuring, results, page])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


# Tables


def row(ours, theirs, wanted=None, **more):
    return Row(
        "case",
        Timing(dict(enumerate(ours))),
        "other",
        Timing(dict(enumerate(theirs))),
        wanted,
        **more,
    )


def test_at_most_is_of_our_time_and_at_least_of_their_time():
    assert row([3.0], [2.0], at_most(1.4)).met is False
    assert row([3.0], [2.0], at_most(1.5)).met is True
    assert row([2.0], [3.0], at_least(1.5)).met is True
    assert row([2.0], [3.0], at_least(1.6)).met is False
    assert row([2.0], [3.0]).met is None


def test_the_bound_is_of_the_median_of_ratios_not_the_ratio_of_medians():
    told = row([1.0, 10.0, 3.0], [1.0, 1.0, 10.0], at_most(1.5))
    assert (told.ratio.median, told.met) == (1.0, True)


def test_a_row_says_times_and_ratio():
    cells = row([0.002, 0.002], [0.004, 0.004], at_least(10)).cells("ms")
    assert cells == ("case", "2.00 ms", "other", "4.00 ms", "2.00 times as fast", "≥ 10", "**no**")
    assert row([0.002], [0.004]).cells("patches")[1:5] == (
        "500 patches/s",
        "other",
        "250 patches/s",
        "0.500 of its time",
    )


def test_each_way_is_beside_ours():
    timings = {name: Timing({0: n}) for name, n in {"a": 4.0, "ours": 2.0, "b": 1.0}.items()}
    rows = beside("case", timings, "ours", {"b": at_most(3)}, slower=["a"])
    assert [(r.other, r.ratio.median, r.met) for r in rows] == [("a", 2.0, None), ("b", 2.0, True)]


def table():
    lines = [
        Figure("one", "bytes", 2, "B", at_most(1), exact=True),
        Figure("one", "time", 0.5, "s", at_least(0.1)),
        Figure("two", "time", 1234.5, "s"),
    ]
    return Table("a title", lines)


def test_a_table_leaves_out_what_the_line_above_says():
    assert table().markdown().splitlines() == [
        "**a title**",
        "",
        "|  | counted | measured | wanted | met |",
        "| --- | --- | --- | --- | --- |",
        "| one | bytes | 2 B | ≤ 1 | **no** |",
        "|  | time | 0.500 s | ≥ 0.100 | yes |",
        "| two | time | 1234 s |  |  |",
    ]
    assert len({line.index("counted") for line in table().text().splitlines()[1:2]}) == 1


# The page


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, smoke=True, labels=None, absent={"other": "not installed"})


def test_the_page_has_everything_but_where_it_was_made(tmp_path, run):
    section = page.Section("one", "One, a title", "What it shows.\n\nMore.", [table()])
    file = tmp_path / "performance.md"
    page.write_page(file, [section], run)
    text = file.read_text()
    assert "| [One, a title](#one-a-title) | 2 | 1 |" in text
    assert text.index("## One, a title") < text.index("What it shows.") < text.index("**a title**")
    assert "Not compared, since they are not installed: other (not installed)." in text
    assert f"numpy {np.__version__}" in text
    for secret in (str(ROOT), str(tmp_path), str(Path.home()), platform.node()):
        assert secret not in text


def test_remarks_stand_behind_the_tables(tmp_path):
    (tmp_path / "one.md").write_text("\nWhy it is so.\n")
    section = page.Section("one", "One", "About.", [table()])
    assert section.markdown(tmp_path).endswith("|  |\n\nWhy it is so.")
    assert section.markdown(tmp_path / "none").endswith("|  |")


def test_every_benchmark_says_what_it_shows_and_every_remark_has_one():
    for name in command.NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        assert module.TITLE
        assert module.__doc__.count("\n\n") >= 1
    assert {path.stem for path in page.REMARKS.glob("*.md")} <= set(command.NAMES)


# Processes that read


def test_a_process_reads_what_numpy_has(process):
    volume = np.arange(1000).reshape(10, 10, 10)
    expected = [volume[box.slices] for box in BOXES]
    for maker in ("ramp", "threads", "loud"):
        read = process.open(maker).voxels(BOXES)
        for found, voxels in zip(read, expected, strict=True):
            np.testing.assert_array_equal(found, voxels)


def test_several_things_are_open_at_once(process):
    one, three = process.open("ramp"), process.open("ramp", step=3)
    np.testing.assert_array_equal(one.voxels(BOXES)[0] * 3, three.voxels(BOXES)[0])
    check({"one": one, "same": process.open("loud")}, BOXES)
    with pytest.raises(AssertionError, match="three"):
        check({"one": one, "three": three}, BOXES)
    check({"one": one, "three": three}, BOXES, but="three")


def test_a_process_times_the_boxes_of_the_turn(process):
    asked = []
    way = process.open("ramp").way(lambda turn: asked.append(turn) or BOXES)
    assert 0 < way(5) < 60
    assert asked == [5]


def test_a_process_knows_how_much_memory_it_took(process):
    large, small = process.open("large"), process.open("ramp")
    small.growth(BOXES)
    assert 2**26 <= large.growth(BOXES[:1], traced=True) < 1.1 * 2**26
    assert large.growth(BOXES[:1]) > 0.9 * 2**26 > 2**24 > small.growth(BOXES)


def test_a_program_that_is_not_installed_is_named(process):
    with pytest.raises(AbsentError, match="a_program_that_is_not_there"):
        process.open("absent")
    assert process.open("ramp").voxels(BOXES[:1])[0].shape == (2, 3, 4)  # it goes on


def test_what_goes_wrong_is_told(process):
    reading = process.open("wrong")
    with pytest.raises(RuntimeError, match="a fault of its own"):
        reading.voxels(BOXES)
    with pytest.raises(RuntimeError, match="a fault of its own"):
        reading.voxels(BOXES)


def test_versions(process):
    assert process.versions() == {"numpy": np.__version__}


# Data


@pytest.mark.parametrize(("margin", "step"), [(0, 1), (2, 1), (0, 16), (3, 16)])
def test_boxes_are_inside(margin, step):
    boxes = volumes.random_boxes(1, 200, 16, 64, margin=margin, step=step)
    offsets = np.array([box.offset for box in boxes])
    assert offsets.min() >= margin
    assert offsets.max() + 16 <= 64 - margin
    assert (offsets % step == 0).all()
    assert len(np.unique(offsets)) >= 2


def test_groups_have_their_sizes_and_share_nothing():
    labels = np.array([0, 5, 6, 7, 7, 2**40], np.uint64)
    groups = volumes.groups_of(labels, [1, 2, 4])
    ids = [i for group in groups.values() for i in group]
    assert [len(group) for group in groups.values()] == [1, 2, 4]
    assert len(set(ids)) == 7
    assert 0 not in ids
    assert {5, 6, 7, 2**40} < set(ids)


def test_cells_are_labels_of_64_bits():
    labels = volumes.cells(48)
    assert (labels.shape, labels.dtype) == ((48,) * 3, np.uint64)
    assert labels.min() > 0
    assert (labels > 2**32).any()


def test_the_page_is_for_a_full_run(monkeypatch, capsys):
    arguments = textwrap.dedent("python --smoke --page page.md").split()
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit):
        command.main()
    assert "a page is written of a full run" in capsys.readouterr().err
