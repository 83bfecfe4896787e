import asyncio
import contextlib
import re
import subprocess
import sys
import threading

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dacapo_like
from dacapo_like.errors import ConfigError
from dacapo_like.settings import Settings, current, from_environment, parse_bytes, watch
from dacapo_like.settings import _watchers as watchers


@pytest.fixture(autouse=True)
def as_before():
    before = current()
    yield
    dacapo_like.configure(**attrs.asdict(before))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("268435456", 2**28),
        ("12B", 12),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("512MiB", 2**29),
        (" 2 GiB ", 2**31),
        ("1.5GB", 1_500_000_000),
        ("0.5KiB", 512),
        ("1TiB", 2**40),
    ],
)
def test_numbers_of_bytes(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MiB",
        "-1",
        "+1",
        "1e6",
        "1_000",
        "0x10",
        "1,5GB",
        "1.MiB",
        ".5GiB",
        "1 2",
        "12 mib",
        "٣",
    ],
)
def test_what_is_no_number_of_bytes(text):
    with pytest.raises(ConfigError, match=r"number of bytes|unit of memory"):
        parse_bytes(text)


def test_a_unit_that_is_nearly_right_is_named():
    with pytest.raises(ConfigError, match="unknown unit of memory") as error:
        parse_bytes("512Mib")
    assert error.value.hint == "did you mean 'MiB'?"


def test_parts_of_a_byte_are_refused():
    with pytest.raises(ConfigError, match="not a whole number of bytes"):
        parse_bytes("0.3KiB")


@given(st.integers(0, 2**60))
def test_plain_numbers_are_themselves(n):
    assert parse_bytes(str(n)) == n == parse_bytes(f"{n}B")


def test_the_environment_sets_every_setting():
    variables = {
        "DACAPO_LIKE_CACHE_BYTES": "512MiB",
        "DACAPO_LIKE_READS_IN_FLIGHT": "7",
        "DACAPO_LIKE_BYTES_AT_ONCE": "1MiB",
        "DACAPO_LIKE_READ_BYTES": "8GiB",
        "DACAPO_LIKE_REQUESTS_IN_FLIGHT": "5",
        "DACAPO_LIKE_REQUEST_RETRIES": "0",
        "DACAPO_LIKE_REMOTE_SECONDS": "60",
        "DACAPO_LIKE_OPEN_FILES": "12",
        "DACAPO_LIKE_URL_SCHEMES": "https",
        "DACAPO_LIKE_URL_HOSTS": "localhost",
        "PATH": "/bin",
    }
    assert from_environment(variables) == Settings(
        cache_bytes=2**29,
        reads_in_flight=7,
        bytes_at_once=2**20,
        read_bytes=2**33,
        requests_in_flight=5,
        request_retries=0,
        remote_seconds=60,
        open_files=12,
        url_schemes=("https",),
        url_hosts=("localhost",),
    )
    assert {f"DACAPO_LIKE_{field.name.upper()}" for field in attrs.fields(Settings)} < set(
        variables
    )


def test_what_is_not_set_or_empty_is_the_default():
    assert from_environment({"DACAPO_LIKE_CACHE_BYTES": ""}) == from_environment({}) == Settings()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"DACAPO_LIKE_CACHE_BYTES": "much"},
            "not a number of bytes (got 'much'; expected a number",
        ),
        ({"DACAPO_LIKE_READS_IN_FLIGHT": "4.0"}, "not a whole number (got '4.0'"),
        ({"DACAPO_LIKE_READS_IN_FLIGHT": "0"}, "(got 0; expected a whole number, at least 1)"),
    ],
)
def test_a_variable_that_is_wrong_is_named(variables, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        from_environment(variables)
    assert error.value.where == f"environment variable {next(iter(variables))}"


def test_a_process_takes_its_settings_from_its_environment(monkeypatch):
    monkeypatch.setenv("DACAPO_LIKE_CACHE_BYTES", "3MiB")
    code = "import dacapo_like; print(dacapo_like.settings.current().cache_bytes)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == 3 * 2**20


def test_to_import_reads_no_variable(monkeypatch):
    """What is wrong in the environment is said where a setting is needed, with a traceback that tells who needs it."""
    monkeypatch.setenv("DACAPO_LIKE_CACHE_BYTES", "much")
    code = "import dacapo_like\ntry:\n dacapo_like.settings.current()\nexcept dacapo_like.DacapoLikeError as e: print(e)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("environment variable DACAPO_LIKE_CACHE_BYTES: not a number")


def test_a_process_is_configured_one_setting_at_a_time():
    before = current()
    assert dacapo_like.configure(cache_bytes="1MiB").cache_bytes == 2**20
    assert dacapo_like.configure(reads_in_flight=9) == attrs.evolve(
        before, cache_bytes=2**20, reads_in_flight=9
    )
    assert current().reads_in_flight == 9


@pytest.mark.parametrize(
    "change", [dacapo_like.configure, lambda **c: dacapo_like.using(**c).__enter__()]
)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cache_byte": 1}, "no such setting"),
        ({"cache_bytes": -1}, "`cache_bytes` is not a number that it can be"),
        ({"cache_bytes": 1.5}, "at least 0"),
        ({"cache_bytes": True}, "got True"),
        ({"cache_bytes": "lots"}, "not a number of bytes"),
        ({"reads_in_flight": 0}, "at least 1"),
        ({"bytes_at_once": None}, "got None"),
    ],
)
def test_wrong_changes_change_nothing(change, changes, message):
    before = current()
    with pytest.raises(ConfigError, match=message):
        change(**changes)
    assert current() == before


def test_a_mistyped_setting_is_guessed():
    with pytest.raises(ConfigError) as error:
        dacapo_like.configure(cache_byte=1)
    assert error.value.hint == "did you mean 'cache_bytes'?"


def test_blocks_nest_and_end():
    outer = current()
    with dacapo_like.using(cache_bytes=1) as settings:
        assert settings == current() == attrs.evolve(outer, cache_bytes=1)
        with contextlib.suppress(KeyError), dacapo_like.using(cache_bytes=2, reads_in_flight=1):
            assert current() == attrs.evolve(outer, cache_bytes=2, reads_in_flight=1)
            raise KeyError
        assert current().cache_bytes == 1
        dacapo_like.configure(cache_bytes=5)
        assert current().cache_bytes == 1
    assert current() == attrs.evolve(outer, cache_bytes=5)


def test_a_block_is_of_its_thread_alone():
    outer, seen = current(), []
    with dacapo_like.using(cache_bytes=1):
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert seen == [outer]


def test_a_block_is_of_its_task_alone():
    async def inside(cache_bytes, turn, other):
        with dacapo_like.using(cache_bytes=cache_bytes):
            turn.set()
            await other.wait()
            return current().cache_bytes

    async def both():
        one, two = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(inside(1, one, two), inside(2, two, one))

    assert asyncio.run(both()) == [1, 2]


def test_who_watches_is_told_what_holds_now():
    told = []
    tell = told.append
    watch(tell)
    try:
        dacapo_like.configure(cache_bytes=7)
        with dacapo_like.using(cache_bytes=8):
            assert len(told) == 1
        assert [settings.cache_bytes for settings in told] == [7, 7]
    finally:
        watchers.remove(tell)


def test_the_command_line_sets_them():
    from click.testing import CliRunner

    from dacapo_like.cli import main

    command = ["--setting", "read_bytes=3GiB", "--setting", "open_files=7", "schema", "--help"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert (current().read_bytes, current().open_files) == (3 * 2**30, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("read_byte=1", "did you mean 'read_bytes'"),
        ("read_bytes", "NAME=VALUE"),
        ("read_bytes=much", "setting read_bytes: not a number of bytes"),
        ("open_files=0", "at least 1"),
    ],
)
def test_what_the_command_line_cannot_set(text, message):
    from click.testing import CliRunner

    from dacapo_like.cli import main

    done = CliRunner().invoke(main, ["--setting", text, "list", "nothing.yaml"])
    assert done.exit_code == 1
    assert message in done.output
