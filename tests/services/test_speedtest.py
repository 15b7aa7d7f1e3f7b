"""Measuring a bucket's throughput, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cellmap_tui.errors import CellmapError, MissingDataError, RequestError, Stopped
from cellmap_tui.services.fetch_rate import read_rate
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.speedtest import SpeedPoint, SpeedtestRequest, _enough, _suggestion, speedtest
from tests.s3 import serve_s3, silent_address

BUCKET = "speed-test"
LEVEL = "jrc_cos7-1a/jrc_cos7-1a.zarr/recon-1/em/fibsem-uint8/s2"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve_s3(tmp_path_factory.mktemp("buckets")) as entered:
        chunks = {f"{LEVEL}/{z}/{y}/{x}": bytes([z]) * 4000 for z in range(3) for y in range(9) for x in range(9)}
        entered.make_bucket(BUCKET, {**chunks, f"{LEVEL}/.zarray": b"{}", "notes.txt": b"hello"})
        entered.make_bucket("another-dataset", {f"mine/mine.zarr/{n}": b"x" * 500 for n in range(5)})
        entered.make_bucket("without-chunks", {"notes.txt": b"hello"})
        yield entered


class Told(SilentReporter):
    def __init__(self, stop_at=0):
        self.notes = []
        self.most = 0
        self.left = stop_at

    def note(self, message):
        self.notes.append(message)

    def progress(self, done, total, unit):
        self.most = max(self.most, done)

    def checkpoint(self):
        self.left -= 1
        if self.left == 0:
            raise Stopped("stopped by a test")


def asked(server, **options):
    values = {"endpoint_url": server.url, "bucket": BUCKET, "seconds": 0.3, "max_bytes": 3_000_000}
    return SpeedtestRequest(**{**values, **options})


def point(width, objects_per_s):
    return SpeedPoint(width, 100, 10**6, 1.0, objects_per_s, 10**6, 0.05, 0.06, 0)


def test_every_width_is_measured_within_the_bytes_that_were_shown_first(server, tmp_path):
    told = Told()
    result = speedtest(asked(server, widths=(2, 8), state_dir=tmp_path), told)
    assert "at most 3.0 M" in told.notes[0]
    assert [p.width for p in result.points] == [2, 8]
    for measured in result.points:
        assert measured.objects > 0
        assert measured.bytes == measured.objects * 4000
        assert 0 < measured.latency_p50_s <= measured.latency_p95_s
        assert measured.failures == 0
    assert 4000 * sum(p.objects for p in result.points) <= result.total_bytes <= 3_000_000
    assert told.most == result.total_bytes
    assert result.sample_objects == 81
    assert result.mean_bytes == 4000
    assert f"--num-workers {result.best_width}" in result.suggestion or "256" in result.suggestion


def test_the_rate_is_remembered_for_the_estimates_of_fetches(server, tmp_path):
    result = speedtest(asked(server, widths=(8,), seconds=1.2, max_bytes=10**9, state_dir=tmp_path), Told())
    rate = read_rate(tmp_path, result.address)
    assert rate is not None
    assert rate.objects_per_s == pytest.approx(result.best.objects_per_s, rel=0.05)


def test_a_bucket_with_another_dataset_is_measured_with_that(server):
    result = speedtest(asked(server, bucket="another-dataset", widths=(2,), max_bytes=1_000_000), Told())
    assert result.sample.startswith("mine/")
    assert result.points[0].objects > 0


def test_a_bucket_without_chunks_is_said(server):
    with pytest.raises(MissingDataError, match="has no chunk to measure with"):
        speedtest(asked(server, bucket="without-chunks"), Told())


def test_a_bucket_that_is_not_there_is_said(server):
    with pytest.raises(CellmapError, match=r"no-such-bucket .*NoSuchBucket"):
        speedtest(asked(server, bucket="no-such-bucket"), Told())


def test_an_address_where_nobody_answers_is_said_with_what_to_check(server):
    with (
        silent_address() as address,
        pytest.raises(CellmapError, match="cannot be read: no connection") as caught,
    ):
        speedtest(asked(server, endpoint_url=address), Told())
    assert "proxy settings" in caught.value.remedy


def test_a_stop_ends_the_measurement(server):
    with pytest.raises(Stopped):
        speedtest(asked(server, max_bytes=10**9), Told(stop_at=2))


@pytest.mark.parametrize(
    "options", [{"widths": ()}, {"widths": (0,)}, {"seconds": 0.0}, {"seconds": float("nan")}, {"max_bytes": 10}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(RequestError):
        SpeedtestRequest(**options)


def test_the_smallest_width_that_is_nearly_the_best_is_suggested():
    points = [point(8, 100.0), point(32, 390.0), point(128, 400.0)]
    assert _enough(points) == 32
    assert _suggestion(points, 32).startswith("--num-workers 32:")


def test_where_more_requests_still_help_much_a_wider_width_is_suggested():
    points = [point(8, 100.0), point(32, 400.0), point(128, 1500.0)]
    assert _suggestion(points, _enough(points)).startswith("--num-workers 256:")


def test_the_command_answers_in_json_and_in_words(server, tmp_path):
    words = ["--endpoint-url", server.url, "--bucket", BUCKET, "--runs-root", str(tmp_path), "--batch"]
    command = [sys.executable, "-m", "cellmap_tui", "speedtest", "--widths", "4", "--seconds", "0.2", *words]
    environ = {"CELLMAP_TUI_STATE_DIR": str(tmp_path / "state"), "CELLMAP_TUI_CONFIG_DIR": str(tmp_path / "config")}
    ran = subprocess.run([*command, "--json"], capture_output=True, check=True, timeout=600, env=environ)
    last = json.loads(ran.stdout.splitlines()[-1])
    assert (last["event"], last["command"]) == ("result", "speedtest")
    assert last["value"]["points"][0]["width"] == 4
    people = subprocess.run(command, capture_output=True, check=True, timeout=600, env=environ, text=True).stdout
    assert "in flight" in people
    assert "--num-workers" in people
