"""Fetching against a real server, spoiled and interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from cellmap_tui.challenge.catalog import load_catalog
from cellmap_tui.challenge.layout import local_share
from cellmap_tui.errors import RefusedError, Stopped
from cellmap_tui.services.fetch import fetch
from cellmap_tui.services.fetch_state import read_plan, read_state, state_folders
from cellmap_tui.services.fetch_words import result_lines
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.ngff import open_multiscale
from tests.s3 import tree_hash
from tests.services.fetching import EM, TRUTH, Told
from tests.storage.proxy import Noise, status


def run(world, crops="1,2", report=None, **options):
    return fetch(world.request(crops, **options), report or SilentReporter())


def test_a_fetch_ends_with_the_buckets_bytes_and_says_so(world):
    told = Told()
    result = run(world, report=told)
    assert result.exit_code == 0
    assert {crop.state for crop in result.crops} == {"complete"}
    assert world.same_bytes()
    assert [a[0] for a in told.artefacts if a[1] == "crop"]
    assert told.amounts[-1][:2] == (result.fetched.bytes, result.fetched.bytes)


def test_the_chunks_under_a_crop_are_on_disk_last_voxel_included(world):
    run(world, "1")
    assert world.chunks("s0") == {(z, y, x) for z in range(3) for y in range(2) for x in range(2)}
    assert world.chunks("s1") == {(0, 0, 0), (1, 0, 0)}
    assert world.chunks("s2") == {(0, 0, 0)}


def test_everything_that_was_fetched_opens_with_every_level(world):
    run(world)
    assert [level.name for level in open_multiscale(world.data / EM).levels] == ["s0", "s1", "s2"]
    assert open_multiscale(world.data / TRUTH / "crop1/mito").levels


def test_a_second_run_asks_for_no_chunk(world):
    first = run(world, "1,2,3")
    world.proxy.log.clear()
    second = run(world, "1,2,3")
    assert world.chunk_gets == []
    assert second.fetched.objects == 0
    assert second.kept.objects == first.fetched.objects
    assert second.exit_code == 0


def test_files_of_another_tool_are_checked_and_kept_and_broken_ones_replaced(world):
    run(world, "1")
    ledger = world.data / ".cellmap-tui/ledger"
    for path in ledger.iterdir():
        path.unlink()
    broken = world.data / EM / "s0/0/0/0"
    broken.write_bytes(bytes(broken.stat().st_size))
    world.proxy.log.clear()
    result = run(world, "1")
    assert world.chunk_gets == [f"{EM}/s0/0/0/0"]
    assert result.fetched.objects == 1
    assert world.same_bytes()


def test_groups_that_the_bucket_lacks_are_made(world):
    for path in (world.source / "tiny/tiny.zarr/.zgroup", world.source / TRUTH / "crop1/.zgroup"):
        path.unlink()
    run(world, "1")
    assert json.loads((world.data / "tiny/tiny.zarr/.zgroup").read_text()) == {"zarr_format": 2}
    assert (world.data / TRUTH / "crop1/.zgroup").exists()


def test_crops_of_a_manifest_are_known_to_the_browser(world):
    run(world, "1,3")
    catalog = load_catalog(data_root=world.data)
    assert local_share(world.data, catalog.find("tiny/crop1")) == 1
    assert local_share(world.data, catalog.find("tiny/crop3")) == 1


def test_spoiled_answers_end_in_identical_bytes(world):
    world.proxy.decide = Noise(3)
    result = run(world, "1,2,3")
    assert result.exit_code == 0
    assert world.same_bytes()


def test_a_part_that_fails_is_listed_with_one_command_to_finish(world):
    world.proxy.decide = lambda request: status(403, "AccessDenied") if request.key == f"{EM}/s0/1/0/0" else None
    told = Told()
    result = run(world, "1,2", report=told)
    assert result.exit_code == 1
    assert [(f.key, f.crop) for f in result.failures] == [(f"{EM}/s0/1/0/0", "tiny/crop1")]
    assert {crop.ref: crop.state for crop in result.crops} == {"tiny/crop1": "incomplete", "tiny/crop2": "complete"}
    assert not (world.data / EM / "s0/1/0/0").exists()
    assert "--crops tiny/crop1" in result.finish_command
    assert result.finish_command in "\n".join(result_lines(result))
    world.proxy.decide = None
    assert run(world, "tiny/crop1").fetched.objects == 1


def test_a_shared_chunk_that_fails_leaves_both_crops_incomplete(world):
    world.proxy.decide = lambda request: status(403, "AccessDenied") if request.key == f"{EM}/s2/0/0/0" else None
    result = run(world, "1,2")
    assert [crop.state for crop in result.crops] == ["incomplete", "incomplete"]


def test_denied_objects_are_an_error_and_never_absent(world):
    world.proxy.decide = lambda r: status(403, "AccessDenied") if r.key.startswith(f"{EM}/s0/") else None
    with pytest.raises(Exception, match="refuses"):
        run(world, "1")
    world.proxy.decide = lambda r: (
        status(403, "AccessDenied") if r.key.startswith(f"{TRUTH}/crop1/mito/s0/0") else None
    )
    result = run(world, "1")
    assert result.exit_code == 1
    assert {failure.kind for failure in result.failures} == {"denied"}


def test_a_plan_that_does_not_fit_is_refused_before_anything_is_written(world):
    with pytest.raises(RefusedError, match="--max-bytes"):
        run(world, max_bytes=10)
    assert not world.data.exists()


def test_a_stop_keeps_what_is_done_and_a_rerun_goes_on(world):
    class StopsAfter(Told):
        def progress(self, done, total, unit):
            super().progress(done, total, unit)

        def checkpoint(self):
            if self.amounts and self.amounts[-1][2] == "bytes" and len(world.chunk_gets) > 5:
                raise Stopped("stopped by ada")

    world.proxy.delay_s = 0.05
    with pytest.raises(Stopped):
        run(world, report=StopsAfter(), num_workers=2)
    world.proxy.delay_s = 0
    state = read_state(state_folders(world.data)[0])
    assert state is not None
    assert state.phase == "ended"
    assert run(world).exit_code == 0
    assert world.same_bytes()


FETCH = """
import sys
from cellmap_tui.services.fetch import FetchRequest, fetch
from cellmap_tui.services.models import from_json
from cellmap_tui.services.report import SilentReporter
result = fetch(from_json(sys.stdin.buffer.read(), FetchRequest, source="stdin"), SilentReporter())
sys.exit(result.exit_code)
"""


def start(request):
    process = subprocess.Popen([sys.executable, "-c", FETCH], stdin=subprocess.PIPE)
    process.stdin.write(to_json(request))
    process.stdin.close()
    return process


@pytest.mark.slow
def test_a_fetch_killed_at_any_point_ends_with_the_same_bytes_and_repeats_only_what_was_in_flight(world):
    whole = world.request("1,2,3", data_root=world.folder / "whole", num_workers=4)
    assert fetch(whole, SilentReporter()).exit_code == 0
    expected, chunks = tree_hash(world.folder / "whole"), len(world.chunk_gets)
    world.proxy.delay_s = 0.01
    for point in (1, chunks // 4, chunks // 2, 3 * chunks // 4, chunks):
        world.proxy.log.clear()
        root = world.folder / f"killed{point}"
        request = world.request("1,2,3", data_root=root, num_workers=4)
        process = start(request)
        assert world.proxy.wait_for(lambda _log, point=point: len(world.chunk_gets) >= point)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        on_disk = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        world.proxy.log.clear()
        assert fetch(request, SilentReporter()).exit_code == 0
        assert tree_hash(root) == expected
        assert not on_disk & set(world.chunk_gets)


def test_two_fetches_into_one_folder_both_end_right(world):
    world.proxy.delay_s = 0.005
    processes = [start(world.request("1,2,3", num_workers=4)) for _ in range(2)]
    assert [process.wait(600) for process in processes] == [0, 0]
    assert world.same_bytes()


def test_overwriting_wants_a_yes_and_removes_what_the_bucket_does_not_have(world):
    run(world, "1")
    stray = world.data / TRUTH / "crop1/mito/s0/9/9/9"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"stray")
    with pytest.raises(RefusedError, match="--yes"):
        run(world, "1", access_mode="overwrite")
    assert stray.exists()
    result = run(world, "1", access_mode="overwrite", yes=True)
    assert result.kept.objects == 0
    assert not stray.exists()
    assert world.same_bytes()


def test_overwriting_acts_once_however_often_it_is_interrupted(world):
    run(world, "1")
    world.proxy.log.clear()
    world.proxy.decide = lambda request: status(403, "AccessDenied") if request.key == f"{EM}/s0/1/0/0" else None
    assert run(world, "1", access_mode="overwrite", yes=True).exit_code == 1
    world.proxy.decide = None
    world.proxy.log.clear()
    assert run(world, "1", access_mode="overwrite", yes=True).exit_code == 0
    assert world.chunk_gets == [f"{EM}/s0/1/0/0"]
    world.proxy.log.clear()
    assert run(world, "1", access_mode="overwrite", yes=True).fetched.objects > 20


def test_the_state_of_a_fetch_tells_every_crop(world):
    told = Told()
    run(world, "1,2", report=told)
    folder = next(path for path, kind in told.artefacts if kind == "fetch-state")
    assert folder == str(state_folders(world.data)[0])
    planned, state = read_plan(state_folders(world.data)[0]), read_state(state_folders(world.data)[0])
    assert [crop.ref for crop in planned.crops] == ["tiny/crop1", "tiny/crop2"]
    assert [(crop.state, crop.done == crop.objects, crop.done_bytes == crop.bytes) for crop in state.crops] == [
        ("complete", True, True)
    ] * 2


def test_a_request_survives_its_journey_through_json(world):
    request = world.request(classes=("mito",), levels=("s1",), raw_padding_nm=12.5)
    assert from_json(to_json(request), type(request), source="test") == request
