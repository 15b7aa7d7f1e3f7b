"""`fetch-data --zip` from the command line, against a server of the tests' own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.storage.archive_data import PATH, packed, tree
from tests.storage.range_server import Bucket, RangeServer

FILES = tree(60)
ARCHIVE = packed(FILES)


@pytest.fixture
def run(tmp_path):
    bucket = Bucket()
    bucket.put(PATH, ARCHIVE)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CELLMAP_", "CSC_"))},
        "CELLMAP_TUI_STATE_DIR": str(tmp_path / "state"),
        "CELLMAP_TUI_CONFIG_DIR": str(tmp_path / "config"),
    }
    with RangeServer(bucket) as server:
        words = ["--batch", "--endpoint-url", server.url, "--dest", str(tmp_path / "data")]

        def call(*options):
            command = [sys.executable, "-m", "cellmap_tui", "fetch-data", "--zip", *options, *words]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environ)

        yield call


def test_the_plan_is_printed_and_nothing_is_written(run, tmp_path):
    ran = run("--dry-run")
    assert ran.returncode == 0
    assert "matched_res_no_pad.zip" in ran.stdout
    assert not (tmp_path / "data").exists()
    value = json.loads(run("--dry-run", "--json").stdout.splitlines()[-1])["value"]
    assert (value["archive_bytes"], value["is_exact"], value["fits"]) == (len(ARCHIVE), True, True)


def test_the_archive_is_unpacked_and_the_run_is_listed(run, tmp_path):
    ran = run("--json")
    assert ran.returncode == 0, ran.stderr
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (events[-1]["event"], events[-1]["command"]) == ("result", "fetch-archive")
    assert events[-1]["value"]["written"] == len(FILES)
    assert all((tmp_path / "data" / name).read_bytes() == body for name, body in FILES.items())
    [folder] = (tmp_path / "state" / "runs").iterdir()
    assert "fetch-archive" in folder.name


def test_a_part_of_the_crops_is_no_archive(run):
    ran = run("--crops", "234")
    assert ran.returncode == 2
    assert "--zip and --crops do not go together" in ran.stderr


def test_an_archive_larger_than_allowed_is_refused(run, tmp_path):
    ran = run("--max-bytes", "1k")
    assert ran.returncode == 3
    assert "more than --max-bytes" in ran.stderr
    assert not any(path.is_file() for path in (tmp_path / "data").rglob("*"))
