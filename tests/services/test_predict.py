"""Predictions as a user asks for them: complete, in place, resumable, refused where they would do harm."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RefusedError, RequestError, Stopped
from cellmap_tui.learning.build_network import build_network
from cellmap_tui.learning.model_card import read_card
from cellmap_tui.learning.predictor import Predictor
from cellmap_tui.services import predict_journal, predict_work
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.predict import plan_predict, predict
from cellmap_tui.services.predict_ensemble import read_ensemble
from cellmap_tui.services.predict_journal import NAME, Journal, rows_done, shares_predicted
from cellmap_tui.services.predict_model import LEVELS, PredictRequest, PredictResult
from cellmap_tui.services.predict_words import result_lines
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes import block_volume
from cellmap_tui.volumes.geometry import Box, whole
from cellmap_tui.volumes.ngff import open_multiscale
from cellmap_tui.volumes.read import read_box
from tests.services.predicting import EM, data_root, network, other, request


class Listener(SilentReporter):
    """Keeps what it is told, and stops when asked to."""

    def __init__(self, stop_after=None):
        self.notes, self.warnings, self.steps, self.artefacts = [], [], [], []
        self._stop_after = stop_after

    def note(self, message):
        self.notes.append(message)

    def warning(self, message):
        self.warnings.append(message)

    def progress(self, done, total, unit):
        self.steps.append((done, total, unit))

    def artefact(self, path, kind):
        self.artefacts.append(path)

    def checkpoint(self):
        done, _, unit = self.steps[-1] if self.steps else (0, None, "")
        if self._stop_after is not None and unit == "tiles" and done >= self._stop_after:
            raise Stopped("asked")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return data_root(tmp_path_factory.mktemp("challenge"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return network(tmp_path_factory.mktemp("run"))


def read(path):
    level = open_multiscale(path).finest
    return read_box(level, whole(level.grid))[0]


def tree_hash(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_a_crop_is_predicted_in_its_own_bounds_like_the_network_predicts_it_in_memory(root, run, tmp_path):
    asked = request(root, run, output=str(tmp_path), dtype="float32", batch_size=2)
    listener = Listener()
    result = predict(asked, listener)
    crop = result.crops[0]
    assert (crop.state, crop.classes, result.exit_code) == ("written", ("mito", "er", "mito/core"), 0)
    folder = tmp_path / "set.zarr" / "crop1"
    volume = open_multiscale(folder / "mito")
    place = Grid((8.0, 8.0, 8.0), (16 * 4 + 4.0, 20 * 4 + 4.0, 24 * 4 + 4.0), (64, 72, 68))
    assert volume.finest.grid == place
    assert len(volume.levels) == 2
    card = read_card(run / "model.json")
    model = build_network(card)
    model.load_state_dict(torch.load(run / "checkpoints" / "small_3.pth", weights_only=True))
    predictor = Predictor(model, card, batch_size=2, margin=(4, 4, 4))
    em = root / "set" / "set.zarr" / "recon-1" / "em" / "fibsem-uint8"
    level = open_multiscale(em).levels[1]
    grey, _ = read_box(level, Box((8, 10, 12), (72, 82, 80)).padded(4))
    expected = predictor.predict_array(grey, (4, 4, 4))
    for name, values in zip(card.columns, expected, strict=True):
        np.testing.assert_allclose(read(folder / name), values, atol=2e-6)
    assert {path.name for path in listener.artefacts} == {"mito", "er", "core"}
    assert listener.steps[-1][0] == listener.steps[-1][1] == result.tiles
    assert not (folder / NAME).exists()


def test_what_is_stored_says_its_unit(root, run, tmp_path):
    values, told = {}, {}
    for dtype, unit in (("uint8", "probability"), ("float16", "probability"), ("float32", "logits")):
        asked = request(root, run, output=str(tmp_path / dtype), dtype=dtype, unit=unit, classes=("er",))
        predict(asked, SilentReporter())
        path = tmp_path / dtype / "set.zarr" / "crop1" / "er"
        values[dtype] = read(path)
        told[dtype] = json.loads((path / ".zattrs").read_text())["cellmap_tui"]
        assert values[dtype].dtype == dtype
    probability = 1 / (1 + np.exp(-values["float32"]))
    np.testing.assert_allclose(values["uint8"] / 255, probability, atol=0.5 / 255 + 1e-5)
    np.testing.assert_allclose(values["float16"], probability, atol=1e-3)
    assert [told[name]["unit"] for name in told] == ["probability * 255", "probability", "logits"]
    assert told["uint8"]["predict"]["networks"][0]["epoch"] == 3


def test_a_coarse_crop_is_stored_at_its_own_voxel_size_unless_another_is_asked_for(root, tmp_path):
    own = network(tmp_path / "run", columns=("nuc",))
    for words, shape in (
        ("auto", (9, 10, 11)),
        ("model", (18, 20, 22)),
        ("4", (36, 40, 44)),
        ("32,16,8", (5, 10, 22)),
    ):
        result = plan_predict(request(root, own, crops="set/2", voxel_size=words), SilentReporter())
        assert result.crops[0].shape == shape
    asked = request(root, own, crops="set/2", output=str(tmp_path / "a"), dtype="float32")
    predict(asked, SilentReporter())
    predict(other(asked, voxel_size="model", output=str(tmp_path / "b")), SilentReporter())
    fine = read(tmp_path / "b" / "set.zarr" / "crop2" / "nuc")
    mean = fine.reshape(9, 2, 10, 2, 11, 2).mean((1, 3, 5))
    np.testing.assert_allclose(read(tmp_path / "a" / "set.zarr" / "crop2" / "nuc"), mean, atol=1e-6)


def test_what_is_there_is_kept_and_what_is_otherwise_is_refused(root, run, tmp_path):
    asked = request(root, run, output=str(tmp_path), classes=("mito",))
    predict(asked, SilentReporter())
    before = tree_hash(tmp_path)
    again = predict(asked, SilentReporter())
    assert (again.crops[0].state, again.tiles, tree_hash(tmp_path)) == ("kept", 0, before)
    more = predict(other(asked, classes=("mito", "er")), SilentReporter())
    assert more.crops[0].state == "written"
    assert (tmp_path / "set.zarr" / "crop1" / "mito" / "core" / "s0").is_dir()
    with pytest.raises(RefusedError, match="--overwrite"):
        predict(other(asked, overlap=0.5), SilentReporter())
    replaced = predict(other(asked, overlap=0.5, overwrite=True), SilentReporter())
    assert replaced.crops[0].state == "written"
    assert tree_hash(tmp_path) != before


def test_a_stopped_prediction_goes_on_and_ends_with_the_same_bytes(root, run, tmp_path):
    asked = request(root, run, output=str(tmp_path / "whole"))
    total = predict(asked, SilentReporter()).tiles
    stopped = other(asked, output=str(tmp_path / "parts"))
    with pytest.raises(Stopped):
        predict(stopped, Listener(stop_after=total // 2))
    result = predict(stopped, SilentReporter())
    assert result.crops[0].state == "written"
    assert tree_hash(tmp_path / "whole") == tree_hash(tmp_path / "parts")


def test_what_was_cut_off_between_two_final_names_is_finished(root, run, tmp_path, monkeypatch):
    """The class has its final name, its core has not: nothing is predicted again."""
    from cellmap_tui.volumes.block_volume import BlockVolume

    asked = request(root, run, output=str(tmp_path / "cut"), classes=("mito",))
    predict(other(asked, output=str(tmp_path / "whole")), SilentReporter())
    real = BlockVolume.finish

    def cut(self, path, *arguments, **options):
        if path.name == "core":
            raise RefusedError("no room", "make some")
        real(self, path, *arguments, **options)

    monkeypatch.setattr(BlockVolume, "finish", cut)
    with pytest.raises(RefusedError):
        predict(asked, SilentReporter())
    monkeypatch.setattr(BlockVolume, "finish", real)
    result = predict(asked, SilentReporter())
    assert (result.tiles, result.crops[0].state) == (0, "written")
    assert tree_hash(tmp_path / "cut") == tree_hash(tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_prediction_goes_on_and_ends_with_the_same_bytes(root, run, tmp_path):
    options = {"overlap": 0.4, "memory_bytes": 17_500_000}
    asked = request(root, run, output=str(tmp_path / "whole"), **options)
    predict(asked, SilentReporter())
    killed = other(asked, output=str(tmp_path / "killed"))
    (tmp_path / "request.json").write_bytes(to_json(killed))
    script = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from cellmap_tui.services.predict import PredictRequest, predict\n"
        "from cellmap_tui.services.models import from_json\n"
        "from cellmap_tui.services.report import SilentReporter\n"
        "predict(from_json(open(sys.argv[1], 'rb').read(), PredictRequest, source='test'), SilentReporter())\n"
    )
    done = tmp_path / "killed" / "set.zarr" / "crop1" / NAME / "done.jsonl"
    kills = 0
    for lines in (1, 3, 4):
        child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "request.json")])
        while child.poll() is None:
            if done.exists() and done.read_text().count("row") >= lines:
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
                kills += 1
            time.sleep(0.005)
    assert kills
    result = predict(killed, SilentReporter())
    assert result.crops[0].state in ("written", "kept")
    assert tree_hash(tmp_path / "whole") == tree_hash(tmp_path / "killed")


def test_several_devices_share_the_parts(root, run, tmp_path):
    asked = request(root, run, output=str(tmp_path / "one"), dtype="float32", classes=("er",))
    predict(asked, SilentReporter())
    result = predict(other(asked, output=str(tmp_path / "two"), devices=2), SilentReporter())
    assert result.crops[0].parts >= 2
    one, two = (read(tmp_path / name / "set.zarr" / "crop1" / "er") for name in ("one", "two"))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_flat_network_is_averaged_over_three_directions(root, tmp_path):
    own = network(tmp_path / "run", columns=("mito",), shape=(1, 32, 32))
    asked = request(root, own, output=str(tmp_path / "all"), dtype="float32")
    predict(asked, SilentReporter())
    planes = []
    for axis in "zyx":
        predict(other(asked, axes=axis, output=str(tmp_path / axis)), SilentReporter())
        planes.append(read(tmp_path / axis / "set.zarr" / "crop1" / "mito"))
    np.testing.assert_allclose(
        read(tmp_path / "all" / "set.zarr" / "crop1" / "mito"), np.mean(planes, axis=0), atol=1e-5
    )


def test_progress_of_a_flat_network_is_told_over_all_three_directions(root, tmp_path, monkeypatch):
    own = network(tmp_path / "run", columns=("mito",), shape=(1, 32, 32))
    asked = request(root, own, output=str(tmp_path / "out"))
    folder, seen = tmp_path / "out" / "set.zarr" / "crop1", []
    predicted = Journal.predicted

    def look(journal, part, share):
        predicted(journal, part, share)
        seen.append((share, rows_done(folder), shares_predicted(folder)))

    monkeypatch.setattr(Journal, "predicted", look)
    monkeypatch.setattr(predict_journal, "_TELL_S", 0.0)
    predict(asked, SilentReporter())
    shares = [share for share, _, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert max(share for share, rows, _ in seen if not rows) > 0.3
    assert all(told == {0: pytest.approx(share, abs=1e-4)} for share, _, told in seen)


def test_after_the_last_tile_it_counts_the_blocks_of_coarser_levels(root, run, tmp_path, monkeypatch):
    told, halve = threading.Event(), block_volume._halve

    class Waiting(Listener):
        def progress(self, done, total, unit):
            super().progress(done, total, unit)
            if unit == LEVELS:
                told.set()

    def wait(*given):
        # Levels are made once it was told that they are.
        assert told.wait(60)
        halve(*given)

    listener = Waiting()
    monkeypatch.setattr(block_volume, "_halve", wait)
    predict(request(root, run, classes=("mito",), output=str(tmp_path / "out")), listener)
    units = [unit for _, _, unit in listener.steps if unit in ("tiles", LEVELS)]
    assert units.index(LEVELS) > units.index("tiles")
    levels = [(done, total) for done, total, unit in listener.steps if unit == LEVELS]
    assert all(0 <= done < total for done, total in levels)
    done, total, unit = listener.steps[-1]
    assert (done, unit) == (total, "tiles")


def test_as_many_blocks_of_levels_are_foreseen_as_are_made(tmp_path):
    volume = block_volume.BlockVolume(tmp_path / "new", EM, "uint8", (32, 32, 32))
    made = []
    volume.finish(tmp_path / "done", {}, lambda: made.append(1), overwrite=False)
    assert len(made) == block_volume.BlockVolume(tmp_path / "same", EM, "uint8", (32, 32, 32)).finishing_steps() > 1


def test_an_ensemble_takes_classes_from_the_runs_that_it_names(root, run, tmp_path):
    network(tmp_path / "coarse", columns=("er", "nuc"), size=16.0, seed=1)
    file = tmp_path / "ensemble.toml"
    file.write_text(
        f'[runs.fine]\ncheckpoint = "{run}"\n[runs.coarse]\ncheckpoint = "coarse"\nwhich = "latest"\n'
        '[classes]\ner = { fine = 0.25, coarse = 0.75 }\n"*" = ["fine"]\n'
    )
    out = tmp_path / "both"
    result = predict(request(root, ensemble=file, output=str(out), dtype="float32"), SilentReporter())
    assert result.crops[0].classes == ("mito", "er", "mito/core")
    alone = {}
    for name, place in (("fine", run), ("coarse", tmp_path / "coarse")):
        asked = request(root, place, output=str(tmp_path / "alone" / name), dtype="float32", voxel_size="8")
        predict(other(asked, classes=("er",)), SilentReporter())
        alone[name] = read(tmp_path / "alone" / name / "set.zarr" / "crop1" / "er")
    folder = out / "set.zarr" / "crop1"
    np.testing.assert_allclose(read(folder / "er"), 0.25 * alone["fine"] + 0.75 * alone["coarse"], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[runs]\n", "names no runs"),
        ('[runs.a]\nchekpoint = "x"', "did you mean 'checkpoint'"),
        ('[runs.a]\ncheckpoint = "x"\nwhich = "first"', "which"),
        ('[runs.a]\ncheckpoint = "x"\nscale = -8', "scale"),
        ('[runs.fine]\ncheckpoint = "x"\n[classes]\nmito = ["fin"]', "did you mean 'fine'"),
        ('[runs.a]\ncheckpoint = "x"\n[classes]\nmito = { a = 0 }', "weight above 0"),
        ("[runs", "not TOML"),
    ],
)
def test_a_wrong_ensemble_is_told_by_its_key(tmp_path, text, words):
    file = tmp_path / "ensemble.toml"
    file.write_text(text)
    with pytest.raises(RequestError, match=words):
        read_ensemble(file)


def test_em_straight_from_the_bucket_gives_the_same(root, run, tmp_path):
    bucket = tmp_path / "buckets" / "cells"
    bucket.mkdir(parents=True)
    (bucket / "set").symlink_to(root / "set")
    asked = request(root, run, output=str(tmp_path / "local"), classes=("er",))
    predict(asked, SilentReporter())
    there = {"remote": True, "endpoint_url": (tmp_path / "buckets").as_uri(), "bucket": "cells"}
    predict(other(asked, output=str(tmp_path / "remote"), **there), SilentReporter())
    local, remote = (read(tmp_path / name / "set.zarr" / "crop1" / "er") for name in ("local", "remote"))
    # Where the EM ends is only known of EM on disk, so tiles reach as far in both.
    np.testing.assert_array_equal(local, remote)
    with pytest.raises(CellmapError, match="no EM"):
        predict(other(asked, em="other", crops="test", output=str(tmp_path / "x"), **there), SilentReporter())


def test_a_box_of_an_em_volume_is_predicted_where_it_is(root, run, tmp_path):
    asked = request(root, run, classes=("er",), output=str(tmp_path / "crop"), dtype="float32")
    predict(asked, SilentReporter())
    grid = open_multiscale(tmp_path / "crop" / "set.zarr" / "crop1" / "er").finest.grid
    em = root / "set" / "set.zarr" / "recon-1" / "em" / "fibsem-uint8"
    for name in ("set", str(em)):
        box = other(
            asked, em=name, box_nm=(grid.lower_nm, grid.upper_nm), name="corner", output=str(tmp_path / "box")
        )
        predict(other(box, overwrite=True), SilentReporter())
        path = tmp_path / "box" / "set.zarr" / "corner" / "er"
        assert open_multiscale(path).finest.grid == grid
        np.testing.assert_array_equal(read(path), read(tmp_path / "crop" / "set.zarr" / "crop1" / "er"))
    whole_volume = plan_predict(other(asked, em="set"), SilentReporter())
    assert whole_volume.crops[0].shape == tuple(n // 2 for n in EM.shape)
    with pytest.raises(RequestError, match="outside the EM"):
        predict(other(box, box_nm=((9e5,) * 3, (1e6,) * 3)), SilentReporter())


def test_sizes_and_time_are_known_before_and_too_much_is_refused(root, run, tmp_path):
    asked = request(root, run, output=str(tmp_path))
    plan = plan_predict(asked, SilentReporter())
    assert plan.needed_bytes == 64 * 72 * 68 * 3 * 8 // 7
    assert plan.tiles > 0
    assert plan.eta_s > 0
    assert plan.memory_bytes > 0
    with pytest.raises(RefusedError, match="--max-bytes") as refused:
        predict(other(asked, max_bytes=1000), SilentReporter())
    assert refused.value.exit_code == 3
    dry = predict(other(asked, dry_run=True), SilentReporter())
    assert dry.dry_run
    assert dry.tiles == plan.tiles
    assert "tiles on cpu, about" in list(result_lines(dry))[-1]
    assert not list(tmp_path.iterdir())
    assert from_json(to_json(dry), PredictResult, source="test") == dry
    assert from_json(to_json(asked), PredictRequest, source="test") == asked


def test_a_full_disk_is_refused_unless_told_to_go_on(root, run, tmp_path, monkeypatch):
    from cellmap_tui.services import predict_plan

    monkeypatch.setattr(predict_plan, "free_bytes", lambda folder: 1000)
    asked = request(root, run, output=str(tmp_path), classes=("er",))
    with pytest.raises(RefusedError, match="--ignore-disk"):
        predict(asked, SilentReporter())
    assert predict(other(asked, ignore_disk=True), SilentReporter()).crops[0].state == "written"


def test_weights_of_another_network_are_refused_with_their_layers(root, run, tmp_path):
    own = network(tmp_path / "run")
    weights = torch.load(own / "checkpoints" / "small_3.pth", weights_only=True)
    name = next(iter(weights))
    weights["strange"] = weights.pop(name)
    torch.save(weights, own / "checkpoints" / "small_3.pth")
    with pytest.raises(DataError, match="only in the file: strange") as refused:
        predict(request(root, own, output=str(tmp_path / "out")), SilentReporter())
    assert f"not in the file: {name}" in str(refused.value)
    for content in (b"PK\x03\x04 cut", b""):
        (own / "checkpoints" / "small_3.pth").write_bytes(content)
        with pytest.raises(DataError, match="cut short") as cut:
            predict(request(root, own, output=str(tmp_path / "out")), SilentReporter())
        assert cut.value.message.endswith(("archive", "checkpoint"))
    (own / "model.json").unlink()
    with pytest.raises(RequestError, match="nobody wrote down"):
        predict(request(root, own, output=str(tmp_path / "out")), SilentReporter())
    with pytest.raises(MissingDataError):
        predict(request(root, tmp_path / "nothing", output=str(tmp_path / "out")), SilentReporter())


def test_classes_that_nobody_knows_are_told(root, run, tmp_path):
    with pytest.raises(RequestError, match="did you mean 'mito'"):
        predict(request(root, run, classes=("mitos",)), SilentReporter())
    result = predict(request(root, run, crops="set/2", output=str(tmp_path)), SilentReporter())
    assert (result.crops[0].state, result.exit_code) == ("nothing", 0)
    everything = plan_predict(request(root, run, crops="set/2", all_classes=True), SilentReporter())
    assert everything.crops[0].classes == ("mito", "er", "mito/core")
    plain = plan_predict(request(root, run, cores=False), SilentReporter())
    assert plain.crops[0].classes == ("mito", "er")


def test_em_that_was_not_fetched_is_told_with_what_brings_it(run, tmp_path):
    import shutil

    root = data_root(tmp_path)
    em = root / "set" / "set.zarr" / "recon-1" / "em" / "fibsem-uint8"
    for level in ("s0", "s1"):
        for path in (em / level).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
    listener = Listener()
    result = predict(request(root, run, crops="set/1,set/2", all_classes=True), listener)
    assert result.exit_code == 1
    first = next(crop for crop in result.crops if crop.crop == "set/crop1")
    assert first.state == "missing"
    assert "8 nm" in first.reason
    assert "fetch-data --crops set/crop1 --fetch-all-em-resolutions" in first.reason
    assert any("set/crop1" in warning for warning in listener.warnings)
    assert next(result_lines(result)).count("small_3.pth") == 1
    assert sum(line.count("set/crop1:") for line in result_lines(result)) == 1
    coarse = predict(request(root, run, coarse_em=True), SilentReporter())
    assert "upsampled" in coarse.crops[0].em
    (em / "s0" / ".zarray").rename(tmp_path / "away")
    cut = predict(request(root, run, output=str(tmp_path / "y")), SilentReporter()).crops[0]
    assert (cut.state, "verify --crops set/crop1 --repair" in cut.reason) == ("failed", True)
    (tmp_path / "away").rename(em / "s0" / ".zarray")
    shutil.rmtree(em)
    gone = predict(request(root, run, output=str(tmp_path / "x")), SilentReporter())
    assert "fetch-data --crops set/crop1" in gone.crops[0].reason
    line = next(line for line in result_lines(gone) if line.startswith("set/crop1:"))
    assert "EM missing: nothing at /" in line
    assert "`fetch-data --crops set/crop1` brings it, or --remote" in line


def test_a_broken_chunk_fails_its_crop_alone(run, tmp_path):
    root = data_root(tmp_path)
    em = root / "set" / "set.zarr" / "recon-1" / "em" / "fibsem-uint8"
    chunk = next(path for path in (em / "s1" / "1").rglob("*") if path.is_file())
    chunk.write_bytes(b"nonsense")
    listener = Listener()
    result = predict(
        request(root, run, crops="set/1,set/2", all_classes=True, output=str(tmp_path / "out")), listener
    )
    states = {crop.crop: crop.state for crop in result.crops}
    assert states == {"set/crop1": "failed", "set/crop2": "written"}
    assert any("broken chunk" in warning for warning in listener.warnings)


def test_a_crop_is_predicted_by_one_process_at_a_time(root, run, tmp_path):
    asked = request(root, run, output=str(tmp_path), classes=("er",))
    folder = tmp_path / "set.zarr" / "crop1" / NAME
    folder.mkdir(parents=True)
    script = (
        f"import fcntl, sys; file = open({str(folder / 'lock')!r}, 'a'); fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1) as child:
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(RefusedError, match="another process"):
            predict(asked, SilentReporter())
        child.stdin.close()
    assert predict(asked, SilentReporter()).crops[0].state == "written"


def test_a_full_disk_while_writing_ends_the_work_and_it_goes_on_later(root, run, tmp_path, monkeypatch):
    asked = request(root, run, output=str(tmp_path), classes=("er",))
    real = predict_work.Work._write

    def full(self, *slab):
        raise RefusedError("no room", "make some")

    monkeypatch.setattr(predict_work.Work, "_write", full)
    with pytest.raises(RefusedError, match="no room"):
        predict(asked, SilentReporter())
    monkeypatch.setattr(predict_work.Work, "_write", real)
    assert predict(asked, SilentReporter()).crops[0].state == "written"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overlap": 1.0}, "overlap"),
        ({"devices": 0}, "devices"),
        ({"unit": "logits"}, "uint8"),
        ({"output": "{what}"}, "what"),
        ({"box_nm": ((0, 0, 0), (1, 1, 1))}, "--em"),
        ({"em": "set", "box_nm": ((5, 0, 0), (1, 1, 1))}, "empty"),
        ({"classes": ("er",), "all_classes": True}, "contradict"),
        ({"ensemble": "x"}, "either"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(options, words):
    with pytest.raises(RequestError, match=words):
        PredictRequest(("run",), **options)


@pytest.mark.parametrize("words", ["8,8", "no", "-1", "0,8,8"])
def test_a_voxel_size_that_is_none_is_refused(root, run, words):
    with pytest.raises(RequestError, match="voxel size"):
        plan_predict(request(root, run, voxel_size=words), SilentReporter())
