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
