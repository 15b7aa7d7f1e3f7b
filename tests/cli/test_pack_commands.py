from __future__ import annotations

import pytest

from tests.services import packing as p
from tests.services import submissions as s


@pytest.fixture
def packable(tmp_path):
    s.write_manifest(tmp_path / "test.csv", p.PAIRS)
    return p.predictions(tmp_path / "data", {("crop557", "mito"): s.blobs(3), ("crop558", "pm"): s.mask()})


def test_predictions_become_a_zip_that_passes_with_the_official_flags(cellmap, packable, tmp_path):
    template = f"{packable}/processed/{{dataset}}.zarr/{{crop}}"
    words = ("--batch", "--json", "pack-results", "--input_search_path", template, "-o", "sub.zip", "-O", "-w", "2")
    answer = cellmap(*words, "--fill-missing", "zeros", "--test-manifest", "test.csv")
    result = answer.events[-1]["value"]
    assert (answer.code, result["present"], result["filled"], result["missing"]) == (0, 2, 2, 0)
    checked = cellmap("--batch", "--json", "validate-submission", "sub.zip", "--test-manifest", "test.csv")
    assert checked.code == 0
    assert checked.events[-1]["value"]["present"] == 4
    listed = cellmap("submissions", "--json").document
    assert [row["sha256"] for row in listed] == [result["sha256"]]


def test_the_default_input_and_output_lie_below_the_data_root(cellmap, packable):
    answer = cellmap("--batch", "--data-root", packable, "pack-results", "--test-manifest", "test.csv")
    assert answer.code == 0
    assert "2 of 4 volumes: 2 predicted" in answer.out
    assert (packable / "submission.zip").exists()
    again = cellmap("--batch", "--data-root", packable, "pack-results", "--test-manifest", "test.csv")
    assert again.code == 3
    assert "--overwrite" in again.err
    looked = cellmap("--data-root", packable, "pack-results", "--dry-run", "--test-manifest", "test.csv")
    assert looked.code == 0
    assert "exists already: packing replaces it only with --overwrite" in looked.err
    assert "2 volumes to pack" in looked.out


def test_a_dry_run_shows_gaps_and_writes_nothing(cellmap, packable):
    answer = cellmap("--data-root", packable, "pack-results", "--dry-run", "--test-manifest", "test.csv")
    assert answer.code == 0
    assert "crop557/er is missing: all 21 504 voxels count as missed" in answer.out
    assert not (packable / "submission.zip").exists()


def test_a_volume_that_cannot_be_packed_is_exit_code_1(cellmap, packable):
    p.write(packable / "processed" / f"{p.DATASET}.zarr" / "crop557" / "mito", s.blobs(3) / 2)
    answer = cellmap("--batch", "--data-root", packable, "pack-results", "--test-manifest", "test.csv")
    assert answer.code == 1
    assert "fractions where ids of objects are due" in answer.out
    assert "--skip-wrong" in answer.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-i", "nowhere"), 1),
        (("-w", "0"), 2),
        (("--label", "mito"), 2),
        (("--fill-missing", "ones"), 2),
        (("--memory", "much"), 2),
    ],
)
def test_wrong_options_are_told_in_a_line(cellmap, packable, words, code):
    answer = cellmap(
        "--batch", "--quiet", "--data-root", packable, "pack-results", *words, "--test-manifest", "test.csv"
    )
    assert answer.code == code
    assert "Traceback" not in answer.err
    assert answer.err.startswith("error: ")


def test_the_log_is_filled_and_compared_on_the_command_line(cellmap, packable):
    base = ("--batch", "--quiet", "--data-root", packable, "pack-results", "--test-manifest", "test.csv")
    cellmap(*base, "-o", "a.zip")
    p.write(packable / "processed" / f"{p.DATASET}.zarr" / "crop558" / "pm", s.mask() * 0)
    cellmap(*base, "-o", "b.zip")
    assert (
        "uploaded 2026-07-01 14:30  baseline"
        in cellmap("submissions", "upload", "a.zip", "--date", "2026-07-01T14:30", "--note", "baseline").out
    )
    assert "returned 0.4120" in cellmap("submissions", "score", "a.zip", "--returned", "0.412").out
    assert "changed  crop558/pm" in cellmap("submissions", "diff").out
    table = cellmap("submissions")
    assert "handed in: 1 on 2026-07-01" in table.out
    assert "as of 2026-06-30" in table.err
    assert cellmap("submissions", "show", "ffffffff").code == 2
    assert cellmap("submissions", "score", "latest", "--returned", "7").code == 2
