import shutil
from dataclasses import replace

import numpy as np
import pytest

import cellmap_tui.learning.bank_build as bank_build
import cellmap_tui.learning.bank_cache as bank_cache
from cellmap_tui.challenge.datasplit import Split, SplitRow
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.targets import parse_targets, targets_of
from cellmap_tui.errors import DataError, MissingDataError, RefusedError, RequestError, Stopped
from cellmap_tui.learning.bank import CropSource, open_bank, sources_of
from cellmap_tui.learning.codebook import ABSENT, PRESENT, UNKNOWN

from .bank_data import Heard, blobs, dense, noise, request, source, tree_hash, write_em, write_labels

SHAPE = (40, 44, 48)
EM = Grid((8.0,) * 3, (4.0,) * 3, (72, 76, 80))
CROP = Grid((8.0,) * 3, (4.0 + 16 * 8,) * 3, SHAPE)


@pytest.fixture
def crop(tmp_path):
    """EM of noise and a crop with two classes inside it."""
    grey = noise(EM.shape)
    mito, er = blobs(SHAPE, 1), blobs(SHAPE, 2) * 5
    em = write_em(tmp_path, grey, EM)
    labels = write_labels(tmp_path, 1, CROP, mito=mito, er=er)
    return source(em, labels), grey, mito, er


def test_a_bank_holds_grey_values_with_context_and_the_state_of_each_target(tmp_path, crop):
    where, grey, mito, er = crop
    bank = open_bank(request(tmp_path, where, targets=("mito", "er"), context_voxels=(3, 5, 7)))
    found = bank.crops[0]
    assert bank.columns == ("mito", "er")
    assert found.grid == CROP
    assert (found.em == grey[13:59, 11:65, 9:71]).all()
    assert found.em_valid is None
    assert (dense(bank) == np.stack([mito != 0, er != 0])).all()
    assert found.codes.dtype == np.uint8
    assert found.present(0) == mito.sum()
    assert found.known(1) == er.size
    assert not found.em.flags.writeable


def test_a_class_that_a_crop_does_not_annotate_is_unknown_there(tmp_path, crop):
    where, *_ = crop
    other = write_labels(tmp_path, 2, CROP, er=blobs(SHAPE, 3))
    bank = open_bank(request(tmp_path, where, source(where.em, other), targets=("mito", "er")))
    assert (dense(bank, 1)[0] == UNKNOWN).all()
    assert bank.crops[1].first_code == len(bank.book_of(bank.crops[0]))
    assert bank.crops[1].counts[0].tolist() == [0, 0, CROP.voxels]


def test_classes_that_a_split_leaves_out_are_not_used(tmp_path, crop):
    where, _, mito, _ = crop
    bank = open_bank(request(tmp_path, replace(where, classes=("mito",)), targets=("mito",)))
    assert (dense(bank)[0] == mito).all()
    with pytest.raises(MissingDataError, match="the split names only mito; 1 of its crops is annotated for 'er'"):
        open_bank(request(tmp_path, replace(where, classes=("mito",)), targets=("mito", "er")))


def test_values_that_say_not_annotated_are_unknown(tmp_path, crop):
    where, *_ = crop
    data = blobs(SHAPE)
    data[:10] = 9
    labels = write_labels(tmp_path, 3, CROP, attributes={"cellmap_tui": {"unknown_value": 9}}, mito=data)
    states = dense(open_bank(request(tmp_path, source(where.em, labels))))[0]
    assert (states[:10] == UNKNOWN).all()
    assert (states[10:] == data[10:]).all()


def test_where_one_array_ends_its_class_is_unknown(tmp_path, crop):
    where, _, mito, _ = crop
    small = Grid((8.0,) * 3, CROP.translation_nm, (20, 44, 48))
    write_labels(tmp_path, 1, small, er=np.ones(small.shape, np.uint8))
    states = dense(open_bank(request(tmp_path, where, targets=("mito", "er"))))
    assert (states[0] == mito).all()
    assert (states[1, :20] == PRESENT).all()
    assert (states[1, 20:] == UNKNOWN).all()


def test_seeds_are_present_voxels_all_over_the_crop(tmp_path, crop):
    where, _, mito, _ = crop
    rare = np.zeros(SHAPE, np.uint8)
    rare[7, 8, 9] = rare[30, 40, 47] = 1
    write_labels(tmp_path, 1, CROP, nuc=rare)
    common, lone = open_bank(request(tmp_path, where, targets=("mito", "nuc"), seeds=200)).crops[0].seeds
    assert common.dtype == np.int32
    assert len(common) == 200
    assert mito[tuple(common.T)].all()
    assert np.ptp(common, axis=0).min() > 30
    assert sorted(map(tuple, lone.tolist())) == [(7, 8, 9), (30, 40, 47)]


def test_more_than_256_combinations_take_two_bytes(tmp_path, crop):
    where, *_ = crop
    names = ["mito", "er", "nuc", "ld", "ves", "endo", "lyso", "perox", "np"]
    random = np.random.default_rng(0)
    classes = {name: random.integers(0, 2, SHAPE).astype(np.uint8) for name in names}
    labels = write_labels(tmp_path, 4, CROP, **classes)
    bank = open_bank(request(tmp_path, source(where.em, labels), targets=tuple(names)))
    assert bank.crops[0].codes.dtype == np.uint16
    assert (dense(bank) == np.stack(list(classes.values()))).all()


def test_em_beyond_its_edge_or_not_on_disk_is_marked(tmp_path, crop):
    where, grey, *_ = crop
    shutil.rmtree(where.em / "s0" / "0" / "0" / "0", ignore_errors=True)
    (where.em / "s0" / "0" / "0" / "0").unlink(missing_ok=True)
    found = open_bank(request(tmp_path, where, context_voxels=(20, 0, 0))).crops[0]
    inside = np.zeros(found.em.shape, bool)
    inside[4:76] = True
    inside[4:36, :16, :16] = False
    assert (found.em_valid == inside).all()
    assert (found.em[36:76] == grey[32:72, 16:60, 16:64]).all()
    assert not found.em[:4].any()
    assert not found.em[~inside].any()


def test_16_bit_em_becomes_8_bit_by_the_window_of_the_volume(tmp_path, crop):
    where, *_ = crop
    deep = np.random.default_rng(1).normal(30_000, 1000, EM.shape).astype(np.uint16)
    em = write_em(tmp_path, deep, EM)
    found = open_bank(request(tmp_path, replace(where, em=em))).crops[0].em.astype(float)
    truth = deep[16:56, 16:60, 16:64].astype(float)
    assert 100 < found.mean() < 155
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.99


def test_coarse_labels_are_left_out_or_enlarged_as_asked(tmp_path, crop):
    where, *_ = crop
    coarse = Grid((16.0,) * 3, (CROP.lower_nm[0] + 8,) * 3, (20, 22, 24))
    data = blobs(coarse.shape)
    labels = write_labels(tmp_path, 5, coarse, mito=data)
    heard = Heard()
    bank = open_bank(request(tmp_path, where, source(where.em, labels)), heard)
    assert [crop.ref for crop in bank.crops] == ["set/crop1"]
    assert bank.left_out[0].ref == "set/crop5"
    assert "16 nm, coarser than 8 nm" in heard.warnings[0]
    large = open_bank(request(tmp_path, source(where.em, labels), coarse_labels="upsample"))
    assert (dense(large)[0] == data.repeat(2, 0).repeat(2, 1).repeat(2, 2)).all()


def test_a_union_at_a_coarser_voxel_size_is_voted_on_as_a_whole(tmp_path, crop):
    where, *_ = crop
    mem = np.zeros(SHAPE, np.uint8)
    lum = np.zeros(SHAPE, np.uint8)
    mem[:, :, 0:48:2] = 1
    mem[:, 0:44:2, 1:48:2] = 0
    lum[:, 0:44:2, 1:48:2] = 1
    lum[:, :, 0:48:2] = 0
    mem[::2] = 0  # 2 of 8 voxels of each cell are membrane, 2 are lumen
    lum[1, :, :] = lum[1, :, :]
    labels = write_labels(tmp_path, 6, CROP, mito_mem=mem, mito_lum=lum)
    joined = parse_targets('[targets]\nmito = ["mito_mem", "mito_lum"]', "test")
    states = dense(open_bank(request(tmp_path, source(where.em, labels), targets=joined, scale=16.0)))[0]
    share = (mem | lum).reshape(20, 2, 22, 2, 24, 2).mean(axis=(1, 3, 5))
    assert (states == (share >= 0.5)).all()
    assert states.all()
    alone = dense(open_bank(request(tmp_path, source(where.em, labels), targets=("mito_mem",), scale=16.0)))[0]
    assert not alone.any()


def test_a_core_leaves_out_what_touches_another_object(tmp_path, crop):
    where, *_ = crop
    ids = np.zeros(SHAPE, np.uint16)
    ids[5:15, 5:15, 5:12] = 1
    ids[5:15, 5:15, 12:20] = 2
    ids[25:30, 25:30, 25:30] = 3
    labels = write_labels(tmp_path, 7, CROP, ves=ids)
    wanted = parse_targets('[targets]\nves = { classes = ["ves"], core = true }', "test")
    bank = open_bank(request(tmp_path, source(where.em, labels), targets=wanted))
    expected = ids != 0
    expected[5:15, 5:15, 11:13] = False
    assert bank.columns == ("ves", "ves/core")
    assert (dense(bank) == np.stack([ids != 0, expected])).all()
    plain = open_bank(request(tmp_path, source(where.em, labels), targets=wanted, cores=False))
    assert plain.columns == ("ves",)


@pytest.mark.parametrize("scale", [16.0, 12.0, 20.0])
def test_cores_of_two_objects_never_touch_at_a_coarser_voxel_size(tmp_path, crop, scale):
    where, *_ = crop
    cells = np.indices(SHAPE) // np.array([7, 9, 8]).reshape(3, 1, 1, 1)
    ids = (cells[0] * 100 + cells[1] * 10 + cells[2] + 1).astype(np.uint16)
    labels = write_labels(tmp_path, 8, CROP, ves=ids)
    wanted = parse_targets('[targets]\nves = { classes = ["ves"], core = true }', "test")
    bank = open_bank(request(tmp_path, source(where.em, labels), targets=wanted, scale=scale))
    import cc3d

    parts, count = cc3d.connected_components(dense(bank)[1] == PRESENT, connectivity=26, return_N=True)
    assert 100 < count <= len(np.unique(ids))
    assert np.bincount(parts.ravel())[1:].max() < 8 * 10 * 9


def test_without_object_ids_a_core_is_unknown_and_that_is_said(tmp_path, crop):
    where, *_ = crop
    labels = write_labels(tmp_path, 9, CROP, mito_mem=blobs(SHAPE, 1), mito_lum=blobs(SHAPE, 2))
    wanted = parse_targets(
        '[targets]\nmito = { classes = ["mito_mem", "mito_lum"], core = true, kind = "instance" }', "test"
    )
    heard = Heard()
    states = dense(open_bank(request(tmp_path, source(where.em, labels), targets=wanted), heard))
    assert (states[1][states[0] == PRESENT] == UNKNOWN).all()
    assert (states[1][states[0] == ABSENT] == ABSENT).all()
    assert any("mito/core has no voxel" in text for text in heard.warnings)


def test_mutual_exclusion_infers_what_is_not_annotated(tmp_path, crop):
    where, _, mito, er = crop
    only_mito = write_labels(tmp_path, 10, CROP, mito=mito)
    both = (where, source(where.em, only_mito))
    bank = open_bank(request(tmp_path, *both, targets=("er",), use_mutual_exclusion=True))
    states = dense(bank, 1)[0]
    assert (states[mito != 0] == ABSENT).all()
    assert (states[mito == 0] == UNKNOWN).all()
    overlap = int(((mito != 0) & (er != 0)).sum())
    assert bank.contradictions == (("set/crop1", overlap),)
    assert (dense(bank, 0)[0] == (er != 0)).all()


def test_contradictions_are_told(tmp_path, crop):
    heard = Heard()
    open_bank(request(tmp_path, crop[0], targets=("er",), use_mutual_exclusion=True), heard)
    assert any("exclude each other; they are left as they are" in text for text in heard.warnings)


def test_a_bank_of_another_voxel_size_is_voted_with_mutual_exclusion_too(tmp_path, crop):
    where, *_ = crop
    atoms = np.random.default_rng(4).choice([3, 16, 35], SHAPE)
    parts = {"mito_mem": atoms == 3, "er_mem": atoms == 16, "cyto": atoms == 35}
    labels = write_labels(tmp_path, 11, CROP, **{name: mask.astype(np.uint8) for name, mask in parts.items()})
    wanted = targets_of(["mito_mem", "cyto"])
    hidden = replace(source(where.em, labels), classes=("mito_mem", "er_mem"))
    bank = open_bank(
        request(tmp_path, source(where.em, labels), hidden, targets=wanted, scale=16.0, use_mutual_exclusion=True)
    )
    truth, found = dense(bank, 0), dense(bank, 1)
    known = found != UNKNOWN
    assert (found[known] == truth[known]).all()
    assert known[1].any()


# What goes wrong


def test_paths_that_are_gone_are_named(tmp_path, crop):
    where, *_ = crop
    gone = replace(where, labels=tmp_path / "no" / "crop7", ref="set/crop7")
    with pytest.raises(MissingDataError, match=r"paths of the split are gone: set/crop7: .*crop7"):
        open_bank(request(tmp_path, where, gone))


def test_a_class_nobody_annotated_is_named_with_crops_and_reasons(tmp_path, crop):
    with pytest.raises(MissingDataError) as error:
        open_bank(request(tmp_path, crop[0], targets=("mito", "ribo")))
    assert "nobody annotated 'ribo' (ribo) in the 1 crop of the split" in error.value.message
    assert "set/crop1: not annotated" in error.value.message
    with pytest.raises(MissingDataError, match="none of the targets is annotated; it has er, mito"):
        open_bank(request(tmp_path, crop[0], targets=("ribo",)))


def test_em_that_was_not_fetched_leaves_the_crop_out_and_names_the_fetch(tmp_path, crop):
    where, *_ = crop
    far = Grid((8.0,) * 3, (4000.0,) * 3, (8, 8, 8))
    labels = write_labels(tmp_path, 12, far, mito=np.ones(far.shape, np.uint8))
    bank = open_bank(request(tmp_path, where, source(where.em, labels)))
    assert "is on disk; fetch the crop's EM --crops set/crop12" in bank.left_out[0].reason


def test_em_whose_fine_level_was_not_fetched_is_enlarged_and_the_fetch_named(tmp_path, crop):
    where, grey, *_ = crop
    em = write_em(tmp_path, grey, EM, levels=2)
    for chunk in [path for path in (em / "s0").rglob("*") if path.is_file() and path.name.isdigit()]:
        chunk.unlink()
    heard = Heard()
    found = open_bank(request(tmp_path, replace(where, em=em)), heard).crops[0]
    assert "the level of 8 nm was not fetched" in heard.warnings[0]
    assert "fetch --crops set/crop1 --fetch-all-em-resolutions" in heard.warnings[0]
    assert found.em_valid is None
    assert abs(found.em.astype(float).mean() - grey.mean()) < 2


def test_em_that_has_nothing_finer_is_enlarged_with_a_note(tmp_path, crop):
    heard = Heard()
    open_bank(request(tmp_path, crop[0], scale=4.0, coarse_labels="upsample"), heard)
    assert not heard.warnings
    assert "set/crop1: its EM is at 8 nm at best, enlarged to 4 nm" in heard.notes


def test_labels_too_coarse_for_all_crops_are_not_called_unannotated(tmp_path, crop):
    with pytest.raises(MissingDataError, match=r"nothing can be learned of 'mito'.*8 nm, coarser than 4 nm"):
        open_bank(request(tmp_path, crop[0], scale=4.0))


def test_no_crops_are_refused(tmp_path):
    with pytest.raises(RequestError, match="at least one crop"):
        open_bank(request(tmp_path))


def test_crops_in_a_bucket_have_to_be_fetched():
    row = SplitRow("train", "s3://b/a/a.zarr", "recon-1/em/x", "s3://b/a/a.zarr", "recon-1/labels/groundtruth/crop1")
    with pytest.raises(MissingDataError, match="fetch it first"):
        sources_of(Split((row,)))


def test_the_rows_of_a_split_become_sources(tmp_path):
    store = str(tmp_path / "a.zarr")
    row = SplitRow("validate", store, "recon-1/em/x", store, "recon-1/labels/groundtruth/crop1", ("mito",))
    found = CropSource("a/crop1", "validate", tmp_path / "a.zarr/recon-1/em/x",
                       tmp_path / "a.zarr/recon-1/labels/groundtruth/crop1", ("mito",))  # fmt: skip
    assert sources_of(Split((row,))) == (found,)


def test_a_broken_chunk_is_named(tmp_path, crop):
    where, *_ = crop
    chunk = where.labels / "mito" / "s0" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(DataError, match=r"mito/s0/0/0/0: broken chunk"):
        open_bank(request(tmp_path, where))


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path, crop, monkeypatch):
    free = shutil.disk_usage(tmp_path)._replace(free=50_000)
    monkeypatch.setattr(bank_cache.shutil, "disk_usage", lambda _: free)
    with pytest.raises(RefusedError, match=r"the bank needs \d.* k in .*bank, where 50.0 k are free"):
        open_bank(request(tmp_path, crop[0]))
    assert not (tmp_path / "bank").exists()


def test_labels_of_fractions_are_refused(tmp_path, crop):
    labels = write_labels(tmp_path, 13, CROP, mito=np.full(SHAPE, 0.5, np.float32))
    with pytest.raises(DataError, match="holds float32 values, not labels"):
        open_bank(request(tmp_path, source(crop[0].em, labels)))


def test_negative_labels_that_nobody_explains_are_refused(tmp_path, crop):
    labels = write_labels(tmp_path, 14, CROP, mito=np.full(SHAPE, -1, np.int16))
    with pytest.raises(DataError, match="holds negative values"):
        open_bank(request(tmp_path, source(crop[0].em, labels)))


def test_a_stop_leaves_no_half_bank(tmp_path, crop, monkeypatch):
    class Stopping(Heard):
        def progress(self, done, total, unit):
            raise Stopped("enough")

    with pytest.raises(Stopped):
        open_bank(request(tmp_path, crop[0]), Stopping())
    assert not list((tmp_path / "bank").glob("*/.*.partial"))
    monkeypatch.undo()
    assert open_bank(request(tmp_path, crop[0])).crops


def test_progress_ends_at_its_total(tmp_path, crop):
    heard = Heard()
    open_bank(request(tmp_path, crop[0], context_voxels=(2, 2, 2)), heard)
    total = CROP.voxels + bank_build.with_context(CROP, (2, 2, 2)).voxels
    assert heard.steps[-1] == (total, total)


def test_the_data_are_not_touched(tmp_path, crop):
    before = tree_hash(tmp_path / "set")
    open_bank(request(tmp_path, crop[0], targets=("mito", "er"), use_mutual_exclusion=True, scale=16.0))
    open_bank(request(tmp_path, crop[0], context_voxels=(8, 8, 8)))
    assert tree_hash(tmp_path / "set") == before
