"""A served bucket for the tests of fetching and verifying, behind a proxy that logs and spoils."""

from __future__ import annotations

import pytest

from tests.s3 import serve_s3
from tests.services.fetching import World, make_bucket, write_manifests
from tests.storage.proxy import FaultProxy


@pytest.fixture
def world(tmp_path):
    """Serve a small bucket with its manifests; every test has its own."""
    buckets = tmp_path / "buckets"
    buckets.mkdir()
    source = make_bucket(buckets)
    write_manifests(tmp_path)
    with serve_s3(buckets) as server, FaultProxy(server.url) as proxy:
        yield World(proxy.url, source, tmp_path, proxy)
