import shutil

import numpy as np
import pytest

from cellmap_tui.challenge.catalog import Catalog
from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.errors import Stopped
from cellmap_tui.services.inspect import inspect_crop
from cellmap_tui.services.models import to_builtins
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.write import write_multiscale

GRID = Grid((8.0, 4.0, 4.0), (0.0,) * 3, (20, 20, 20))
CROP = Crop(7, "cell", "train", GRID, ("mito", "nuc", "er"))
CATALOG = Catalog(builtin_classes(), [CROP])


@pytest.fixture
def root(tmp_path):
    mito = np.zeros(GRID.shape, np.uint8)
    mito[3:6] = 1
    ids = np.zeros(GRID.shape, np.uint8)
    ids[3:6] = 3
    for name, data in (("mito", mito), ("nuc", np.zeros(GRID.shape, np.uint8)), ("all", ids)):
        write_multiscale(tmp_path / label_path(CROP, name), data, GRID, kind="label")
    return tmp_path


def by_name(facts):
    return {entry.name: entry for entry in facts.classes}


def test_present_absent_missing_and_unknown_classes_are_told_apart(root):
    found = by_name(inspect_crop(root, CROP, CATALOG))
    assert found["mito"].badge == "present"
    assert found["mito"].words == "mask 0/1 · 15 % · 1 object"
    assert found["nuc"].badge == "absent (true negative)"
    assert found["er"].badge == "not on disk"
    assert found["ld"].badge == "unknown"
    assert len(found) == 48


def test_an_id_that_the_table_does_not_know_is_flagged(root):
    ids = np.full(GRID.shape, 3, np.uint8)
    ids[0, 0, 0] = 199
    write_multiscale(root / label_path(CROP, "all"), ids, GRID, kind="label", overwrite=True)
    facts = inspect_crop(root, CROP, CATALOG)
    assert facts.flagged_ids == (199,)
    assert facts.notes == ("`all` holds id 199 that the class table does not know",)


def test_known_ids_raise_no_flag(root):
    facts = inspect_crop(root, CROP, CATALOG)
    assert facts.flagged_ids == ()
    assert facts.notes == ()
    assert facts.all_ids.kind == "ids"


def test_a_crop_with_every_class_absent_is_resin(root):
    empty = np.zeros(GRID.shape, np.uint8)
    for name in ("mito", "er"):
        write_multiscale(root / label_path(CROP, name), empty, GRID, kind="label", overwrite=True)
    facts = inspect_crop(root, CROP, CATALOG)
    assert facts.badge == "resin/empty"
    assert any("empty resin" in note for note in facts.notes)


def test_a_crop_that_is_not_wholly_there_is_not_called_resin(root):
    shutil.rmtree(root / label_path(CROP, "mito"))
    assert inspect_crop(root, CROP, CATALOG).badge == ""
    shutil.rmtree(root / "cell")
    assert inspect_crop(root, CROP, CATALOG).badge == ""


def test_a_broken_array_does_not_hide_the_others(root):
    (root / label_path(CROP, "mito") / "s0" / ".zarray").write_text("[]")
    (root / label_path(CROP, "all") / ".zattrs").unlink()
    facts = inspect_crop(root, CROP, CATALOG)
    assert by_name(facts)["mito"].badge == "broken"
    assert by_name(facts)["nuc"].badge == "absent (true negative)"
    assert len(facts.notes) == 2
    assert all(".zarray" in note or ".zattrs" in note for note in facts.notes)


def test_every_em_level_is_listed_with_its_voxel_size_and_what_is_there(root):
    em = Grid((8.0, 4.0, 4.0), (0.0,) * 3, (64, 64, 64))
    write_multiscale(root / crop_em_path(CROP), np.ones(em.shape, np.uint8), em, chunks=(16, 16, 16), levels=2)
    shutil.rmtree(root / crop_em_path(CROP) / "s0" / "1")
    first, second = inspect_crop(root, CROP, CATALOG).em_levels
    assert (first.name, first.voxel_size_nm, first.is_anisotropic) == ("s0", (8.0, 4.0, 4.0), True)
    assert (first.chunks_on_disk, first.chunks) == (4, 8)
    assert (second.chunks_on_disk, second.chunks) == (1, 1)


def test_the_facts_can_be_written_as_json(root):
    assert to_builtins(inspect_crop(root, CROP, CATALOG))["classes"][0]["facts"]["kind"] == "binary"


def test_a_reader_may_stop_it(root):
    class Stopper(SilentReporter):
        def checkpoint(self):
            raise Stopped("stopped")

    with pytest.raises(Stopped):
        inspect_crop(root, CROP, CATALOG, Stopper())


def test_test_crops_are_not_said_to_lack_annotation(root):
    crop = Crop(7, "cell", "test", GRID, ("mito",))
    assert [entry.name for entry in inspect_crop(root, crop, CATALOG).classes] == ["mito"]
