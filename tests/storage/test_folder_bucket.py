"""A folder of buckets read in place of a server."""

from __future__ import annotations

import pytest

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.services.settings import load_settings
from cellmap_tui.storage.bucket import BucketAddress, open_bucket
from cellmap_tui.storage.transfer import Transfer, run_transfers
from tests.s3 import fill, serve_s3, tree_hash


@pytest.fixture
def objects(tmp_path):
    keys = ["a/.zgroup", "a/s0/.zarray", *(f"a/s0/{i // 10}/{i % 10}" for i in range(25)), "a.b", "b/1"]
    bodies = {key: b'{"zarr_format": 2}' if "/.z" in key else key.encode() for key in keys}
    (tmp_path / "buckets/one").mkdir(parents=True)
    fill(tmp_path / "buckets/one", bodies)
    return bodies


def folder(tmp_path, bucket="one"):
    return open_bucket(BucketAddress((tmp_path / "buckets").as_uri(), bucket))


async def test_a_folder_lists_what_a_server_over_it_lists(tmp_path, objects):
    mine = folder(tmp_path)
    with serve_s3(tmp_path / "buckets") as server:
        served = open_bucket(BucketAddress(server.url, "one"))
        for prefix in ("", "a/", "a/s0/", "a/s0/1/", "nothing/"):
            here, there = await mine.list_folder(prefix), await served.list_folder(prefix)
            assert [found.key for found in here.objects] == [found.key for found in there.objects]
            assert here.folders == there.folders
            for after in ("", "a/s0/1/3"):
                found, expected = await mine.list_page(prefix, after), await served.list_page(prefix, after)
                assert [(o.key, o.size_bytes) for o in found] == [(o.key, o.size_bytes) for o in expected]


def test_objects_come_from_a_folder_as_from_a_server(tmp_path, objects):
    transfers = [Transfer(key, len(body)) for key, body in objects.items()]
    outcome = run_transfers(folder(tmp_path), transfers, tmp_path / "data")
    assert outcome.is_complete
    assert tree_hash(tmp_path / "data") == tree_hash(tmp_path / "buckets/one")


def test_an_object_that_is_not_there_is_absent(tmp_path, objects):
    outcome = run_transfers(folder(tmp_path), [Transfer("a/s0/9/9")], tmp_path / "data")
    assert (outcome.absent, outcome.failed) == (1, ())


def test_a_bucket_that_is_no_folder_is_refused(tmp_path, objects):
    with pytest.raises(MissingDataError, match="two"):
        folder(tmp_path, "two")
    with pytest.raises(RequestError, match="this machine"):
        open_bucket(BucketAddress("file://elsewhere/buckets", "one"))


def test_the_settings_take_a_folder_as_endpoint(tmp_path):
    environ = {"CELLMAP_TUI_STATE_DIR": str(tmp_path), "CELLMAP_TUI_ENDPOINT_URL": "file:///mnt/mirror"}
    assert load_settings(environ=environ).endpoint_url == "file:///mnt/mirror"
