"""Certificates of one's own, proxies of the network, and addresses in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellmap_tui.errors import CellmapError
from cellmap_tui.storage.bucket import BucketAddress, open_bucket
from cellmap_tui.storage.listing import list_prefixes
from tests.s3 import fill, serve_s3

FIXTURES = Path(__file__).parent / "fixtures"
AUTHORITY, CERTIFICATE = FIXTURES / "authority.pem", FIXTURES / "loopback-cert.pem"
CA_NAMES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
PROXY_NAMES = (
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
)


@pytest.fixture(autouse=True)
def plain_network(monkeypatch):
    """Nothing of the machine's own network in the tests."""
    for name in (*CA_NAMES, *PROXY_NAMES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory):
    """Serve over HTTPS with a certificate that nobody knows."""
    root = tmp_path_factory.mktemp("tls")
    fill(root / "b", {"a/0": b"1"})
    key = FIXTURES / "loopback-key.pem"
    with serve_s3(root, "--cert", str(CERTIFICATE), "--key", str(key)) as server:
        yield server


@pytest.mark.parametrize("name", CA_NAMES)
def test_a_certificate_of_ones_own_is_taken_from_the_environment(tls_server, monkeypatch, name):
    monkeypatch.setenv(name, str(AUTHORITY))
    bucket = open_bucket(BucketAddress(tls_server.url, "b"))
    assert len(list_prefixes(bucket, ["a"], patience_s=5)["a"]) == 1


def test_a_certificate_that_nobody_knows_ends_it_at_once_and_is_named(tls_server):
    bucket = open_bucket(BucketAddress(tls_server.url, "b"))
    with pytest.raises(CellmapError, match=r"certificate is not trusted; .*AWS_CA_BUNDLE"):
        list_prefixes(bucket, ["a"], patience_s=5)


def test_a_proxy_of_the_network_is_used(proxy, s3_server, bucket_name, monkeypatch):
    fill(s3_server.root / bucket_name, {"a/0": b"1"})
    monkeypatch.setenv("http_proxy", proxy.url)
    bucket = open_bucket(BucketAddress("http://bucket.invalid", bucket_name))
    assert len(list_prefixes(bucket, ["a"], patience_s=5)["a"]) == 1
    assert proxy.log[0].headers["host"] == "bucket.invalid"


def test_an_address_says_its_bucket_and_its_server():
    assert str(BucketAddress("", "b")) == "s3://b"
    assert str(BucketAddress("http://h:1", "b")) == "s3://b at http://h:1"
