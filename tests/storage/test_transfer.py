"""Objects from a real server to the disk, and what is not asked for a second time."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import threading

import pytest

from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.storage import arrival, workers
from cellmap_tui.storage.ledger import Ledger
from cellmap_tui.storage.placing import Placer
from cellmap_tui.storage.transfer import Transfer
from tests.storage.proxy import Fault, First, status

pytestmark = pytest.mark.usefixtures("s3_server")


def test_everything_listed_arrives_byte_for_byte(world):
    world.fill(150)
    outcome = world.run()
    assert (outcome.fetched, outcome.skipped, outcome.failed, outcome.is_complete) == (150, 0, (), True)
    assert outcome.bytes == sum(path.stat().st_size for path in world.source.rglob("*") if path.is_file())
    assert world.is_same()
    assert world.partials() == []


def test_a_second_run_asks_for_nothing(world):
    world.fill(60)
    world.run()
    world.proxy.log.clear()
    outcome = world.run()
    assert (outcome.fetched, outcome.skipped, len(world.proxy.log)) == (0, 60, 0)


def test_files_of_another_tool_are_compared_and_not_fetched(world):
    objects = world.fill(30)
    for key, body in objects.items():
        path = world.dest / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    outcome = world.run()
    assert (outcome.fetched, outcome.skipped, len(world.proxy.log)) == (0, 30, 0)
    assert Ledger.open(world.dest).is_verified(next(iter(objects)))


def test_a_file_of_the_right_length_with_wrong_bytes_is_fetched_again(world):
    objects = world.fill(3)
    key, body = next(iter(objects.items()))
    path = world.dest / key
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(len(body)))
    assert world.run().fetched == 3
    assert world.is_same()


def test_files_that_were_deleted_or_cut_since_are_fetched_again(world):
    objects = world.fill(10)
    world.run()
    first, second, *_ = objects
    (world.dest / first).unlink()
    os.truncate(world.dest / second, 1)
    world.proxy.log.clear()
    assert world.run().fetched == 2
    assert set(world.proxy.gets()) == {first, second}
    assert world.is_same()


def test_an_object_that_changed_in_the_bucket_replaces_the_old_file(world):
    objects = world.fill(4)
    world.run()
    key = next(iter(objects))
    world.put({key: os.urandom(len(objects[key]))})
    assert world.run().fetched == 1
    assert world.is_same()


def test_an_object_that_changes_between_listing_and_transfer_is_not_stored(world):
    objects = world.fill(2)
    transfers = world.listed()
    key = next(iter(objects))
    world.put({key: b"another one"})
    outcome = world.run(transfers, retries=1)
    assert [(failure.key, failure.kind) for failure in outcome.failed] == [(key, "broken")]
    assert "another one than was listed" in outcome.failed[0].message
    assert not (world.dest / key).exists()


def test_objects_that_were_not_listed_are_checked_against_the_answer(world):
    world.put({"a/.zarray": b'{"chunks": [1]}', "a/0": b"abc"})
    outcome = world.run([Transfer("a/.zarray", required=True), Transfer("a/0")])
    assert outcome.fetched == 2
    ledger = Ledger.open(world.dest)
    assert ledger.is_verified("a/0", 3, hashlib.md5(b"abc").hexdigest())
    world.proxy.log.clear()
    assert world.run([Transfer("a/.zarray", required=True), Transfer("a/0")]).skipped == 2
    assert world.proxy.log == []


def test_large_objects_pass_through_memory_in_pieces(world, monkeypatch):
    monkeypatch.setattr(arrival, "STREAM_FROM_BYTES", 100_000)
    world.fill(3, size=(2_500_000, 3_000_000))
    world.proxy.decide = First(status(503, "SlowDown"))
    assert world.run().fetched == 3
    assert world.is_same()
    assert world.partials() == []


def test_a_slow_disk_is_written_by_threads(world, monkeypatch):
    monkeypatch.setattr(arrival, "_SLOW_DISK_S", -1.0)
    writers, place = set(), Placer.place

    def noted(self, key, body):
        writers.add(threading.current_thread().name)
        place(self, key, body)

    monkeypatch.setattr(Placer, "place", noted)
    world.fill(60)
    assert world.run().fetched == 60
    assert threading.current_thread().name not in writers
    assert world.is_same()


def test_what_was_written_long_ago_is_marked_as_on_the_disk(world, monkeypatch):
    monkeypatch.setattr(workers, "_SYNC_EVERY_S", 0.0)
    world.fill(10)
    assert world.run().is_complete
    (journal,) = (world.dest / ".cellmap-tui" / "ledger").glob("*.journal")
    assert journal.read_text().splitlines()[-1].startswith("d\t")


def test_a_corrupt_large_object_leaves_nothing_behind(world, monkeypatch):
    monkeypatch.setattr(arrival, "STREAM_FROM_BYTES", 100_000)
    world.fill(1, size=(2_500_000, 3_000_000))
    world.proxy.decide = First(Fault("corrupt"), times=99)
    outcome = world.run(retries=1)
    assert [failure.kind for failure in outcome.failed] == ["broken"]
    assert [path for path in world.dest.rglob("*") if path.is_file() and path.suffix != ".journal"] == []


def test_a_limit_of_bytes_a_second_is_kept(world):
    world.fill(40, size=(5000, 5000))
    assert world.run(limit_rate=200_000).seconds >= 0.7
    assert world.is_same()


def test_a_stop_keeps_what_is_done_and_the_next_run_goes_on(world):
    world.fill(200)
    world.proxy.delay_s = 0.05

    def stop_later():
        if len(world.report.states) >= 50:
            raise Stopped("stopped")

    world.report.on_checkpoint = stop_later
    with pytest.raises(Stopped):
        world.run(width=8)
    done = [key for key, state in world.report.states.items() if state == "fetched"]
    assert len(done) >= 50
    assert world.partials() == []
    world.report.on_checkpoint = lambda: None
    world.proxy.log.clear()
    assert world.run().is_complete
    assert not set(done) & set(world.proxy.gets())
    assert world.is_same()


def test_a_pause_is_not_held_against_the_server(world):
    world.fill(20)
    pauses = iter([1.2])
    world.report.on_checkpoint = lambda: threading.Event().wait(next(pauses, 0))
    world.proxy.decide = First(status(503, "SlowDown"))
    assert world.run(patience_s=1).is_complete


def test_a_stop_during_an_outage_is_heeded(world):
    world.fill(5)
    transfers = world.listed()
    world.proxy.go_down()

    def stop():
        if world.report.waits:
            raise Stopped("stopped")

    world.report.on_checkpoint = stop
    with pytest.raises(Stopped):
        world.run(transfers)
    assert world.partials() == []


def test_an_empty_object_is_an_object(world):
    world.put({"ds/empty": b""})
    assert world.run().fetched == 1
    assert world.run().skipped == 1
    assert world.is_same()


def test_the_watcher_hears_of_every_object_and_of_the_progress(world):
    world.fill(30)
    world.run([*world.listed(), Transfer("ds/none")])
    assert sorted(set(world.report.states.values())) == ["absent", "fetched"]
    last = world.report.seen[-1]
    assert (last.fetched, last.absent, last.settled, last.in_flight) == (30, 1, 31, 0)
    assert world.report.checks >= 1


def test_an_error_of_the_callers_iterator_is_raised_and_what_is_done_is_kept(world):
    world.fill(20)

    def broken_plan():
        yield from world.listed()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.run(broken_plan())
    assert world.partials() == []


def test_it_runs_under_an_event_loop_too(world):
    world.fill(5)

    async def in_a_notebook():
        return world.run()

    assert asyncio.run(in_a_notebook()).fetched == 5


def test_two_runs_at_once_into_one_folder_both_end_right(world):
    world.fill(120)
    world.proxy.delay_s = 0.01
    transfers, outcomes = world.listed(), []
    runs = [threading.Thread(target=lambda: outcomes.append(world.run(list(transfers), width=8))) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [outcome.is_complete for outcome in outcomes] == [True, True]
    assert world.is_same()
    assert world.partials() == []


def test_a_data_root_that_cannot_be_made_is_told(world, tmp_path):
    (tmp_path / "file").write_text("")
    world.dest = tmp_path / "file" / "data"
    with pytest.raises(CellmapError, match="cannot write"):
        world.run([Transfer("a")])


def test_nothing_heavy_is_imported_before_it_is_used():
    code = "import sys, cellmap_tui.storage.transfer, cellmap_tui.storage.listing, cellmap_tui.storage.ledger; "
    found = subprocess.run(
        [sys.executable, "-c", code + "print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"obstore", "boto3", "numpy", "zarr", "ctypes", "textual"} & set(found)
