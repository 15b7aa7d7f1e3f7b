"""What `process` says before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.services.process import plan_process
from cellmap_tui.services.process_model import ProcessRequest
from tests.services.processing import predicted_crop

if TYPE_CHECKING:
    from pathlib import Path


def test_a_class_of_the_recipe_that_nobody_knows_is_told(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[classes.vess]\nsteps = ["threshold"]\n[classes.golgi]\nsteps = ["threshold"]\n')
    plan = plan_process(ProcessRequest(data_root=tmp_path, crops=crop.ref, recipe=recipe))
    assert [note for note in plan.notes if "vess changes nothing" in note and "did you mean ves?" in note]
    assert not [note for note in plan.notes if "golgi" in note]


def test_a_class_that_is_neither_predicted_nor_made_is_told_where_it_is_needed(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1)
    recipe = tmp_path / "recipe.toml"
    for step in (
        '{ step = "exclude", classes = ["mitoo"] }',
        '{ step = "exclude", by = "probability", classes = ["mitoo"] }',
    ):
        recipe.write_text(f'[classes.ves]\nsteps = ["threshold", {step}]\n')
        plan = plan_process(ProcessRequest(data_root=tmp_path, crops=crop.ref, recipe=recipe, classes=("ves",)))
        (volume,) = plan.volumes
        assert volume.state == "broken"
        assert "ves needs" in volume.words
        assert "mitoo" in volume.words
        assert plan.voxels == 0
