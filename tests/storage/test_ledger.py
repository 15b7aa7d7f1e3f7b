"""The ledger: what it remembers, what it forgets, and what damage does to it."""

from __future__ import annotations

import multiprocessing
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.storage import held, journal
from cellmap_tui.storage.ledger import Ledger

ETAG = "0123456789abcdef0123456789abcdef"


def put(root, key, size_bytes=3):
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size_bytes))


def folder(root):
    return root / ".cellmap-tui" / "ledger"


def record(root, *keys):
    ledger = Ledger.open(root)
    for key in keys:
        put(root, key)
        ledger.record_verified(key, 3, ETAG)
    ledger.close()


def test_what_is_recorded_is_known_at_once_and_to_the_next_process(tmp_path):
    put(tmp_path, "a/0")
    ledger = Ledger.open(tmp_path)
    assert not folder(tmp_path).exists()
    ledger.record_verified("a/0", 3, ETAG)
    ledger.record_absent("a/1")
    ledger.close()
    for known in (ledger, Ledger.open(tmp_path)):
        assert known.is_verified("a/0", 3, ETAG)
        assert known.is_verified("a/0")
        assert known.is_absent("a/1")
        assert not known.is_absent("a/0")
        assert not known.is_verified("a/1")


@pytest.mark.parametrize(("size_bytes", "etag"), [(4, ETAG), (3, ETAG[::-1]), (None, ETAG[::-1])])
def test_another_object_under_the_same_key_is_not_verified(tmp_path, size_bytes, etag):
    record(tmp_path, "a/0")
    assert not Ledger.open(tmp_path).is_verified("a/0", size_bytes, etag)


def test_a_file_that_is_gone_or_cut_or_a_folder_is_not_verified(tmp_path):
    record(tmp_path, "gone", "cut", "folder")
    (tmp_path / "gone").unlink()
    os.truncate(tmp_path / "cut", 2)
    (tmp_path / "folder").unlink()
    (tmp_path / "folder").mkdir()
    ledger = Ledger.open(tmp_path)
    assert not any(ledger.is_verified(key) for key in ("gone", "cut", "folder"))


def test_a_later_record_replaces_an_earlier_one_in_another_journal_too(tmp_path):
    record(tmp_path, "a")
    ledger = Ledger.open(tmp_path)
    ledger.record_absent("a")
    ledger.close()
    assert Ledger.open(tmp_path).is_absent("a")
    ledger = Ledger.open(tmp_path)
    ledger.forget("a")
    ledger.close()
    assert Ledger.open(tmp_path).is_doubted("a")


def test_a_torn_last_line_costs_that_line_only(tmp_path):
    record(tmp_path, *(f"k{i}" for i in range(5)))
    (path,) = folder(tmp_path).glob("*.journal")
    path.write_bytes(path.read_bytes()[:-4])
    ledger = Ledger.open(tmp_path)
    assert [ledger.is_verified(f"k{i}") for i in range(5)] == [True, True, True, True, False]


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=80), at=st.integers(0, 400))
def test_damage_anywhere_never_raises_and_never_invents_a_key(tmp_path_factory, junk, at):
    root = tmp_path_factory.mktemp("damage")
    record(root, *(f"k{i}" for i in range(5)))
    (path,) = folder(root).glob("*.journal")
    text = path.read_bytes()
    path.write_bytes(text[:at] + junk + text[at + len(junk) :])
    keys = {entry.key for entry in Ledger.open(root).entries() if entry.key.startswith("k")}
    assert len(keys) <= 6


def test_a_journal_of_another_start_of_the_machine_is_doubted_up_to_its_last_mark(tmp_path):
    put(tmp_path, "safe")
    put(tmp_path, "doubted")
    ledger = Ledger.open(tmp_path)
    ledger.record_verified("safe", 3, ETAG)
    position = ledger.position()
    ledger.record_verified("doubted", 3, ETAG)
    ledger.record_durable(position)
    ledger.close()
    (path,) = folder(tmp_path).glob("*.journal")
    own = journal.title()
    other = own.replace(own[-6:-1], "other")
    path.write_text(path.read_text().replace(own, other))
    ledger = Ledger.open(tmp_path)
    assert ledger.is_verified("safe")
    assert not ledger.is_verified("doubted")
    assert ledger.is_doubted("doubted")


def test_many_journals_are_merged_and_nothing_is_lost(tmp_path):
    for i in range(20):
        record(tmp_path, f"k{i}")
    assert len(list(folder(tmp_path).glob("*.journal"))) < 10
    assert list(folder(tmp_path).glob("*.lock")) == list(folder(tmp_path).glob("*.tmp")) == []
    ledger = Ledger.open(tmp_path)
    assert all(ledger.is_verified(f"k{i}", 3, ETAG) for i in range(20))


def test_a_journal_that_is_being_written_is_not_merged(tmp_path):
    writer = Ledger.open(tmp_path)
    put(tmp_path, "early")
    put(tmp_path, "late")
    writer.record_verified("early", 3, ETAG)
    writer.flush()
    for i in range(12):
        record(tmp_path, f"k{i}")
    writer.record_verified("late", 3, ETAG)
    writer.close()
    ledger = Ledger.open(tmp_path)
    assert ledger.is_verified("early")
    assert ledger.is_verified("late")


def _write_many(root, name):
    for round_number in range(12):
        record(root, *(f"{name}{round_number}_{i}" for i in range(3)))


def test_processes_that_write_and_merge_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    ledger = Ledger.open(tmp_path)
    assert all(ledger.is_verified(f"{name}{r}_{i}") for name in "abc" for r in range(12) for i in range(3))


def test_a_full_disk_is_raised_and_what_was_not_written_stays_pending(tmp_path, monkeypatch):
    put(tmp_path, "a")
    ledger = Ledger.open(tmp_path)
    ledger.record_verified("a", 3, ETAG)
    write = os.write
    taken = []

    def full(descriptor, body):
        if taken:
            raise OSError(28, "No space left on device")
        taken.append(write(descriptor, body[:7]))
        return 7

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        ledger.flush()
    monkeypatch.undo()
    ledger.close()
    assert Ledger.open(tmp_path).is_verified("a", 3, ETAG)


def test_a_file_held_by_this_process_is_not_abandoned_until_let_go(tmp_path):
    path = tmp_path / f"{held.new_token()}.lock"
    assert held.hold(path)
    assert not held.is_abandoned(path)
    held.let_go(path)
    assert held.is_abandoned(path)


def test_what_another_machine_left_is_kept_for_a_day(tmp_path):
    path = tmp_path / "elsewhere-1-abc.lock"
    path.touch()
    assert not held.is_abandoned(path)
    os.utime(path, (0, 0))
    assert held.is_abandoned(path)
