"""The remembered scan: looked up instead of read again, never believed when the files have changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cellmap_tui.challenge.layout import label_path
from cellmap_tui.errors import Stopped
from cellmap_tui.services.content_cache import ContentCache, array_key
from cellmap_tui.services.content_scan import label_arrays, scan_labels
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes import content
from cellmap_tui.volumes.write import write_multiscale
from tests.services.split_data import crop_grid, make_dataset

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.content_scan import LabelArray, Scanned

TWO = {1: {"mito": 0.5, "er": 0.0}, 2: {"mito": 0.25}}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Count which arrays are really looked through."""
    looked: list[Path] = []
    real = content.scan_label

    def scan(path: Path, **options: object) -> object:
        looked.append(path)
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(content, "scan_label", scan)
    return looked


def _arrays(root: Path, crops: list[Crop]) -> list[LabelArray]:
    return [array for crop in crops for array in label_arrays(root, crop)]


def _scan(root: Path, crops: list[Crop], **options: bool) -> dict[tuple[str, str], Scanned]:
    return scan_labels(_arrays(root, crops), ContentCache(root, root / "state"), SilentReporter(), **options)


def test_what_was_looked_at_once_is_not_read_again(tmp_path: Path, reads: list[Path]) -> None:
    crops = make_dataset(tmp_path, "own", TWO)
    first = _scan(tmp_path, crops)
    assert len(reads) == 3
    assert _scan(tmp_path, crops) == first
    assert len(reads) == 3
    assert first["own/crop1", "mito"].content is not None
    assert first["own/crop1", "mito"].content.foreground_share == 0.5
    assert first["own/crop1", "er"].state == "absent"
    counted = _scan(tmp_path, crops, with_objects=True)
    assert len(reads) == 6
    assert counted["own/crop2", "mito"].content is not None
    assert counted["own/crop2", "mito"].content.objects == 1
    assert _scan(tmp_path, crops) == counted
    assert len(reads) == 6


@pytest.mark.parametrize("change", ["rewritten", "chunk removed", "attributes"])
def test_an_array_whose_files_changed_is_looked_at_again(tmp_path: Path, reads: list[Path], change: str) -> None:
    crops = make_dataset(tmp_path, "own", TWO)
    _scan(tmp_path, crops)
    group = tmp_path / label_path(crops[0], "mito")
    if change == "rewritten":
        chunk = next(path for path in sorted((group / "s0").rglob("*")) if path.is_file() and path.name.isdigit())
        chunk.write_bytes(chunk.read_bytes())
        os.utime(chunk, ns=(1, 1))
    elif change == "chunk removed":
        next(path for path in sorted((group / "s0").rglob("*")) if path.name.isdigit() and path.is_file()).unlink()
    else:
        attributes = json.loads((group / ".zattrs").read_text())
        (group / ".zattrs").write_text(json.dumps({**attributes, "cellmap_tui": {"kind": "instance"}}))
    again = _scan(tmp_path, crops)
    assert [path.name for path in reads[3:]] == ["mito"]
    found = again["own/crop1", "mito"].content
    assert found is not None
    assert (found.foreground_share < 0.5) == (change == "chunk removed")
    assert (found.kind == "instance") == (change == "attributes")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 99, "arrays": {}}', '{"version": 1, "arrays": {"mito": 3}}']
)
def test_a_damaged_memory_or_one_of_another_version_is_made_anew(
    tmp_path: Path, reads: list[Path], text: str
) -> None:
    crops = make_dataset(tmp_path, "own", TWO)
    first = _scan(tmp_path, crops)
    (tmp_path / ".cellmap-tui" / "content" / "own" / "crop1.json").write_text(text)
    assert _scan(tmp_path, crops) == first
    assert len(reads) == 5
    _scan(tmp_path, crops)
    assert len(reads) == 5


def test_beside_data_that_cannot_be_written_the_state_folder_remembers(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = make_dataset(tmp_path, "own", TWO)
    real = Path.mkdir

    def mkdir(path: Path, *args: object, **options: object) -> None:
        if ".cellmap-tui" in path.parts:
            raise PermissionError(13, "read-only", str(path))
        real(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", mkdir)
    first = _scan(tmp_path, crops)
    assert not (tmp_path / ".cellmap-tui" / "content").exists()
    assert _scan(tmp_path, crops) == first
    assert len(reads) == 3


def test_a_broken_array_is_told_and_does_not_stop_the_others(tmp_path: Path) -> None:
    crops = make_dataset(tmp_path, "own", TWO)
    (tmp_path / label_path(crops[0], "mito") / "s0" / ".zarray").write_text("{")

    class Told(SilentReporter):
        words: list[str] = []  # noqa: RUF012

        def warning(self, message: str) -> None:
            self.words.append(message)

    told = Told()
    found = scan_labels(_arrays(tmp_path, crops), ContentCache(tmp_path), told)
    assert found["own/crop1", "mito"].state == "broken"
    assert found["own/crop2", "mito"].state == "present"
    assert len(told.words) == 1
    assert told.words[0].startswith("own/crop1, mito: ")


def test_the_user_can_stop_it_and_what_was_found_is_kept(tmp_path: Path, reads: list[Path]) -> None:
    crops = make_dataset(tmp_path, "own", {n: {"mito": 0.5} for n in range(1, 6)})

    class Stops(SilentReporter):
        def checkpoint(self) -> None:
            if len(reads) >= 2:
                raise Stopped("enough")

    with pytest.raises(Stopped):
        scan_labels(_arrays(tmp_path, crops), ContentCache(tmp_path), Stops(), workers=1)
    stopped_at = len(reads)
    assert 2 <= stopped_at < 5
    _scan(tmp_path, crops)
    assert len(reads) <= 6


def test_a_killed_scan_goes_on_where_it_was(tmp_path: Path, reads: list[Path]) -> None:
    crops = make_dataset(tmp_path, "own", {n: {"mito": 0.5} for n in range(1, 6)})
    code = f"""
import os, signal
from pathlib import Path
from cellmap_tui.services.split import plan_split
from cellmap_tui.services.split_model import SplitRequest
from cellmap_tui.services.report import SilentReporter
class Kills(SilentReporter):
    def progress(self, done, total, unit):
        if unit == "label arrays" and done == 3:
            os.kill(os.getpid(), signal.SIGKILL)
root = Path({str(tmp_path)!r})
plan_split(SplitRequest(csv_path=root / "x.csv", data_root=root, classes=("mito",)), Kills())
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    _scan(tmp_path, crops)
    assert len(reads) == 2


def test_the_key_of_an_array_is_that_of_its_files_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_multiscale(tmp_path / name, np.ones((16, 16, 16), np.uint8), crop_grid(0), kind="label")
    assert array_key(tmp_path / "a") == array_key(tmp_path / "a")
    assert array_key(tmp_path / "a") != array_key(tmp_path / "b")  # written at another time
