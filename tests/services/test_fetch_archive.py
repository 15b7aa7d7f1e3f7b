"""Fetching a published archive: plan, download, checks, unpacking, and going on after any end."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile

import pytest

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RefusedError, RequestError, Stopped
from cellmap_tui.services import fetch_archive as module
from cellmap_tui.services.demo import DemoRequest, demo
from cellmap_tui.services.fetch import fetch
from cellmap_tui.services.fetch_archive import (
    FetchArchiveRequest,
    archive_request,
    fetch_archive,
    plan_fetch_archive,
)
from cellmap_tui.services.fetch_model import FetchRequest
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.settings import BUCKET
from cellmap_tui.storage.archive_place import ArchivePlace
from tests.s3 import serve_s3
from tests.storage.archive_data import LINK, PATH, packed, tree, with_member
from tests.storage.range_server import Bucket, RangeServer

PART = 1 << 14
FILES = tree()
ARCHIVE = packed(FILES, "data", extras={"README.md": b"hello"})
PARTS = -(-len(ARCHIVE) // PART)


@pytest.fixture
def bucket():
    made = Bucket()
    made.put(PATH, ARCHIVE)
    return made


@pytest.fixture
def server(bucket):
    with RangeServer(bucket) as entered:
        yield entered


@pytest.fixture
def request_of(server, tmp_path):
    def build(**options):
        values = {"data_root": tmp_path / "root", "endpoint_url": server.url, "part_bytes": PART, "num_workers": 4}
        return FetchArchiveRequest(**{**values, **options})

    return build


class Told(SilentReporter):
    """Keeps what was said; stops at the n-th checkpoint if asked to."""

    def __init__(self, stop_at: int = 0):
        self.warnings = []
        self.notes = []
        self.totals = set()
        self.left = stop_at

    def warning(self, message):
        self.warnings.append(message)

    def note(self, message):
        self.notes.append(message)

    def progress(self, done, total, unit):
        assert 0 <= done <= total
        assert unit == "bytes"
        self.totals.add(total)

    def checkpoint(self):
        self.left -= 1
        if self.left == 0:
            raise Stopped("stopped by a test")


def parts_asked(bucket):
    """Return the requests that asked for a whole part, among those that read the directory."""
    ends = {len(ARCHIVE), *range(PART, len(ARCHIVE), PART)}
    return [r for r in bucket.requests if r.stop in ends and r.start % PART == 0 and r.stop - r.start <= PART]


def files_below(root, *, hidden=False, with_groups=False):
    """Return every file below a data root but the tool's own and, unless wanted, the groups that it adds."""
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {
        name: body
        for name, body in found.items()
        if hidden or not name.startswith(".cellmap-tui/")
        if hidden or with_groups or not name.endswith(".zgroup")
    }


def test_an_archive_becomes_the_tree_and_leaves_nothing_else(request_of, bucket):
    told = Told()
    result = fetch_archive(request_of(), told)
    root = request_of().data_root
    assert files_below(root) == FILES
    assert (result.files, result.written, result.left_out) == (len(FILES), len(FILES), 1)
    assert result.fetched_bytes == result.archive_bytes == len(ARCHIVE)
    assert result.datasets == ("jrc_test-0", "jrc_test-1")
    assert told.totals == {len(ARCHIVE), result.unpacked_bytes}
    own = [path.name for path in (root / ".cellmap-tui" / "archives").iterdir()]
    assert own == ["matched_res_no_pad.json"]
    assert not any(request.signed for request in bucket.requests)


def test_every_folder_down_to_the_arrays_is_a_zarr_group(request_of):
    fetch_archive(request_of(), Told())
    store = request_of().data_root / "jrc_test-0" / "jrc_test-0.zarr"
    for folder in (
        ".",
        "recon-1",
        "recon-1/labels",
        "recon-1/labels/groundtruth",
        "recon-1/labels/groundtruth/crop0",
    ):
        assert json.loads((store / folder / ".zgroup").read_bytes()) == {"zarr_format": 2}


def test_the_plan_says_sizes_and_reads_only_the_directory(request_of, bucket):
    plan = plan_fetch_archive(request_of())
    assert plan.archive_bytes == len(ARCHIVE)
    assert plan.is_exact
    assert plan.unpacked_bytes == sum(map(len, FILES.values())) + len(b"hello")
    assert plan.fits
    assert not request_of().data_root.exists()
    assert sum(request.stop - request.start for request in bucket.requests) < len(ARCHIVE) / 2


def test_a_second_run_asks_for_the_version_and_nothing_else(request_of, bucket):
    fetch_archive(request_of(), Told())
    bucket.requests.clear()
    result = fetch_archive(request_of(), Told())
    assert result.was_unpacked
    assert [request.method for request in bucket.requests] == ["HEAD"]


def test_overwrite_fetches_and_unpacks_again(request_of):
    fetch_archive(request_of(), Told())
    victim = request_of().data_root / next(iter(FILES))
    victim.write_bytes(b"spoiled")
    result = fetch_archive(request_of(access_mode="overwrite"), Told())
    assert (result.was_unpacked, result.written) == (False, len(FILES))
    assert files_below(request_of().data_root) == FILES


def test_a_new_version_in_the_bucket_is_fetched_and_unpacked(request_of, bucket):
    fetch_archive(request_of(), Told())
    newer = tree(seed=9)
    bucket.put(PATH, packed(newer), "two-2")
    result = fetch_archive(request_of(), Told())
    assert (result.etag, result.was_unpacked) == ("two-2", False)
    assert files_below(request_of().data_root) == newer


def test_a_version_that_changes_while_it_is_fetched_is_begun_again(request_of, bucket):
    newer = tree(seed=9)

    def change(request):
        if request.number == 9:
            bucket.put(PATH, packed(newer), "two-2")

    bucket.before = change
    told = Told()
    result = fetch_archive(request_of(), told)
    assert result.etag == "two-2"
    assert any("beginning again with the new version" in words for words in told.warnings)
    assert files_below(request_of().data_root) == newer


def test_stopped_at_every_checkpoint_in_turn_it_ends_with_the_same_tree(request_of, bucket):
    """The stop wanders through download, check and unpacking; each call goes on where the last one ended."""
    stops = 0
    for stop_at in range(2, 200):
        try:
            fetch_archive(request_of(), Told(stop_at))
            break
        except Stopped:
            stops += 1
    assert stops > 3
    assert files_below(request_of().data_root) == FILES
    parts = -(-len(ARCHIVE) // PART)
    whole = [
        r for r in bucket.requests if r.start % PART == 0 and r.stop in {r.start + PART, len(ARCHIVE)} and r.stop
    ]
    assert len(whole) <= parts + stops * 4


@pytest.mark.slow
def test_killed_at_any_point_it_ends_with_the_same_tree(request_of, server, bucket):
    root = request_of().data_root
    kills = 0
    for words in [1, 2, 3, 4, 2, 3, 4, 5, 6, 3, 5, 7, 9, 11, 8, 10, 12, *[1000] * 2]:
        command = [sys.executable, "-m", "tests.services.archive_job", server.url, str(root), str(words)]
        code = subprocess.run(command, check=False, timeout=600).returncode
        assert code in {0, -9}
        for name, body in files_below(root).items():
            if not name.endswith(".unpacking"):
                assert body == FILES[name]
        kills += code == -9
    assert kills > 8
    assert files_below(root) == FILES
    parts = -(-len(ARCHIVE) // PART)
    whole = [
        r for r in bucket.requests if r.start % PART == 0 and r.stop in {r.start + PART, len(ARCHIVE)} and r.stop
    ]
    assert len(whole) <= parts + kills * 4


def test_bytes_that_arrive_wrong_are_found_by_their_checksum_and_fetched_again(request_of, bucket):
    spots = [PART // 2, len(ARCHIVE) // 2]
    pending = set(spots)

    def corrupt(request):
        hit = {spot for spot in pending if request.start <= spot < request.stop and request.start % PART == 0}
        pending.difference_update(hit)
        return ("corrupt", hit.pop()) if hit else None

    bucket.fault = corrupt
    told = Told()
    result = fetch_archive(request_of(), told)
    assert result.repaired == len(spots)
    assert any("damaged members: fetching 2 parts again" in words for words in told.warnings)
    assert files_below(request_of().data_root) == FILES


def test_a_directory_that_arrives_wrong_is_fetched_again(request_of, bucket):
    spot = ARCHIVE.rfind(b"PK\1\2")
    seen = []

    def corrupt(request):
        if request.start % PART == 0 and request.start <= spot < request.stop and not seen:
            seen.append(request)
            return ("corrupt", spot)
        return None

    bucket.fault = corrupt
    fetch_archive(request_of(), Told())
    assert seen
    assert files_below(request_of().data_root) == FILES


def test_bytes_that_stay_wrong_are_named_and_never_written(request_of, bucket):
    spot = ARCHIVE.find(next(body for body in list(FILES.values())[3::3] if len(body) > 500 and any(body)))
    name = max(
        (info for info in zipfile.ZipFile(io.BytesIO(ARCHIVE)).infolist() if info.header_offset <= spot),
        key=lambda info: info.header_offset,
    ).filename
    bucket.fault = lambda request: ("corrupt", spot)
    with pytest.raises(DataError, match="do not agree with its directory, also when fetched again") as caught:
        fetch_archive(request_of(), Told())
    assert name in caught.value.message
    below = files_below(request_of().data_root)
    assert set(FILES) - set(below) == {name.removeprefix("data/")}
    assert all(FILES[path] == body for path, body in below.items())


@pytest.mark.parametrize(
    "evil",
    [
        with_member("../../evil"),
        with_member("/tmp/evil"),
        with_member("jrc_a/jrc_a.zarr/s0/1", mode=LINK),
        with_member("jrc_a/jrc_a.zarr/s0/1", flags=1),
    ],
    ids=["outside", "absolute", "link", "encrypted"],  # the bytes hold the time and would differ between workers
)
def test_an_evil_archive_writes_nothing_and_is_not_kept(request_of, bucket, evil, tmp_path):
    bucket.put(PATH, evil)
    with pytest.raises(DataError, match="the archive is not unpacked"):
        fetch_archive(request_of(), Told())
    assert files_below(tmp_path, hidden=True) == {}


def test_a_member_that_unpacks_to_more_than_it_says_is_not_written(request_of, bucket):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("jrc_a/jrc_a.zarr/s0/1", bytes(3_000_000))
        archive.filelist[0].file_size = 10
    bucket.put(PATH, memory.getvalue())
    with pytest.raises(DataError, match="do not agree"):
        fetch_archive(request_of(), Told())
    assert files_below(request_of().data_root) == {}


def test_something_that_is_no_archive_is_said(request_of, bucket):
    bucket.put(PATH, b"<html>moved</html>")
    with pytest.raises(DataError, match="not a usable zip archive"):
        fetch_archive(request_of(), Told())


def test_too_little_disk_is_refused_before_a_part_is_fetched(request_of, bucket, monkeypatch):
    monkeypatch.setattr(module, "_free_bytes", lambda _: len(ARCHIVE))
    assert not plan_fetch_archive(request_of()).fits
    bucket.requests.clear()
    with pytest.raises(RefusedError, match="are needed") as caught:
        fetch_archive(request_of(), Told())
    assert "--ignore-disk" in caught.value.remedy
    assert sum(request.stop - request.start for request in bucket.requests) < len(ARCHIVE) / 2
    fetch_archive(request_of(ignore_disk=True), Told())
    assert files_below(request_of().data_root) == FILES


def test_a_larger_archive_than_allowed_is_refused(request_of):
    with pytest.raises(RefusedError, match="more than --max-bytes"):
        fetch_archive(request_of(max_bytes=1000), Told())


def test_a_full_disk_stops_and_the_rest_is_fetched_later(request_of, monkeypatch, bucket):
    from cellmap_tui.storage.archive_download import ArchiveFile

    write = ArchiveFile.write
    written = []

    def until_full(self, data, at):
        written.append(data)
        if len(written) > 5:
            raise OSError(28, "No space left on device")
        write(self, data, at)

    monkeypatch.setattr(ArchiveFile, "write", until_full)
    with pytest.raises(OSError, match="No space left"):
        fetch_archive(request_of(), Told())
    assert files_below(request_of().data_root) == {}
    monkeypatch.setattr(ArchiveFile, "write", write)
    assert fetch_archive(request_of(), Told()).kept_bytes > 0
    assert files_below(request_of().data_root) == FILES


def test_a_second_process_is_sent_away(request_of):
    place = ArchivePlace(request_of().data_root, "matched_res_no_pad")
    place.folder.mkdir(parents=True)
    hold = f"from pathlib import Path; from cellmap_tui.storage.held import hold; hold(Path({str(place.lock)!r}))"
    with subprocess.Popen(
        [sys.executable, "-c", f"{hold}; print('held', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RefusedError, match="another process is fetching"):
            fetch_archive(request_of(), Told())
        other.communicate(b"\n")
    assert fetch_archive(request_of(), Told()).written == len(FILES)


def test_the_archive_can_be_kept(request_of):
    fetch_archive(request_of(keep_archive=True), Told())
    kept = request_of().data_root / ".cellmap-tui" / "archives" / "matched_res_no_pad.zip"
    assert kept.read_bytes() == ARCHIVE


def test_an_archive_that_the_bucket_lacks_is_said(request_of):
    with pytest.raises(MissingDataError, match=r"all_res_no_pad\.zip"):
        plan_fetch_archive(request_of(fetch_all_em_resolutions=True))


def test_an_address_where_nobody_answers_is_said(tmp_path, bucket, monkeypatch):
    monkeypatch.setattr("cellmap_tui.storage.archive_estimate.time.sleep", lambda _: None)
    with RangeServer(bucket) as gone:
        url = gone.url
    with pytest.raises(CellmapError, match="the bucket cannot be read"):
        plan_fetch_archive(FetchArchiveRequest(tmp_path, endpoint_url=url))


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"crops": "234"}, "--crops"),
        ({"classes": ("mito",)}, "--classes"),
        ({"levels": ("s1",)}, "--levels"),
        ({"raw_padding_nm": 100.0}, "--raw-padding-nm"),
        ({"manifest": "mine.csv"}, "--manifest"),
    ],
)
def test_options_that_ask_for_a_part_do_not_go_with_an_archive(tmp_path, options, flag):
    with pytest.raises(RequestError, match=f"--zip and {flag} do not go together"):
        archive_request(FetchRequest(tmp_path, **options))


def test_a_padding_without_an_archive_names_those_that_have_one(tmp_path):
    with pytest.raises(RequestError, match="no archive was published with 64 voxels") as caught:
        archive_request(FetchRequest(tmp_path, raw_padding=64))
    assert "--raw-padding 0 or 128" in caught.value.remedy


def test_the_options_of_fetch_data_choose_the_archive(tmp_path):
    request = archive_request(FetchRequest(tmp_path, raw_padding=128, fetch_all_em_resolutions=True))
    assert request.archive.name == "all_res_128_pad"
    assert from_json(to_json(request), FetchArchiveRequest, source="test") == request


@pytest.mark.slow
def test_an_archive_of_the_bucket_becomes_the_tree_that_fetching_its_objects_makes(request_of, bucket, tmp_path):
    made = demo(
        DemoRequest(tmp_path / "demo", size="tiny", make_only=True, user_data_root=tmp_path / "mine"),
        SilentReporter(),
    )
    fetched = tmp_path / "fetched"
    with serve_s3(made.bucket_root) as objects:
        fetch(
            FetchRequest(
                fetched,
                endpoint_url=objects.url,
                manifest=str(made.manifest),
                train_manifest=str(made.train_manifest),
                test_manifest=str(made.test_manifest),
            ),
            SilentReporter(),
        )
    tree_of_objects = files_below(fetched, with_groups=True)
    in_bucket = {name: body for name, body in tree_of_objects.items() if (made.bucket_root / BUCKET / name).is_file()}
    bucket.put(PATH, packed(in_bucket, "csc"))
    fetch_archive(request_of(), Told())
    assert files_below(request_of().data_root, with_groups=True) == tree_of_objects
