from __future__ import annotations

import csv
import io
import subprocess
import sys

import pytest

from cellmap_tui.version import __version__

CROP_FIELDS = {"crop", "dataset", "split", "classes", "voxel_size_nm", "shape", "local"}


def test_version_is_one_line_on_stdout(cellmap):
    answer = cellmap("--version")
    assert (answer.code, answer.out, answer.err) == (0, f"cellmap-tui {__version__}\n", "")


def test_crops_answers_a_filter_with_one_json_document(cellmap):
    answer = cellmap("crops", "--json", "mito dataset:hela voxel<=4")
    assert answer.code == 0
    assert answer.err == ""
    rows = answer.document
    assert rows
    for row in rows:
        assert set(row) >= CROP_FIELDS
        assert "hela" in row["dataset"]
        assert {"mito", "mito_mem", "mito_lum", "mito_ribo"} & set(row["classes"])
        assert max(row["voxel_size_nm"]) <= 4
        assert row["local"] is False


@pytest.mark.parametrize(
    "words", [("--json", "crops", "234"), ("crops", "--json", "234"), ("crops", "234", "--json")]
)
def test_global_options_stand_anywhere(cellmap, words):
    rows = cellmap(*words).document
    assert [(row["crop"], row["dataset"], row["shape"]) for row in rows] == [(234, "jrc_cos7-1a", [400, 400, 400])]


def test_all_crops_are_289_for_training_and_16_for_tests(cellmap):
    rows = cellmap("crops", "--json").document
    assert [sum(row["split"] == split for row in rows) for split in ("train", "test")] == [289, 16]


def test_annotations_are_11786_rows_in_csv(cellmap):
    rows = list(csv.DictReader(io.StringIO(cellmap("crops", "--annotations", "--csv").out)))
    assert len(rows) == 11_786
    assert {"crop", "dataset", "class", "voxel_size_nm"} <= set(rows[0])


def test_classes_are_77_and_48_are_scored(cellmap):
    rows = cellmap("classes", "--json").document
    assert len(rows) == 77
    assert sum(row["scoring"] is not None for row in rows) == 48
    assert sum(row["scoring"] == "instance" for row in rows) == 10


@pytest.mark.parametrize("name", ["56", "57", "58", "isg_mem"])
def test_insulin_granule_parts_are_outside_the_challenge(cellmap, name):
    answer = cellmap("classes", "--resolve", name)
    assert answer.code == 0
    assert "outside the challenge" in answer.out


def test_resolving_an_id_names_its_groups(cellmap):
    found = cellmap("classes", "--resolve", "2", "--json").document
    assert (found["name"], found["parents"]) == ("pm", ["cell"])


def test_voxel_sizes_of_a_class_suggest_a_scale_and_say_why(cellmap):
    answer = cellmap("classes", "--voxel-sizes", "nuc")
    assert answer.code == 0
    assert "suggested training scale" in answer.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["crops", "mtio"], ["'mtio' at position 1", "did you mean 'mito'?"]),
        (["crops", "mito datset:hela"], ["datset", "did you mean 'dataset'"]),
        (["crops", "mito voxel<=four"], ["'four' at position 13", "voxel<=4"]),
        (["crops", "--detail", "99999"], ["99999"]),
        (["classes", "mtio"], ["did you mean 'mito'?"]),
        (["clases"], ["did you mean 'classes'?"]),
        (["crops", "--colour"], ["--colour", "crops --help"]),
        (["crops", "--exclude", "234"], ["needs a reason"]),
        (["runs", "show", "x"], ["there are no runs"]),
    ],
)
def test_a_wrong_request_is_one_clear_error_with_a_way_on(cellmap, words, parts):
    answer = cellmap(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert len(answer.err.splitlines()) <= 2
    for part in parts:
        assert part in answer.err


def test_debug_shows_where_an_error_came_from(cellmap):
    answer = cellmap("--debug", "crops", "mtio")
    assert answer.code == 2
    assert "Traceback" in answer.err


def test_a_closed_pipe_ends_quietly(environ):
    line = f'"{sys.executable}" -m cellmap_tui crops --annotations --csv | head -1'
    done = subprocess.run(["bash", "-c", line], env=environ, capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.startswith("crop,dataset,split,class")
    assert done.stderr == ""


def test_a_data_root_that_is_a_file_is_named_with_the_way_on(cellmap, tmp_path):
    root = tmp_path / "file"
    root.write_text("")
    answer = cellmap("crops", "--data-root", root)
    assert answer.code == 2
    assert "is a file" in answer.err
    assert "--data-root" in answer.err


def test_the_environment_sets_the_data_root(cellmap, tmp_path):
    root = tmp_path / "file"
    root.write_text("")
    assert str(root) in cellmap("crops", CELLMAP_TUI_DATA_ROOT=root).err


def test_an_excluded_crop_is_listed_with_its_reason_and_taken_back(cellmap, tmp_path):
    root = tmp_path / "data"
    assert cellmap("--data-root", root, "crops", "--exclude", "234,236", "--reason", "resin only").code == 0
    rows = cellmap("--data-root", root, "crops", "--json", "excluded").document
    assert [(row["crop"], row["excluded"]) for row in rows] == [(234, "resin only"), (236, "resin only")]
    assert cellmap("--data-root", root, "crops", "--include", "234").code == 0
    assert len(cellmap("--data-root", root, "crops", "--json", "excluded").document) == 1


def test_a_manifest_takes_the_place_of_the_built_in_table(cellmap, tmp_path):
    manifest = tmp_path / "train.csv"
    manifest.write_text(
        "crop_name,dataset,class_label,voxel_size,translation,shape\n"
        "7,my_cell,nuc,[4.0;4.0;4.0],[0.0;0.0;0.0],[10;20;30]\n"
    )
    rows = cellmap("crops", "--json", "--train-manifest", manifest, "split:train").document
    assert [(row["crop"], row["dataset"], row["classes"], row["shape"]) for row in rows] == [
        (7, "my_cell", ["nuc"], [10, 20, 30])
    ]


@pytest.mark.parametrize("dataset", ["../escape", "a/b", "bad\x1b[31m", ""])
def test_a_manifest_with_a_name_that_is_no_folder_is_refused(cellmap, tmp_path, dataset):
    manifest = tmp_path / "train.csv"
    manifest.write_text(
        "crop_name,dataset,class_label,voxel_size,translation,shape\n"
        f"7,{dataset},nuc,[4.0;4.0;4.0],[0.0;0.0;0.0],[10;20;30]\n"
    )
    answer = cellmap("crops", "--train-manifest", manifest)
    assert answer.code in {1, 2}
    assert "train.csv" in answer.err
    assert "\x1b" not in answer.err


def test_a_catalog_refresh_shows_the_difference_and_keeps_it(cellmap, tmp_path):
    manifest = tmp_path / "test.csv"
    manifest.write_text(
        "crop_name,dataset,class_label,voxel_size,translation,shape\n"
        "900,new_cell,nuc,[4.0;4.0;4.0],[0.0;0.0;0.0],[10;20;30]\n"
    )
    dry = cellmap("catalog", "refresh", "--test-manifest", manifest, "--dry-run")
    assert dry.code == 0
    assert "+ new_cell/crop900" in dry.out
    assert len(cellmap("crops", "--json", "split:test").document) == 16
    assert cellmap("--json", "catalog", "refresh", "--test-manifest", manifest).events[-1]["event"] == "result"
    assert [row["crop"] for row in cellmap("crops", "--json", "split:test").document] == [900]
    assert cellmap("catalog", "refresh", "--builtin").code == 0
    assert len(cellmap("crops", "--json", "split:test").document) == 16


def test_a_failed_refresh_keeps_the_old_table(cellmap, tmp_path):
    manifest = tmp_path / "test.csv"
    manifest.write_text("crop_name,dataset\n1,x\n")
    answer = cellmap("--json", "catalog", "refresh", "--test-manifest", manifest)
    assert answer.code == 1
    assert answer.events[-1]["event"] == "error"
    assert len(cellmap("crops", "--json", "split:test").document) == 16


def test_doctor_answers_in_json_and_with_an_exit_code_that_tells_of_problems(cellmap):
    answer = cellmap("doctor", "--json")
    checks = answer.document["checks"]
    assert {"python", "torch", "memory"} <= {check["name"].lower() for check in checks}
    assert answer.code == int(any(check["status"] == "problem" for check in checks))
