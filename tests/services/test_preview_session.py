"""Previews one after the other are those that are made anew, and cost only what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cellmap_tui.challenge.layout import crop_em_path
from cellmap_tui.errors import MissingDataError, Stopped
from cellmap_tui.services import preview_session
from cellmap_tui.services.predicted_crops import predicted_crops
from cellmap_tui.services.preview_session import PreviewSession
from cellmap_tui.services.process_model import PreviewRequest, ProcessRequest
from cellmap_tui.services.process_preview import preview
from tests.services.processing import predicted_crop, write_em, write_prediction

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (30, 40, 70)
RECIPE = """[classes.ves]
steps = [{ step = "smooth", sigma_nm = %s }, { step = "threshold", above = %s }, "fill_holes", "cores",
         { step = "remove_small", min_voxels = %s }]
"""


def asked(root: Path, *values: float, **changes: object) -> PreviewRequest:
    recipe = RECIPE % values if values else ""
    return PreviewRequest("mine/1", "ves", recipe, data_root=root, **changes)  # type: ignore[arg-type]


def test_whatever_was_shown_before_a_preview_is_the_same(tmp_path: Path) -> None:
    predicted_crop(tmp_path, 1, SHAPE, noise=0.3)
    session = PreviewSession()
    wishes = [
        asked(tmp_path, 8, 0.5, 20),
        asked(tmp_path, 8, 0.5, 200),
        asked(tmp_path, 8, 0.4, 200),
        asked(tmp_path, 4, 0.4, 200, axis="y", index=3),
        asked(tmp_path, 4, 0.4, 200, axis="y", index=4, context=2),
        asked(tmp_path),
        asked(tmp_path, 8, 0.5, 20),
    ]
    for wish in wishes:
        seen, anew = session.show(wish), preview(wish)
        np.testing.assert_array_equal(seen.labels, anew.labels)
        np.testing.assert_array_equal(seen.probability, anew.probability)
        assert (seen.steps, seen.index, seen.is_whole) == (anew.steps, anew.index, anew.is_whole)


def test_only_the_steps_that_changed_are_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predicted_crop(tmp_path, 1, SHAPE)
    done: list[str] = []
    carry_out = preview_session.carry_out

    def watched(recipe, *args, **options):
        done.extend(step.name for step in recipe.steps)
        return carry_out(recipe, *args, **options)

    monkeypatch.setattr(preview_session, "carry_out", watched)
    session = PreviewSession()
    session.show(asked(tmp_path, 8, 0.5, 20))
    done.clear()
    session.show(asked(tmp_path, 8, 0.5, 400))
    assert done == ["remove_small"]
    done.clear()
    session.show(asked(tmp_path, 8, 0.3, 400))
    assert done == ["threshold", "fill_holes", "cores", "remove_small"]


def test_a_preview_that_nobody_waits_for_is_given_up_between_two_steps(tmp_path: Path) -> None:
    predicted_crop(tmp_path, 1, SHAPE)
    session = PreviewSession()
    with pytest.raises(Stopped):
        session.show(asked(tmp_path, 8, 0.5, 20), lambda: True)
    assert session.show(asked(tmp_path, 8, 0.5, 20)).steps[-1].objects is not None


def test_a_core_that_is_missing_is_told_although_the_recipe_before_did_without(tmp_path: Path) -> None:
    predicted_crop(tmp_path, 1, SHAPE)
    write_prediction(tmp_path, predicted_crop(tmp_path, 2, SHAPE)[0], "mito", np.zeros(SHAPE, np.uint8))
    session = PreviewSession()
    text = '[classes.mito]\nsteps = ["threshold", { step = "cores", missing = "%s" }]'
    wish = PreviewRequest("mine/2", "mito", text % "components", data_root=tmp_path)
    assert session.show(wish).steps[-1].objects == 0
    with pytest.raises(MissingDataError, match="mito/core"):
        session.show(PreviewRequest("mine/2", "mito", text % "fail", data_root=tmp_path))


def test_crops_with_predictions_are_found_with_their_classes_and_groups(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1, SHAPE)
    write_prediction(tmp_path, crop, "er_mem", np.zeros(SHAPE, np.uint8))
    (found,) = predicted_crops(ProcessRequest(data_root=tmp_path, state_dir=tmp_path / "state"))
    assert (found.ref, found.split) == ("mine/crop1", "train")
    assert set(found.classes) == {"ves", "er_mem"}
    assert "er" in found.groups
    assert "ves" not in found.groups


def test_the_em_of_a_slice_lies_on_the_voxels_of_the_prediction(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1, SHAPE)
    session = PreviewSession()
    assert session.em(asked(tmp_path)) is None

    session, values = PreviewSession(), write_em(tmp_path, crop)

    np.testing.assert_array_equal(session.em(asked(tmp_path)), values[15])
    np.testing.assert_array_equal(session.em(asked(tmp_path, axis="x", index=4)), values[:, :, 4])


def test_em_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    crop, _ = predicted_crop(tmp_path, 1, SHAPE)
    write_em(tmp_path, crop)
    (tmp_path / crop_em_path(crop) / ".zattrs").write_text("{")

    assert PreviewSession().em(asked(tmp_path)) is None
