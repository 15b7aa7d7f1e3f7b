"""Processes killed, disks full, power cut: what is whole stays, what is not is fetched again, nothing else."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cellmap_tui.storage import placing
from tests.s3 import data_files, tree_hash

CLIENT = [sys.executable, "-m", "tests.storage.client"]
CHECKOUT = Path(__file__).parents[2]
WIDTH = 16


def start(world, *more, command=()):
    return subprocess.Popen(
        [*command, *CLIENT, world.proxy.url, world.source.name, os.fspath(world.dest), *more],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )


def finish(world, *more):
    with start(world, *more) as process:
        out, _ = process.communicate(timeout=600)
    return process.returncode, json.loads(out)


def kill_after(world, answers):
    """Run a process until the server gave so many answers, kill it; return what is whole by then."""
    world.proxy.log.clear()
    with start(world) as process:
        reached = world.proxy.wait_for(lambda log: world.asked() >= answers or process.poll() is not None)
        process.kill()
    assert reached
    return {os.fspath(path.relative_to(world.dest)) for path in data_files(world.dest)}


def kill_and_resume(world, points):
    """Kill at each of the points, then finish; check that nothing whole is ever asked for again."""
    whole, asked = set(), 0
    for answers in points:
        now_whole = kill_after(world, answers)
        assert not whole & set(world.proxy.gets())
        whole, asked = now_whole, asked + sum(world.proxy.gets().values())
        for key in whole:
            assert (world.dest / key).stat().st_size == (world.source / key).stat().st_size
    world.proxy.log.clear()
    code, _ = finish(world)
    assert code == 0
    assert not whole & set(world.proxy.gets())
    assert world.is_same()
    assert world.partials() == []
    total = len(data_files(world.source))
    assert asked + sum(world.proxy.gets().values()) <= total + len(points) * (WIDTH + 1)


def test_a_killed_fetch_goes_on_where_it_was(world):
    world.fill(400, size=(20_000, 60_000))
    world.proxy.delay_s = 0.01
    kill_and_resume(world, [1, 70, 150])


@pytest.mark.slow
def test_a_fetch_killed_at_thirty_random_points_ends_with_the_same_bytes(world):
    world.fill(900, size=(20_000, 60_000))
    world.proxy.delay_s = 0.005
    numbers = random.Random(7)
    kill_and_resume(world, [numbers.randint(1, 45) for _ in range(30)])


def test_two_processes_into_one_folder_both_end_right(world):
    world.fill(150)
    world.proxy.delay_s = 0.01
    with start(world) as first, start(world) as second:
        codes = [process.wait(600) for process in (first, second)]
    assert codes == [0, 0]
    assert world.is_same()
    assert world.partials() == []


def test_a_process_killed_beside_another_does_it_no_harm(world):
    world.fill(300)
    world.proxy.delay_s = 0.02
    with start(world) as victim, start(world) as survivor:
        assert world.proxy.wait_for(lambda log: world.asked() >= 100)
        victim.kill()
        assert survivor.wait(600) == 0
    assert world.is_same()


def test_a_file_too_large_for_the_disk_stops_cleanly_and_a_rerun_goes_on(world):
    world.fill(60, size=(20_000, 60_000))
    code, said = finish(world, "50000")
    assert (code, said["ended"]) == (1, "disk_full")
    check_whole_files_only(world)
    assert finish(world)[0] == 0
    assert world.is_same()


def check_whole_files_only(world):
    for path in data_files(world.dest):
        assert path.read_bytes() == (world.source / path.relative_to(world.dest)).read_bytes()
    assert world.partials() == []


def test_a_full_disk_ends_the_run_with_whole_files_only(world, monkeypatch):
    world.fill(80, size=(3000, 3000))
    free, write = [100_000], os.write

    def write_until_full(descriptor, body):
        """Take what fits, as a full disk does: part of a file, then the error."""
        if not free[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = write(descriptor, body[: free[0]])
        free[0] -= taken
        return taken

    monkeypatch.setattr(placing.os, "write", write_until_full)
    outcome = world.run()
    assert (outcome.ended.kind, outcome.is_complete) == ("disk_full", False)
    assert outcome.fetched + outcome.failed_count + outcome.untried == 80
    check_whole_files_only(world)
    done = {os.fspath(path.relative_to(world.dest)) for path in data_files(world.dest)}
    assert len(done) >= 20
    monkeypatch.undo()
    world.proxy.log.clear()
    assert world.run().is_complete
    assert not done & set(world.proxy.gets())
    assert world.is_same()


def test_a_really_full_file_system_ends_the_run_cleanly(world, tmp_path):
    """On a memory disk of 1 MB where the system lets us mount one, else by a limit of file sizes."""
    world.fill(60, size=(30_000, 50_000))
    world.dest.mkdir()
    mount = f"mount -t tmpfs -o size=1m tmpfs '{world.dest}'"
    may_mount = (
        shutil.which("unshare")
        and not subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode
    )
    if not may_mount:
        assert finish(world, "35000")[1]["ended"] == "disk_full"
        return
    client = " ".join([*CLIENT, world.proxy.url, world.source.name, f"'{world.dest}'"])
    script = f"""
    {mount} && {client}; echo $?
    find '{world.dest}' -name '*.part' -o -path '*partial/*' | wc -l
    mount -o remount,size=50m '{world.dest}' && {client}; echo $?
    cp -r '{world.dest}' '{tmp_path}/copy'
    """
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    first, first_code, leftovers, second, second_code = done.stdout.split("\n")[:5]
    assert json.loads(first)["ended"] == "disk_full"
    assert (first_code, leftovers.strip(), second_code) == ("1", "0", "0"), done.stderr
    assert json.loads(first)["fetched"] + json.loads(second)["fetched"] <= 60 + WIDTH
    assert tree_hash(tmp_path / "copy") == tree_hash(world.source)


def test_after_a_power_cut_only_damaged_files_are_fetched_again(world):
    objects = world.fill(30)
    world.run()
    victim, *_ = objects
    (world.dest / victim).write_bytes(bytes(len(objects[victim])))
    (journal,) = (world.dest / ".cellmap-tui" / "ledger").glob("*.journal")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(["cellmap-tui ledger 1\tanother start of the machine\n", *lines[1:-1], lines[-1][:9]]))
    world.proxy.log.clear()
    outcome = world.run()
    assert (outcome.fetched, outcome.skipped) == (1, 29)
    assert set(world.proxy.gets()) == {victim}
    assert world.is_same()


def test_a_data_root_on_two_disks_is_filled_by_copies(world, tmp_path, monkeypatch):
    world.fill(5)
    replace = os.replace

    def across_disks(source, target):
        if "partial" in str(source):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target)

    monkeypatch.setattr(placing.os, "replace", across_disks)
    assert world.run().fetched == 5
    assert world.is_same()
    assert world.partials() == []
