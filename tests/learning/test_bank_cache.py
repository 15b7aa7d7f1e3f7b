import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cellmap_tui.learning.bank_cache as bank_cache
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.learning.bank import open_bank

from .bank_data import Heard, blobs, dense, noise, request, source, write_em, write_labels

SHAPE = (40, 44, 48)
EM = Grid((8.0,) * 3, (4.0,) * 3, (72, 76, 80))
CROP = Grid((8.0,) * 3, (4.0 + 16 * 8,) * 3, SHAPE)


@pytest.fixture
def crops(tmp_path):
    em = write_em(tmp_path, noise(EM.shape), EM)
    folders = [write_labels(tmp_path, n, CROP, mito=blobs(SHAPE, n), er=blobs(SHAPE, n + 9)) for n in range(3)]
    return [source(em, folder) for folder in folders]


def files(root: Path) -> dict[str, int]:
    """Return every file of the cache with the number that changes when it is made anew."""
    return {str(p.relative_to(root)): p.stat().st_ino for p in sorted((root / "bank").rglob("*")) if p.is_file()}


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {Path(name).parts[1] for name in after if before.get(name) != after[name]}


def test_a_second_bank_is_opened_and_not_built(tmp_path, crops):
    first = open_bank(request(tmp_path, *crops))
    before = files(tmp_path)
    heard = Heard()
    second = open_bank(request(tmp_path, *crops), heard)
    assert files(tmp_path) == before
    assert not heard.steps
    for one, other in zip(first.crops, second.crops, strict=True):
        assert isinstance(other.em, np.memmap)
        assert (one.em == other.em).all()
        assert (one.codes == other.codes).all()
        assert (one.counts == other.counts).all()
        assert all((a == b).all() for a, b in zip(one.seeds, other.seeds, strict=True))
    assert (first.book == second.book).all()


def test_any_number_of_workers_builds_the_same_bytes(tmp_path, crops):
    one = request(tmp_path / "a", *crops, workers=1)
    four = request(tmp_path / "b", *crops, workers=4)
    open_bank(one)
    open_bank(four)
    for file in (tmp_path / "a" / "bank").rglob("*.npy"):
        assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()


def test_other_targets_share_the_em(tmp_path, crops):
    open_bank(request(tmp_path, *crops))
    before = files(tmp_path)
    open_bank(request(tmp_path, *crops, targets=("mito", "er")))
    assert changed(before, files(tmp_path)) == {"codes"}


def test_another_voxel_size_is_another_bank(tmp_path, crops):
    open_bank(request(tmp_path, *crops))
    before = files(tmp_path)
    open_bank(request(tmp_path, *crops, scale=16.0))
    after = files(tmp_path)
    assert before.items() <= after.items()
    assert len(after) == 2 * len(before)


def test_labels_written_again_are_read_again(tmp_path, crops):
    open_bank(request(tmp_path, *crops))
    before = files(tmp_path)
    write_labels(tmp_path, 1, CROP, mito=blobs(SHAPE, 50))
    bank = open_bank(request(tmp_path, *crops))
    assert changed(before, files(tmp_path)) == {"codes"}
    assert (dense(bank, 1)[0] == blobs(SHAPE, 50)).all()
    assert (dense(bank, 0)[0] == blobs(SHAPE, 0)).all()


def test_a_chunk_that_arrives_later_is_read(tmp_path, crops):
    chunk = crops[0].em / "s0" / "1" / "1" / "1"
    held = chunk.read_bytes()
    chunk.unlink()
    assert open_bank(request(tmp_path, *crops)).crops[0].em_valid is not None
    temporary = chunk.with_name("arriving")
    temporary.write_bytes(held)
    temporary.replace(chunk)
    assert open_bank(request(tmp_path, *crops)).crops[0].em_valid is None


def test_a_cache_of_another_version_is_built_anew(tmp_path, crops, monkeypatch):
    open_bank(request(tmp_path, *crops))
    before = files(tmp_path)
    monkeypatch.setattr(bank_cache, "FORMAT", bank_cache.FORMAT + 1)
    open_bank(request(tmp_path, *crops))
    after = files(tmp_path)
    assert before.keys() == after.keys()
    assert changed(before, after) == {"em", "codes"}


@pytest.mark.parametrize("name", ["codes.npy", "em.npy", "book.npy", "seeds.npy", "meta.json"])
def test_a_file_that_is_cut_off_or_gone_is_made_anew(tmp_path, crops, name):
    whole = open_bank(request(tmp_path, *crops))
    expected, grey = dense(whole), np.array(whole.crops[2].em)
    for file in (tmp_path / "bank").rglob(name):
        if name == "book.npy":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:100])
    again = open_bank(request(tmp_path, *crops))
    assert (dense(again) == expected).all()
    assert (again.crops[2].em == grey).all()


def test_a_foreign_meta_file_counts_as_none(tmp_path, crops):
    open_bank(request(tmp_path, *crops))
    for file in (tmp_path / "bank").rglob("meta.json"):
        file.write_text(json.dumps([1, 2]))
    assert len(open_bank(request(tmp_path, *crops)).crops) == 3


def test_the_same_crop_for_training_and_validation_is_kept_once(tmp_path, crops):
    bank = open_bank(request(tmp_path, crops[0], replace(crops[0], usage="validate")))
    assert [crop.usage for crop in bank.crops] == ["train", "validate"]
    assert len(list((tmp_path / "bank" / "codes").iterdir())) == 1
    assert [crop.ref for crop in bank.of_usage("validate")] == ["set/crop0"]


def test_several_may_build_the_same_bank_at_once(tmp_path, crops):
    with ThreadPoolExecutor(4) as pool:
        banks = list(pool.map(lambda _: open_bank(request(tmp_path, *crops)), range(4)))
    assert all((dense(bank, 2) == dense(banks[0], 2)).all() for bank in banks)
    assert not list((tmp_path / "bank").glob("*/.*.partial"))


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.learning.bank_data import request, source
from cellmap_tui.learning.bank import open_bank
import cellmap_tui.learning.bank_cache as cache

root = Path(sys.argv[1])
built = []
build = cache.Entry.build

def kill_in_the_fourth(self, fill, stale):
    def dying(folder):
        noted = fill(folder)
        if len(built) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        built.append(folder)
        return noted
    build(self, dying, stale)

cache.Entry.build = kill_in_the_fourth
store = root / "set" / "set.zarr" / "recon-1"
crops = [source(store / "em" / "fibsem-uint8", store / "labels" / "groundtruth" / f"crop{n}") for n in range(3)]
open_bank(request(root, *crops, workers=1))
"""


def test_a_killed_build_goes_on_where_it_was(tmp_path, crops):
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert killed.returncode == -signal.SIGKILL
    kept = files(tmp_path)
    whole = {name for name in kept if ".partial" not in name}
    assert len({Path(name).parent for name in whole}) == 3
    open_bank(request(tmp_path, *crops))
    after = files(tmp_path)
    assert all(after[name] == kept[name] for name in whole)
    assert not [name for name in after if ".partial" in name]
