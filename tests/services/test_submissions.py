from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError, UnknownNameError
from cellmap_tui.services.submission_log import SubmissionLog
from cellmap_tui.services.submissions import (
    compare_submissions,
    limits_words,
    list_submissions,
    note_upload,
    parse_time,
    score_submission,
    uploads_per_day,
)
from tests.services import packing as p
from tests.services import submissions as s


@pytest.fixture
def packed(tmp_path):
    """Two submissions, the second with one volume changed, one more and another checkpoint."""
    given = p.volumes()
    last = given.pop(("crop558", "pm"))
    p.predictions(tmp_path, given)
    (tmp_path / "best.pt").write_bytes(b"1")
    first = p.pack(tmp_path, output=tmp_path / "first.zip", checkpoints=(tmp_path / "best.pt",))
    (tmp_path / "best.pt").write_bytes(b"2")
    p.predictions(tmp_path, {("crop558", "pm"): last, ("crop557", "er"): np.roll(s.mask(), 2, 0)})
    second = p.pack(tmp_path, output=tmp_path / "second.zip", checkpoints=(tmp_path / "best.pt",))
    return tmp_path / "state", first, second


def test_the_log_lists_the_latest_first(packed):
    state, first, second = packed
    assert [x.sha256 for x in list_submissions(state)] == [second.sha256, first.sha256]
    assert list_submissions(state / "nowhere") == ()


def test_uploads_and_scores_are_kept_and_counted_per_day(packed):
    state, first, _ = packed
    note_upload(state, first.log_id, note="baseline", time_s=parse_time("2026-07-01T10:00"))
    note_upload(state, str(first.zip), time_s=parse_time("2026-07-01T18:00"))
    found = score_submission(state, first.log_id, origin="returned", overall=0.41)
    assert [upload.note for upload in found.uploads] == ["baseline", ""]
    assert found.score("returned").overall == 0.41
    assert found.score("local") is None
    assert uploads_per_day(list_submissions(state)) == {"2026-07-01": 2}
    assert "2026-" in limits_words()
    assert "submissions/" in limits_words()


def test_a_score_is_read_from_a_result_file(packed, tmp_path):
    state, first, _ = packed
    content = {"overall_score": 0.5, "overall_instance_score": 0.25, "cellmap_tui": {"profile": "2026-06"}}
    (tmp_path / "r.json").write_text(json.dumps(content))
    note = score_submission(state, first.log_id, origin="local", file=tmp_path / "r.json").score("local")
    assert (note.overall, note.instance, note.semantic, note.profile) == (0.5, 0.25, None, "2026-06")


@pytest.mark.parametrize("content", ["[", "[1]", "{}", '{"overall_score": "high"}', '{"overall_score": true}'])
def test_a_file_that_is_no_result_is_told(packed, tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(DataError):
        score_submission(packed[0], "latest", origin="local", file=tmp_path / "r.json")


def test_what_is_no_score_no_date_and_no_submission_is_told(packed, tmp_path):
    for wrong in (1.5, -0.1, float("nan")):
        with pytest.raises(RequestError, match="no score"):
            score_submission(packed[0], "latest", origin="returned", overall=wrong)
    with pytest.raises(RequestError):
        score_submission(packed[0], "latest", origin="returned")
    with pytest.raises(MissingDataError):
        score_submission(packed[0], "latest", origin="local", file=tmp_path / "no.json")
    with pytest.raises(RequestError, match="not a date"):
        parse_time("yesterday")
    with pytest.raises(UnknownNameError):
        note_upload(packed[0], "ffffffff")
    with pytest.raises(RequestError, match="2199-01-01 is still to come"):
        note_upload(packed[0], packed[1].log_id, time_s=parse_time("2199-01-01"))
    assert not any(submission.uploads for submission in list_submissions(packed[0]))
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(DataError):
        note_upload(packed[0], str(tmp_path / "text.zip"))


def test_what_changed_is_told_volume_by_volume(packed):
    state, first, second = packed
    score_submission(state, first.log_id, origin="returned", overall=0.3)
    found = compare_submissions(state)
    assert (found.before, found.after, found.same) == (first.log_id, second.log_id, 2)
    assert [(c.volume, c.change) for c in found.volumes] == [("crop557/er", "changed"), ("crop558/pm", "added")]
    assert any(line.startswith("checkpoints: best.pt") for line in found.provenance)
    assert found.scores["returned"] == (0.3, None)
    backwards = compare_submissions(state, first.log_id, second.log_id)
    assert [c.change for c in backwards.volumes] == ["changed", "removed"]
    with pytest.raises(UnknownNameError, match="before"):
        compare_submissions(state, first.log_id)


def test_a_zip_from_elsewhere_is_taken_into_the_log_and_compared(packed, tmp_path):
    state, _, second = packed
    folder = s.write_store(tmp_path / "other.zarr", p.volumes())
    other = s.zip_folder(folder, tmp_path / "other.zip")
    found = note_upload(state, str(other))
    assert (found.packed_s, found.present) == (None, 4)
    assert len(compare_submissions(state, found.id, second.log_id).volumes) == 4


def test_a_torn_line_and_one_of_another_version_hide_nothing(packed):
    state, first, second = packed
    with (state / "submissions.jsonl").open("ab") as file:
        file.write(b'{"event": "packed", "time": 1, "sha256": "x"}\n7\n{"event": "scor')
    assert len(list_submissions(state)) == 2
    score_submission(state, second.log_id, origin="local", overall=0.7)
    assert SubmissionLog(state).find(second.sha256).score("local").overall == 0.7
    assert SubmissionLog(state).find("latest").id != first.log_id


def test_many_processes_write_whole_lines(packed):
    state, first, _ = packed
    code = "import sys, pathlib; from cellmap_tui.services.submissions import note_upload as n\n"
    code += "[n(pathlib.Path(sys.argv[1]), sys.argv[2]) for _ in range(20)]"
    running = [subprocess.Popen([sys.executable, "-c", code, str(state), first.log_id]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(SubmissionLog(state).find(first.log_id).uploads) == 60


def test_a_log_that_cannot_be_written_does_not_lose_the_zip(tmp_path):
    p.predictions(tmp_path)
    (tmp_path / "state").write_text("a file")
    result = p.pack(tmp_path)
    assert result.zip.exists()
    assert result.log_id == ""
    with pytest.raises(CellmapError):
        note_upload(tmp_path / "state", str(result.zip))
