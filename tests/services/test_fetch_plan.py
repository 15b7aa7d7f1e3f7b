"""Plans against a real server."""

from __future__ import annotations

import json
import shutil

import pytest

from cellmap_tui.errors import CellmapError, DataError, RefusedError, RequestError, UnknownNameError
from cellmap_tui.services.empty_labels import empty_labels, remember_empty_labels
from cellmap_tui.services.fetch import fetch
from cellmap_tui.services.fetch_plan import check_room, part_of, plan_fetch
from cellmap_tui.services.fetch_words import plan_lines
from cellmap_tui.services.report import SilentReporter
from tests.services.fetching import BUCKET, EM, TRUTH, Told
from tests.storage.proxy import status


def plan(world, crops="1,2", **options):
    return plan_fetch(world.request(crops, **options), SilentReporter())


def levels(crop):
    return {level.name: level for level in crop.levels}


def test_a_plan_counts_every_object_and_byte_that_the_fetch_brings(world):
    planned = plan(world, "1,2,3")
    result = fetch(world.request("1,2,3"), SilentReporter())
    assert planned.to_fetch == planned.wanted == result.fetched
    assert not plan(world, "1,2,3").to_fetch.objects


def test_a_plan_writes_nothing_beside_the_data(world):
    plan(world)
    assert not world.data.exists()


def test_the_last_voxel_of_a_crop_that_opens_a_chunk_is_planned(world):
    s0 = levels(plan(world, "1").crops[0])["s0"]
    assert s0.voxels == (25, 9, 9)
    assert s0.chunks == 3 * 2 * 2


def test_padding_widens_every_level_by_its_own_voxels(world):
    found = levels(plan(world, "1", raw_padding=2).crops[0])
    assert found["s0"].voxels == (29, 13, 13)
    assert found["s1"].voxels == (13 + 4, 5 + 4, 5 + 4)


def test_labels_of_16_nm_leave_the_8_nm_level_out_and_say_why(world):
    found = levels(plan(world, "2").crops[0])
    assert [level.is_fetched for level in found.values()] == [False, True, True]
    assert "8 nm" in found["s0"].reason
    assert "labels 16 nm" in found["s0"].reason


def test_chunks_that_two_crops_share_are_counted_once(world):
    both = plan(world)
    alone = plan(world, "1").wanted.bytes + plan(world, "2").wanted.bytes
    assert both.wanted.bytes < alone
    assert levels(both.crops[1])["s2"].shared == 1


def test_labels_without_a_chunk_are_empty_in_the_bucket(world):
    assert plan(world, "1").crops[0].empty_classes == ("nuc",)


def test_empty_labels_are_remembered_for_every_data_root(world):
    plan(world)
    known = empty_labels(world.folder / "state", bucket=BUCKET, endpoint_url=world.url)
    assert known == {"tiny/crop1": {"nuc"}, "tiny/crop2": frozenset()}


def test_empty_labels_of_another_bucket_are_not_mixed_in(tmp_path):
    remember_empty_labels(tmp_path, {"d/crop1": ("mito",)}, bucket="one")
    remember_empty_labels(tmp_path, {"d/crop2": ()}, bucket="one")
    assert empty_labels(tmp_path, bucket="two") == {}
    assert empty_labels(tmp_path, bucket="one") == {"d/crop1": {"mito"}, "d/crop2": frozenset()}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version":1,"buckets":[]}', '{"version":1,"buckets":{"b":3}}'])
def test_a_damaged_memory_of_empty_labels_counts_as_none(tmp_path, content):
    (tmp_path / "empty-labels.json").write_text(content)
    assert empty_labels(tmp_path, bucket="b") == {}


def test_absent_chunks_are_counted_and_no_error(world):
    (world.source / EM / "s0/0/0/0").unlink()
    found = plan(world, "1")
    assert levels(found.crops[0])["s0"].absent == 1
    assert not found.problems


def test_classes_restrict_the_labels_and_not_the_em(world):
    some = plan(world, "1", classes=("mito",)).crops[0]
    whole = plan(world, "1").crops[0]
    assert some.label_classes == 1
    assert [level.wanted for level in some.levels] == [level.wanted for level in whole.levels]


def test_a_class_that_does_not_exist_is_refused_with_the_nearest(world):
    with pytest.raises(RequestError, match="mito"):
        plan(world, "1", classes=("mitoo",))


def test_a_crop_that_does_not_exist_is_refused(world):
    with pytest.raises((UnknownNameError, RequestError)):
        plan(world, "77")


def test_labels_of_a_test_crop_are_not_asked_for(world):
    found = plan(world, "3").crops[0]
    assert not found.label_classes
    assert found.levels[0].chunks == 2**3
    assert not any("crop3" in request.query for request in world.proxy.log)


def test_a_crop_of_570_objects_is_planned_in_a_few_requests(world):
    plan(world, "1")
    assert len(world.proxy.log) <= 20


def test_a_plan_over_complete_data_lists_no_em(world):
    fetch(world.request(), SilentReporter())
    world.proxy.log.clear()
    assert not plan(world).to_fetch.objects
    assert not any("fibsem-uint8%2Fs" in r.query or "fibsem-uint8/s" in r.query for r in world.proxy.log)


def test_labels_of_more_than_a_page_are_listed_class_by_class(world):
    truth = world.source / TRUTH / "crop1"
    for name in ("er", "mito"):
        for i in range(1200):
            path = truth / name / "s0/7/7" / str(i)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    everything = [path for path in truth.rglob("*") if path.is_file()]
    assert plan(world, "1").crops[0].labels.objects == len(everything)


def test_a_bare_list_of_crops_takes_classes_and_geometry_from_the_bucket(world):
    bare = plan(world, "1,2", train_manifest=None)
    assert [c.wanted for c in bare.crops] == [c.wanted for c in plan(world).crops]
    assert [c.ref for c in plan(world, "cell", train_manifest=None).crops] == ["tiny/crop2"]


def test_a_manifest_in_the_toolbox_variable_counts_as_given(world, monkeypatch):
    monkeypatch.setenv("CSC_FETCH_DATA_MANIFEST_URL", world.request().manifest)
    found = plan(world, "1", manifest=None, train_manifest=None)
    assert found.crops[0].label_classes == 3


def test_a_crop_without_labels_in_the_bucket_is_a_problem(world):
    shutil.rmtree(world.source / TRUTH / "crop1")
    found = plan(world, "1")
    assert [problem.kind for problem in found.problems] == ["missing"]
    assert found.problems[0].crop == "tiny/crop1"


def test_a_class_that_the_bucket_lacks_is_told(world):
    shutil.rmtree(world.source / TRUTH / "crop1/er")
    found = plan(world, "1")
    assert found.crops[0].missing_classes == ("er",)
    assert any("er" in warning for warning in found.warnings)


def test_an_em_that_is_not_there_is_one_clear_error(world):
    shutil.rmtree(world.source / EM)
    with pytest.raises(DataError, match=r"fibsem-uint8.*zattrs"):
        plan(world, "1")


def test_em_metadata_that_are_no_pyramid_are_refused_by_name(world):
    (world.source / EM / ".zattrs").write_text("<html>Sign in</html>")
    with pytest.raises(DataError, match="zattrs"):
        plan(world, "1")


def test_a_level_path_that_leads_out_of_the_group_is_refused(world):
    attributes = json.loads((world.source / EM / ".zattrs").read_bytes())
    attributes["multiscales"][0]["datasets"][0]["path"] = "../../../../elsewhere"
    (world.source / EM / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(DataError, match="plain path"):
        plan(world, "1")


def test_a_level_without_its_array_is_a_problem_that_names_the_remedy(world):
    shutil.rmtree(world.source / EM / "s2")
    found = plan(world, "1")
    assert [problem.key for problem in found.problems] == [f"{EM}/s2/.zarray"]
    assert "--make-levels" in found.problems[0].message


def test_access_denied_names_bucket_and_key_after_a_single_try(world):
    world.proxy.decide = lambda _request: status(403, "AccessDenied")
    with pytest.raises(CellmapError, match=rf"{BUCKET}.*refuses"):
        plan(world, "1")
    assert len(world.proxy.log) <= 20


def test_a_server_that_says_slow_down_is_asked_again(world):
    seen = []

    def decide(request):
        seen.append(request)
        return status(503, "SlowDown") if len(seen) % 3 == 0 else None

    world.proxy.decide = decide
    assert plan(world, "1").wanted.objects > 0


def test_a_plan_above_max_bytes_is_refused(world):
    planned = plan(world)
    with pytest.raises(RefusedError, match="--max-bytes"):
        check_room(planned, world.request(max_bytes=1000))
    check_room(planned, world.request(max_bytes=planned.to_fetch.bytes))


def test_a_plan_that_does_not_fit_the_disk_names_the_flag_that_goes_on(world, monkeypatch):
    monkeypatch.setattr("cellmap_tui.services.fetch_plan.free_bytes", lambda _folder: 10_000)
    planned = plan(world)
    assert not planned.fits
    with pytest.raises(RefusedError, match="--ignore-disk"):
        check_room(planned, world.request())
    check_room(planned, world.request(ignore_disk=True))


def test_a_plan_reads_as_a_line_per_level_with_its_reason(world):
    lines = plan_lines(plan(world, "1,2"))
    assert any(line.startswith("  s0") and "fetch" in line and "12 chunks" in line for line in lines)
    assert any(line.startswith("  s0") and "skip" in line and "16 nm" in line for line in lines)


def test_the_parts_of_a_key_are_classes_levels_and_metadata():
    assert part_of(f"{TRUTH}/crop1/mito/s0/0/0/0") == "labels/mito"
    assert part_of(f"{EM}/s3/0/1/2") == "em/s3"
    assert part_of(f"{EM}/.zattrs") == "metadata"
    assert part_of("tiny/tiny.zarr/.zgroup") == "metadata"
    assert Told().notes == []
