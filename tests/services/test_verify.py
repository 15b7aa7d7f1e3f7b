"""Checking what is on disk against the bucket and against the record, and repairing it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.services.fetch import fetch
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.verify import VerifyRequest, verify
from cellmap_tui.services.verify_words import verify_lines
from tests.services.fetching import EM, TRUTH
from tests.storage.proxy import status

CHUNK = f"{EM}/s0/1/0/0"
LABEL = f"{TRUTH}/crop1/mito/s0/0/0/0"


def request(world, crops="local", **options):
    asked = world.request(crops)
    places = {
        name: getattr(asked, name)
        for name in (
            "data_root",
            "endpoint_url",
            "bucket",
            "state_dir",
            "manifest",
            "train_manifest",
            "test_manifest",
        )
    }
    return replace(VerifyRequest(crops=crops, **places), **options)


def check(world, crops="local", **options):
    return verify(request(world, crops, **options), SilentReporter())


def damage(path):
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(bytes(body))


def state_of(result, ref, part):
    crop = next(crop for crop in result.crops if crop.ref == ref)
    return next(found.state for found in crop.parts if found.name == part)


@pytest.fixture
def fetched(world):
    assert fetch(world.request("1,2"), SilentReporter()).exit_code == 0
    return world


def test_what_was_just_fetched_is_complete(fetched):
    result = check(fetched)
    assert result.exit_code == 0
    assert [(crop.ref, crop.state) for crop in result.crops] == [
        ("tiny/crop1", "complete"),
        ("tiny/crop2", "complete"),
    ]
    assert result.present > 0


def test_what_was_never_asked_for_is_no_gap(fetched):
    assert state_of(check(fetched), "tiny/crop2", "em/s0") == "not requested"


@pytest.mark.parametrize("offline", [False, True])
def test_a_missing_and_a_corrupt_file_are_found_and_told_apart(fetched, offline):
    (fetched.data / CHUNK).unlink()
    damage(fetched.data / LABEL)
    result = check(fetched, offline=offline)
    assert result.exit_code == 1
    assert {(problem.key, problem.kind) for problem in result.problems} == {(CHUNK, "missing"), (LABEL, "corrupt")}
    assert state_of(result, "tiny/crop1", "em/s0") == "missing"
    assert state_of(result, "tiny/crop1", "labels/mito") == "corrupt"
    assert result.repair_command in "\n".join(verify_lines(result))


def test_a_file_found_wrong_offline_stays_wrong_until_it_is_fetched_again(fetched):
    damage(fetched.data / LABEL)
    assert check(fetched, offline=True).corrupt == 1
    assert check(fetched, offline=True).corrupt == 1
    assert fetch(fetched.request("1,2"), SilentReporter()).fetched.objects == 1
    assert check(fetched, offline=True).exit_code == 0


def test_offline_asks_nothing_of_the_server(fetched):
    fetched.proxy.log.clear()
    assert check(fetched, offline=True).exit_code == 0
    assert fetched.proxy.log == []


def test_repair_fetches_what_is_wrong_and_nothing_else(fetched):
    (fetched.data / CHUNK).unlink()
    damage(fetched.data / LABEL)
    fetched.proxy.log.clear()
    result = check(fetched, repair=True)
    assert (result.missing, result.corrupt, result.repaired, result.exit_code) == (1, 1, 2, 0)
    assert sorted(fetched.chunk_gets) == sorted([CHUNK, LABEL])
    assert fetched.same_bytes()
    assert check(fetched).exit_code == 0


def test_a_repair_that_fails_leaves_exit_code_1_and_no_wrong_file(fetched):
    damage(fetched.data / LABEL)
    fetched.proxy.decide = lambda r: status(403, "AccessDenied") if r.key == LABEL else None
    result = check(fetched, repair=True)
    assert (result.repaired, result.exit_code) == (0, 1)
    assert not (fetched.data / LABEL).exists()


def test_a_quick_check_finds_missing_and_short_files_alone(fetched):
    damage(fetched.data / LABEL)
    assert check(fetched, quick=True).exit_code == 0
    (fetched.data / CHUNK).write_bytes(b"short")
    assert [p.key for p in check(fetched, quick=True).problems] == [CHUNK]


def test_a_file_that_changed_in_the_bucket_is_wrong_here(fetched):
    damage(fetched.source / CHUNK)
    assert [problem.kind for problem in check(fetched).problems] == ["corrupt"]


def test_absent_chunks_are_no_gap(world):
    (world.source / CHUNK).unlink()
    fetch(world.request("1"), SilentReporter())
    result = check(world)
    assert result.exit_code == 0
    assert next(part.absent for part in result.crops[0].parts if part.name == "em/s0") == 1


def test_data_of_another_tool_count_where_there_is_a_beginning_of_them(fetched):
    shutil.rmtree(fetched.data / ".cellmap-tui")
    shutil.rmtree(fetched.data / TRUTH / "crop1/er")
    (fetched.data / CHUNK).unlink()
    result = check(fetched, "1,2")
    assert [problem.key for problem in result.problems] == [CHUNK]
    assert state_of(result, "tiny/crop1", "labels/er") == "not requested"


def test_em_that_a_neighbour_brought_does_not_make_a_crop_incomplete(world):
    fetch(world.request("1", raw_padding=8), SilentReporter())
    result = check(world)
    assert [crop.ref for crop in result.crops] == ["tiny/crop1"]


def test_without_a_record_an_offline_check_says_so(world):
    (world.data / "tiny").mkdir(parents=True)
    with pytest.raises(MissingDataError, match="--offline"):
        check(world, "1", offline=True)


def test_a_folder_without_data_says_so(world):
    with pytest.raises(MissingDataError, match="no data of any crop"):
        check(world)


def test_offline_and_repair_contradict_each_other(world):
    with pytest.raises(RequestError, match="bucket"):
        request(world, offline=True, repair=True)


def test_padding_that_was_asked_for_is_checked(world):
    fetch(world.request("1", raw_padding=8), SilentReporter())
    far = max(world.chunks("s0"))
    (world.data / EM / "s0" / "/".join(map(str, far))).unlink()
    assert check(world).missing == 1
