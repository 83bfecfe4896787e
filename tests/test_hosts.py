"""Which servers are asked: addresses in every spelling, names that lead to them, schemes, hosts, redirects."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dacapo_like
from dacapo_like.errors import ConfigError, DacapoLikeError, SourceError
from dacapo_like.hosts import check_server, forbidden, same_server
from dacapo_like.settings import from_environment

KEY = ("file_name",)


def refused(host: str, scheme: str = "http", **options) -> SourceError:
    with pytest.raises(SourceError) as error:
        check_server(scheme, host, key=KEY, **options)
    assert error.value.code == "DL202"
    assert error.value.key == KEY
    return error.value


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%lo", "febf::1", "fd00:ec2::254", "fd20:ce::254"),
        *("100.100.100.200", "168.63.129.16", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255"),
        *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    ],
)  # fmt: skip
def test_addresses_that_are_never_asked(host):
    refused(host)


@pytest.mark.parametrize(
    "host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "169.254.169.254."]
)
def test_other_spellings_of_an_address(host):
    """A C library takes them all for 169.254.169.254, and so does curl."""
    refused(host)


@pytest.mark.parametrize(
    "host",
    [
        "metadata.google.internal",
        "METADATA.google.internal.",
        "metadata",
        "exämple.org",
        "①.example",
    ],
)
def test_names_that_are_never_asked(host):
    refused(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "10.1.2.3", "192.168.0.7", "fd12::7", "8.8.8.8"])  # fmt: skip
def test_this_machine_and_private_networks_are_asked(host):
    check_server("http", host, 8000, key=KEY)


@given(st.ip_addresses())
def test_an_address_is_judged_alike_as_what_it_maps_to(address):
    mapped = f"::ffff:{address}" if isinstance(address, ipaddress.IPv4Address) else str(address)
    assert forbidden(mapped) == forbidden(str(address))
    if address.is_link_local:
        assert forbidden(str(address))


def test_a_name_is_refused_for_any_of_its_addresses(monkeypatch):
    """The only thing that is made up here is what DNS says."""

    def answers(*addresses):
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    answers("93.184.216.34", "169.254.169.254")
    assert "a link-local address" in str(refused("innocent.example"))
    answers("93.184.216.34", "10.0.0.1")
    check_server("http", "innocent.example", key=KEY)


def test_a_name_that_nobody_knows_is_left_to_who_connects():
    check_server("https", "no-such-host.invalid", key=KEY)


def test_settings_say_which_schemes_and_hosts_there_are():
    with dacapo_like.using(url_schemes="https, s3", url_hosts=["*.example.org", "localhost"]):
        assert "https://, s3://" in refused("localhost", "http").expected
        check_server("https", "a.b.example.org", key=KEY, resolve=False)
        check_server("https", "LOCALHOST", key=KEY)
        for other in ("example.org", "example.org.evil.example", "evilexample.org", "127.0.0.1"):
            assert "url_hosts" in refused(other, "https").hint
    with dacapo_like.using(url_schemes=()):
        assert refused("localhost").expected == "files only"
    with dacapo_like.using(url_hosts="169.254.169.254"):  # no setting allows it
        refused("169.254.169.254")


def test_the_environment_says_it_too():
    found = from_environment({"DACAPO_LIKE_URL_SCHEMES": "https", "DACAPO_LIKE_URL_HOSTS": "a, b"})
    assert (found.url_schemes, found.url_hosts) == (("https",), ("a", "b"))
    assert from_environment({"DACAPO_LIKE_URL_SCHEMES": ","}).url_schemes == ()
    for value in ("ftp", "HTTPS"):
        with pytest.raises(ConfigError, match="not a kind of URL"):
            from_environment({"DACAPO_LIKE_URL_SCHEMES": value})
    with pytest.raises(ConfigError, match="not a list of words"):
        dacapo_like.configure(url_hosts=[1])


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("http://a/x", "http://a:80/y", True),
        ("http://a/x", "https://a/y", True),
        ("http://a:8000/x", "https://a:8443/y", False),
        ("https://a/x", "http://a/y", False),
        ("https://a/x", "https://a:444/y", False),
        ("https://a/x", "https://b/y", False),
        ("https://a/x", "https://a.b/y", False),
        ("https://a/x", "https://a@b/y", False),
        ("https://a/x", "ftp://a/y", False),
        ("https://a/x", "file:///etc/passwd", False),
    ],
)
def test_where_a_redirect_may_lead(old, new, same):
    assert same_server(old, new) is same


@pytest.mark.parametrize(
    "document",
    [
        {"type": "zarr", "file_name": "http://169.254.169.254/latest/meta-data"},
        {"type": "zarr", "file_name": "https://[fe80::1]/a.zarr.zip"},
        {"type": "n5", "file_name": "http://[::ffff:169.254.169.254]/a.n5"},
        {"type": "precomputed", "file_name": "http://metadata.google.internal/a"},
        {"type": "zarr", "file_name": "s3://a/b", "storage_options": {"endpoint_url": "http://169.254.169.254"}},
        {"type": "dvid", "source": ["http://169.254.169.254", "a89e", "em"]},
    ],
)  # fmt: skip
def test_no_document_leads_there(document):
    (problem,) = dacapo_like.verify(document)
    assert problem.code == "DL202"
    assert problem.key in {"file_name", "source[0]", "storage_options.endpoint_url"}


@pytest.mark.parametrize("kind", ["zarr", "n5", "precomputed", "nifti", "hdf5", "tiff", "imaris", "npy", "czi"])  # fmt: skip
def test_a_password_in_a_url_is_repeated_nowhere(kind, caplog, capsys):
    document = {"type": kind, "file_name": "https://me:hunter2@example.org/a.nii"}
    (problem,) = dacapo_like.verify(document)
    assert problem.key == "file_name"
    with pytest.raises(DacapoLikeError) as error:
        dacapo_like.open_array(document)
    said = f"{problem} {error.value} {caplog.text} {capsys.readouterr()}"
    assert "hunter2" not in said


def test_the_address_of_a_server_of_buckets_has_no_password():
    options = {"endpoint_url": "http://me:hunter2@localhost:1"}
    (problem,) = dacapo_like.verify({"type": "zarr", "file_name": "s3://a/b", "storage_options": options})  # fmt: skip
    assert problem.key == "storage_options.endpoint_url"
    assert "hunter2" not in str(problem)
