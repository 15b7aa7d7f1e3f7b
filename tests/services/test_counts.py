"""Counts of classes, against what was written."""

from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cellmap_tui.challenge.layout import label_path
from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.services.counts import get_counts
from cellmap_tui.services.counts_model import CountsRequest
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.write import write_multiscale
from tests.services.split_data import make_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.counts_model import CountsResult


def _count(root: Path, *classes: str, **options: object) -> CountsResult:
    return get_counts(CountsRequest(root, classes, **options), SilentReporter())  # type: ignore[arg-type]


def test_crops_voxels_volumes_and_objects_are_counted_by_class_and_dataset(tmp_path: Path) -> None:
    made = make_dataset(tmp_path, "a", {1: {"mito": 0.5, "er": 0.0}, 2: {"mito": 0.0}, 3: {"er": 0.25}})
    make_dataset(tmp_path, "b", {1: {"mito": 0.25}}, missing=frozenset())
    ids = np.zeros((16, 16, 16), np.uint16)
    ids[:4], ids[4:8], ids[12:] = 1, 2, 9
    path = tmp_path / label_path(made[0], "mito")
    shutil.rmtree(path)
    write_multiscale(path, ids, made[0].grid, kind="label")
    result = _count(tmp_path, "mito", "er")
    total = {row.name: row for row in result.totals}
    assert (total["mito"].annotated, total["mito"].present) == (3, 2)
    assert total["mito"].voxels == 12 * 256 + 4 * 256
    assert total["mito"].volume_um3 == pytest.approx(16 * 256 * 8**3 / 1e9)
    assert total["mito"].objects == 4
    assert total["mito"].touching_share == pytest.approx(2 / 3)
    assert [(row.dataset, row.name, row.present) for row in result.datasets] == [
        ("a", "mito", 1),
        ("a", "er", 1),
        ("b", "mito", 1),
    ]
    states = {(row.ref, row.name): row.state for row in result.crops}
    assert states["a/crop1", "er"] == "absent"
    assert states["a/crop2", "er"] == "unknown"
    assert result.exit_code == 0


def test_a_group_counts_as_its_members_where_only_those_are_annotated(tmp_path: Path) -> None:
    make_dataset(tmp_path, "a", {1: {"mito_mem": 0.25, "mito_lum": 0.25}, 2: {"mito": 0.5, "mito_mem": 0.25}})
    rows = {row.ref: row for row in _count(tmp_path, "mito").crops}
    assert rows["a/crop1"].voxels == rows["a/crop2"].voxels == 8 * 256
    assert (rows["a/crop1"].is_complete, rows["a/crop2"].is_complete) == (False, True)
    assert rows["a/crop1"].objects is None
    assert rows["a/crop2"].objects == 1


def test_all_classes_are_those_that_are_annotated_on_disk(tmp_path: Path) -> None:
    make_dataset(tmp_path, "a", {1: {"pm": 0.5, "er": 0.0, "own_thing": 0.5}})
    assert _count(tmp_path).classes == ("pm", "er", "own_thing")
    with pytest.raises(RequestError, match="nothere"):
        _count(tmp_path, "nothere")


def test_the_rows_are_written_as_csv_and_a_broken_array_shows_in_the_exit_code(tmp_path: Path) -> None:
    made = make_dataset(
        tmp_path, "own", {1: {"pm": 0.5}, 2: {"pm": 0.5}, 3: {"pm": 0.5}}, missing=frozenset({(3, "pm")})
    )
    (tmp_path / label_path(made[1], "pm") / "s0" / ".zarray").write_text("{")
    result = _count(tmp_path, "pm", output=tmp_path / "counts.csv", crops="dataset:own")
    with (tmp_path / "counts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["present", "broken", "missing"]
    assert rows[0]["shape"] == "16;16;16"
    assert rows[1]["voxels"] == ""
    assert result.exit_code == 1


def test_counts_replace_counts_and_nothing_else(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", {1: {"pm": 0.5}})
    table, targets = tmp_path / "counts.csv", tmp_path / "targets.toml"
    targets.write_text("[targets]\n")
    for _ in range(2):
        assert _count(tmp_path, "pm", output=table, crops="dataset:own").output == table
    with pytest.raises(RefusedError, match="exists and is no table"):
        _count(tmp_path, "pm", output=targets, crops="dataset:own")
    assert targets.read_text() == "[targets]\n"
