import json

import numpy as np
import pytest

import cellmap_tui.volumes.inspect as inspect
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError, MissingDataError, Stopped
from cellmap_tui.volumes.inspect import describe_array
from cellmap_tui.volumes.write import write_array, write_multiscale

GRID = Grid((4.0,) * 3, (0.0,) * 3, (40, 40, 40))


def labels(dtype="u1"):
    return np.zeros(GRID.shape, dtype)


@pytest.fixture
def write(tmp_path):
    def _write(data, **more):
        write_multiscale(tmp_path / "labels", data, GRID, kind="label", chunks=(16, 16, 16), **more)
        return tmp_path / "labels"

    return _write


def test_a_mask_is_told_with_its_parts_and_share(write):
    data = labels()
    data[:4, :4, :4] = 1
    data[20:22, 20:22, 20:22] = 1
    data[30, 30, 30] = 1
    facts = describe_array(write(data))
    assert facts.kind == "binary"
    assert (facts.min_id, facts.max_id, facts.distinct_ids) == (1, 1, 1)
    assert facts.objects == 3
    assert facts.median_object_voxels == 8
    assert facts.foreground_share == pytest.approx((64 + 8 + 1) / 40**3)
    assert facts.words == "mask 0/1 · 0.114 % · 3 objects"


def test_parts_that_touch_by_a_corner_are_one_object(write):
    data = labels()
    data[3, 3, 3] = data[4, 4, 4] = 1
    assert describe_array(write(data)).objects == 1


def test_object_ids_are_counted_by_value_and_not_by_place(write):
    data = labels("u8")
    data[:4] = 7
    data[10:12] = 7
    data[20] = 2**40
    facts = describe_array(write(data))
    assert facts.kind == "instance"
    assert (facts.min_id, facts.max_id, facts.objects) == (7, 2**40, 2)
    assert facts.dtype == "uint64"
    assert facts.words.startswith(f"object ids 7-{2**40} · 17.5 % · 2 objects")


def test_an_empty_array_is_a_true_negative(write):
    facts = describe_array(write(labels()))
    assert (facts.kind, facts.objects, facts.foreground_share, facts.min_id) == ("empty", 0, 0.0, None)
    assert facts.words == "empty: annotated, absent"


def test_ids_that_the_table_does_not_know_are_flagged(write):
    data = labels()
    data[:10] = 3
    data[10:20] = 5
    data[39, 39, 39] = 99
    facts = describe_array(write(data), known_ids={3, 4, 5})
    assert facts.kind == "ids"
    assert facts.unknown_ids == (99,)
    assert facts.distinct_ids == 3
    assert facts.objects is None
    assert "ids not in the table: 99" in facts.words


@pytest.mark.parametrize(
    "attributes",
    [
        {"cellmap_tui": {"kind": "binary", "unknown_value": 255}},
        {
            "cellmap": {
                "annotation": {"annotation_type": {"type": "semantic_segmentation", "encoding": {"unknown": 255}}}
            }
        },
    ],
)
def test_voxels_that_were_not_annotated_count_as_neither(write, attributes):
    data = labels()
    data[:10] = 255
    data[10:20] = 1
    facts = describe_array(write(data, attributes=attributes))
    assert facts.kind == "binary"
    assert facts.unknown_share == 0.25
    assert facts.foreground_share == pytest.approx(1 / 3)
    assert facts.objects == 1
    assert "25 % unknown" in facts.words


def test_one_object_is_an_instance_where_the_attributes_say_so(write):
    data = labels()
    data[3] = 1
    assert describe_array(write(data, attributes={"cellmap_tui": {"kind": "instance"}})).kind == "instance"


@pytest.mark.parametrize("attributes", [{"cellmap_tui": 3}, {"cellmap": {"annotation": []}}, {"cellmap": None}])
def test_attributes_that_say_nothing_usable_are_silence(write, attributes):
    data = labels()
    data[3] = 1
    assert describe_array(write(data, attributes=attributes)).kind == "binary"


def test_a_volume_too_large_is_described_from_a_coarser_level_and_says_so(write):
    data = labels()
    data[:20] = 1
    facts = describe_array(write(data, levels=3), max_voxels=20_000)
    assert facts.is_estimate
    assert facts.level == "s1"
    assert facts.foreground_share == 0.5
    assert facts.shape == (40, 40, 40)
    assert facts.words.endswith("from a coarser level")


def test_parts_of_a_large_mask_are_counted_in_a_coarser_level(write, monkeypatch):
    monkeypatch.setattr(inspect, "COMPONENT_VOXELS", 10_000)
    data = labels()
    data[:8, :8, :8] = data[30:38, 30:38, 30:38] = 1
    facts = describe_array(write(data, levels=3))
    assert (facts.objects, facts.objects_level, facts.level) == (2, "s1", "s0")
    assert facts.median_object_voxels == 8**3
    assert "about 2 objects" in facts.words


def test_absent_chunks_count_as_their_fill_value(tmp_path):
    write_array(tmp_path / "a", labels(), GRID)
    metadata = json.loads((tmp_path / "a" / ".zarray").read_text())
    (tmp_path / "a" / ".zarray").write_text(json.dumps({**metadata, "fill_value": 1}))
    facts = describe_array(tmp_path / "a")
    assert (facts.kind, facts.foreground_share, facts.objects) == ("binary", 1.0, 1)


def test_what_holds_no_labels_is_refused(tmp_path, monkeypatch):
    write_array(tmp_path / "em", labels("f4"), GRID)
    with pytest.raises(DataError, match="not labels"):
        describe_array(tmp_path / "em")
    monkeypatch.setattr(inspect, "MAX_IDS", 100)
    write_array(tmp_path / "noise", np.arange(40**3, dtype=np.uint32).reshape(GRID.shape), GRID)
    with pytest.raises(DataError, match="these are not labels"):
        describe_array(tmp_path / "noise")
    with pytest.raises(MissingDataError):
        describe_array(tmp_path / "nothing")


def test_a_reader_may_give_up_between_chunks(write):
    def stop():
        raise Stopped("stopped")

    data = labels()
    data[:] = 1
    path = write(data)
    with pytest.raises(Stopped):
        describe_array(path, checkpoint=stop)
