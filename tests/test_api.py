from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import cellmap_tui as cm
from cellmap_tui.errors import RequestError, UnknownNameError
from cellmap_tui.services.demo import DemoRequest
from cellmap_tui.services.registry import COMMANDS


@pytest.fixture(autouse=True)
def _own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLMAP_TUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("CELLMAP_TUI_CONFIG_DIR", str(tmp_path / "config"))


def test_crops_and_annotations_take_the_filter_language():
    rows = cm.crops("mito dataset:hela voxel<=4")
    assert rows
    assert all("hela" in row.dataset for row in rows)
    assert len(cm.crop_annotations()) == 11_786


def test_classes_and_ids_are_explained():
    assert len(cm.classes()) == 77
    assert cm.resolve(37).name == "nuc"
    assert cm.resolve("chloroplast_mem").name == "chlor_mem"
    with pytest.raises(UnknownNameError, match="did you mean 'mito'"):
        cm.resolve("mtio")


def test_an_imported_volume_is_found_and_drawn(tmp_path):
    np.save(tmp_path / "em.npy", np.full((6, 32, 32), 90, np.uint8))
    result = cm.import_(
        data_root=tmp_path / "data", dataset="mine", raw=str(tmp_path / "em.npy"), voxel_size_nm=(8, 8, 8)
    )
    assert result.ref == "mine/crop1"
    assert cm.crop_detail("mine/1", data_root=tmp_path / "data").row.local
    image = cm.draw_slice("mine/1", data_root=tmp_path / "data", axis="y", width_px=32)
    assert image.rgb.shape[1] == 32
    cm.visualize("mine/1", tmp_path / "new" / "slice.png", data_root=tmp_path / "data")
    assert (tmp_path / "new" / "slice.png").read_bytes().startswith(b"\x89PNG")


def test_a_configuration_is_shown_with_what_is_set_on_top_of_it():
    shown = cm.config(epochs=4, classes=("mito", "er"), use_mutual_exclusion=True)
    values = {row.key: (row.value, row.origin) for row in shown.rows}
    assert shown.problems == ()
    assert values["epochs"] == (4, "--set")
    assert values["classes"][0] == ["mito", "er"]
    assert values["use_mutual_exclusion"][0] is True


def test_a_request_model_serves_as_well_as_keywords_but_not_both(tmp_path):
    request = DemoRequest(root=tmp_path / "demo", size="tiny", make_only=True)
    first = cm.demo(request)
    again = cm.demo(root=tmp_path / "demo", size="tiny", make_only=True)
    assert first.data_root == again.data_root
    with pytest.raises(RequestError, match="not both"):
        cm.demo(request, size="small")


def test_predictions_are_scored_against_local_truth(tmp_path):
    made = cm.demo(root=tmp_path / "demo", size="tiny", make_only=True)
    truth = "{dataset}/{dataset}.zarr/recon-1/labels/groundtruth/{crop}"
    result = cm.evaluate(
        predictions=f"{made.data_root}/{truth}", data_root=made.data_root, crops="9001", classes=("mito", "er")
    )
    assert {row.label: round(row.score, 6) for row in result.classes} == {"mito": 1.0, "er": 1.0}


def test_every_command_that_can_be_a_job_is_a_function():
    assert {name.replace("-", "_") for name in COMMANDS} - {"import"} <= set(dir(cm))


def test_an_unknown_keyword_names_the_nearest(tmp_path):
    with pytest.raises(RequestError, match="did you mean 'root'"):
        cm.demo(roto=tmp_path)


def test_the_interface_is_listed_and_unknown_names_are_errors():
    assert {"crops", "demo", "import_", "__version__"} <= set(dir(cm))
    assert getattr(cm, "import") is cm.import_
    with pytest.raises(AttributeError, match="fetch_everything"):
        _ = cm.fetch_everything


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "cellmap_tui", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"cellmap-tui {cm.__version__}"
