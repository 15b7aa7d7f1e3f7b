"""Downloading an archive in parts: faults, resumption, a version that changes."""

from __future__ import annotations

import random
import threading
import types

import pytest

from cellmap_tui.errors import CellmapError, MissingDataError, Stopped
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.storage.archive_client import ArchiveChangedError, ArchiveClient
from cellmap_tui.storage.archive_download import ArchiveFile, DownloadOptions, bytes_on_disk, download
from cellmap_tui.storage.bucket import BucketAddress
from tests.s3 import silent_address
from tests.storage.archive_data import KEY, PATH
from tests.storage.range_server import Bucket, RangeServer

PART = 10_000
OPTIONS = DownloadOptions(part_bytes=PART, connections=4, tries=4, pause_s=0.001)
DATA = random.Random(3).randbytes(20 * PART + 123)
SPANS = [(start, min(start + PART, len(DATA))) for start in range(0, len(DATA), PART)]


@pytest.fixture
def bucket():
    made = Bucket()
    made.put(PATH, DATA)
    return made


@pytest.fixture
def client(bucket):
    with RangeServer(bucket) as server:
        made = ArchiveClient(BucketAddress(server.url), OPTIONS.connections)
        yield made
        made.close()


def fetch(client, path, watch=None, options=OPTIONS):
    """Download to `path`; return the outcome."""
    file = ArchiveFile(path, client.head(KEY), options.part_bytes)
    try:
        return download(client, file, options, watch or SilentReporter())
    finally:
        file.close()


class StopAt(SilentReporter):
    """Stops the work at the n-th checkpoint."""

    def __init__(self, checkpoints):
        self.left = checkpoints

    def checkpoint(self):
        self.left -= 1
        if self.left < 0:
            raise Stopped("stopped by a test")


def test_every_part_is_fetched_once_unsigned_and_bound_to_the_version(bucket, client, tmp_path):
    outcome = fetch(client, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert sorted(bucket.ranges) == SPANS
    gets = [request for request in bucket.requests if request.method == "GET"]
    assert all(request.if_match == '"one-1"' and not request.signed for request in gets)
    assert (outcome.fetched_bytes, outcome.kept_bytes, outcome.retries) == (len(DATA), 0, 0)


def test_parts_that_break_off_go_on_at_the_byte_where_they_broke(bucket, client, tmp_path):
    seen = set()

    def fault(request):
        if request.method == "GET" and request.start % PART == 0 and request.start not in seen:
            seen.add(request.start)
            return ("short", 0 if len(seen) % 2 else 100)
        return None

    bucket.fault = fault
    outcome = fetch(client, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert outcome.fetched_bytes == len(DATA)
    assert outcome.retries == len(SPANS)


@pytest.mark.parametrize("fault", [("status", 503), ("status", 500), ("status", 429), ("html", None)])
def test_answers_that_are_no_data_are_asked_for_again(bucket, client, tmp_path, fault):
    def first_twice(request):
        asked = [r for r in bucket.requests if r.stop and r.start == request.start]
        return fault if asked and len(asked) <= 2 else None

    bucket.fault = first_twice
    outcome = fetch(client, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert outcome.retries == 2 * len(SPANS)


def test_a_part_that_fails_again_and_again_ends_the_work_and_keeps_the_rest(bucket, client, tmp_path):
    bad = SPANS[7]
    bucket.fault = lambda request: ("status", 500) if bad[0] <= request.start < bad[1] and request.stop else None
    with pytest.raises(CellmapError, match=r"part 8 of 21 failed 4 times: the server failed \(500"):
        fetch(client, tmp_path / "a.zip")
    bucket.fault = lambda _: None
    bucket.requests.clear()
    outcome = fetch(client, tmp_path / "a.zip")
    assert outcome.is_resumed
    assert outcome.kept_bytes + outcome.fetched_bytes == len(DATA)
    assert bad in bucket.ranges
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_a_download_stopped_at_any_checkpoint_repeats_no_finished_part(bucket, client, tmp_path):
    path = tmp_path / "a.zip"
    stops = 0
    while True:
        try:
            fetch(client, path, StopAt(1))
            break
        except Stopped:
            stops += 1
            here = bytes_on_disk(path, client.head(KEY), PART)
            assert here % PART in {0, len(DATA) % PART}
    assert stops >= len(SPANS) // OPTIONS.connections
    assert path.read_bytes() == DATA
    assert len([span for span in bucket.ranges if span in SPANS]) <= len(SPANS) + stops * OPTIONS.connections


def test_another_version_in_the_bucket_is_noticed_while_parts_are_fetched(bucket, client, tmp_path):
    def change(request):
        if request.number == 8:
            bucket.put(PATH, DATA[::-1], "two-2")

    bucket.before = change
    with pytest.raises(ArchiveChangedError, match="was replaced while it was fetched"):
        fetch(client, tmp_path / "a.zip")


def test_parts_of_another_version_are_thrown_away(bucket, client, tmp_path):
    with pytest.raises(Stopped):
        fetch(client, tmp_path / "a.zip", StopAt(3))
    bucket.put(PATH, DATA[::-1], "two-2")
    bucket.requests.clear()
    outcome = fetch(client, tmp_path / "a.zip")
    assert outcome.kept_bytes == 0
    assert sorted(bucket.ranges) == SPANS
    assert (tmp_path / "a.zip").read_bytes() == DATA[::-1]


def test_a_torn_last_line_of_the_journal_costs_one_part(bucket, client, tmp_path):
    path = tmp_path / "a.zip"
    fetch(client, path)
    journal = path.with_name("a.zip.parts")
    journal.write_bytes(journal.read_bytes()[:-1])
    bucket.requests.clear()
    fetch(client, path)
    assert len(bucket.ranges) == 1
    assert path.read_bytes() == DATA


def test_a_file_that_lost_its_size_is_fetched_anew(bucket, client, tmp_path):
    path = tmp_path / "a.zip"
    fetch(client, path)
    path.write_bytes(DATA[:-1])
    bucket.requests.clear()
    fetch(client, path)
    assert sorted(bucket.ranges) == SPANS
    assert path.read_bytes() == DATA


def test_a_server_that_knows_no_ranges_is_named(bucket, client, tmp_path):
    bucket.fault = lambda _: ("whole", None)
    with pytest.raises(CellmapError, match="answers a range with the whole object"):
        fetch(client, tmp_path / "a.zip")


def test_denied_and_absent_archives_are_said_once(bucket, client, tmp_path):
    bucket.fault = lambda _: ("status", 403)
    with pytest.raises(CellmapError, match="access denied"):
        fetch(client, tmp_path / "a.zip")
    assert len(bucket.requests) == 1
    bucket.objects.clear()
    with pytest.raises(MissingDataError, match="does not exist"):
        fetch(client, tmp_path / "a.zip")


def test_nobody_at_the_address_ends_after_the_patience(client, bucket, tmp_path):
    file = ArchiveFile(tmp_path / "a.zip", client.head(KEY), PART)
    warnings = []

    class Listener(SilentReporter):
        def warning(self, message):
            warnings.append(message)

    options = DownloadOptions(part_bytes=PART, connections=2, pause_s=0.2, patience_s=3.0)
    with silent_address() as address:
        nobody = ArchiveClient(BucketAddress(address), 4)
        with pytest.raises(CellmapError, match="nobody has answered"):
            download(nobody, file, options, Listener())
    assert any("waiting for the network since" in words for words in warnings)
    file.close()
    nobody.close()


def test_a_limit_of_bytes_a_second_is_kept(client, bucket, tmp_path, monkeypatch):
    """The pauses asked for add up to the bytes over the rate; no pause is really made."""
    waited = []

    class Event:
        def __init__(self):
            self.flag = False

        def set(self):
            self.flag = True

        def is_set(self):
            return self.flag

        def wait(self, seconds):
            waited.append(seconds)
            return self.flag

    stand_in = types.SimpleNamespace(Event=Event, Lock=threading.Lock)
    monkeypatch.setattr("cellmap_tui.storage.archive_download.threading", stand_in)
    options = DownloadOptions(part_bytes=PART, connections=1, limit_rate=len(DATA) // 1000)
    fetch(client, tmp_path / "a.zip", options=options)
    assert max(waited) == pytest.approx(1000, abs=50)
