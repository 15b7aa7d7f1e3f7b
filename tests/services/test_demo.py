"""The demo as a job: refusals, stopping, killing, going on, and the journey."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.errors import CellmapError, DataError, RefusedError, RequestError, Stopped
from cellmap_tui.services.demo import DemoRequest, DemoResult, demo
from cellmap_tui.services.demo_root import DemoRoot, only_writer
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.report import SilentReporter

if TYPE_CHECKING:
    from pathlib import Path


class Listener(SilentReporter):
    """Remembers what was reported, and asks to stop at a given checkpoint."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.checkpoints = 0
        self.seen: list[tuple[float, float | None, str]] = []
        self.notes: list[str] = []
        self.artefacts: list[Path] = []

    def progress(self, done: float, total: float | None, unit: str) -> None:
        self.seen.append((done, total, unit))

    def note(self, message: str) -> None:
        self.notes.append(message)

    def artefact(self, path: Path, kind: str) -> None:
        self.artefacts.append(path)

    def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.stop_at is not None and self.checkpoints >= self.stop_at:
            raise Stopped("stopped")


Whole = tuple[str, Listener, "Path"]


def wish(root: Path, **changes: object) -> DemoRequest:
    values = {"size": "tiny", "make_only": True, "user_data_root": root.parent / "users-data", **changes}
    return DemoRequest(root, **values)


def tree_hash(root: Path) -> str:
    """Return a hash over the names and bytes of everything below a folder but the record of the fetch."""
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if "fetched/.cellmap-tui" not in str(path)):
        digest.update(f"{path.relative_to(root)}\0{path.is_dir()}\0".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Hash of an uninterrupted demo, what was reported while it was made, and where it lies."""
    root = tmp_path_factory.mktemp("whole") / "root"
    listener = Listener()
    demo(wish(root), listener)
    return tree_hash(root), listener, root


# -- going on -----------------------------------------------------------------------------------


def test_progress_counts_up_to_the_total_in_blocks(whole: Whole) -> None:
    seen = whole[1].seen
    done = [entry[0] for entry in seen]
    assert done == sorted(done)
    assert seen[-1] == (seen[-1][1], seen[0][1], "blocks")
    assert len(seen) > 100
    assert whole[1].checkpoints > 300
    assert all(path.exists() for path in whole[1].artefacts)


def test_a_finished_demo_is_kept_as_it_is(tmp_path: Path, whole: Whole) -> None:
    demo(wish(tmp_path / "demo"), SilentReporter())
    listener = Listener()
    result = demo(wish(tmp_path / "demo"), listener)
    assert "15 of 15 units were there already" in result.steps[0].outcome
    assert listener.seen[0][0] == listener.seen[0][1]
    assert tree_hash(tmp_path / "demo") == whole[0]


@pytest.mark.slow
def test_a_demo_stopped_at_any_point_goes_on_to_the_same_bytes(tmp_path: Path, whole: Whole) -> None:
    total = whole[1].checkpoints
    root = tmp_path / "demo"
    stops = 0
    for share in (0.02, 0.3, 0.2, 0.4):
        with pytest.raises(Stopped):
            demo(wish(root), Listener(stop_at=max(1, int(share * total))))
        stops += 1
        assert not (root / ".partial").exists()
    demo(wish(root), SilentReporter())
    assert stops == 4
    assert tree_hash(root) == whole[0]


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from cellmap_tui.services.demo import DemoRequest, demo
from cellmap_tui.services.report import SilentReporter

class Killer(SilentReporter):
    count = 0
    def checkpoint(self):
        self.count += 1
        if self.count == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

root = Path(sys.argv[1])
demo(DemoRequest(root, size="tiny", make_only=True, user_data_root=root.parent / "users-data"), Killer())
"""


@pytest.mark.slow
def test_a_demo_killed_at_several_points_goes_on_to_the_same_bytes(tmp_path: Path, whole: Whole) -> None:
    root = tmp_path / "demo"
    for at in (1, 60, 130, 200):
        killed = subprocess.run([sys.executable, "-c", KILLED_AT, str(root), str(at)], check=False)
        assert killed.returncode == -signal.SIGKILL
    demo(wish(root), SilentReporter())
    assert tree_hash(root) == whole[0]


KILLED_IN_A_RENAME = """
import os, signal, sys
from pathlib import Path
from cellmap_tui.services.demo import DemoRequest, demo
from cellmap_tui.services.report import SilentReporter

left = int(sys.argv[2])
def replace(self, target, real=Path.replace):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
Path.replace = replace
root = Path(sys.argv[1])
demo(DemoRequest(root, size="tiny", make_only=True, user_data_root=root.parent / "users-data"), SilentReporter())
"""


@pytest.mark.slow
def test_a_demo_killed_before_a_rename_goes_on_to_the_same_bytes(tmp_path: Path, whole: Whole) -> None:
    root = tmp_path / "demo"
    for at in (1, 3, 8, 14, 40, 190):
        killed = subprocess.run([sys.executable, "-c", KILLED_IN_A_RENAME, str(root), str(at)], check=False)
        assert killed.returncode == -signal.SIGKILL
    demo(wish(root), SilentReporter())
    assert tree_hash(root) == whole[0]


def test_a_unit_whose_folder_is_gone_is_made_again(tmp_path: Path, whole: Whole) -> None:
    import shutil

    root = tmp_path / "demo"
    demo(wish(root), SilentReporter())
    shutil.rmtree(root / "data/demo_cell-1/demo_cell-1.zarr/recon-1/labels/groundtruth/crop9002")
    listener = Listener()
    demo(wish(root), listener)
    assert [note for note in listener.notes if note.startswith("making")] == ["making demo_cell-1/crop9002"]
    assert tree_hash(root) == whole[0]


def test_another_seed_makes_other_data(tmp_path: Path, whole: Whole) -> None:
    demo(wish(tmp_path / "demo", seed=1), SilentReporter())
    assert tree_hash(tmp_path / "demo" / "bucket") != tree_hash(whole[2] / "bucket")
    assert tree_hash(tmp_path / "demo" / "truth") != tree_hash(whole[2] / "truth")


# -- refusals -----------------------------------------------------------------------------------


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RefusedError, match="not empty and not a demo"):
        demo(wish(tmp_path), SilentReporter())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_users_data_root_is_refused_even_before_it_exists(tmp_path: Path) -> None:
    mine = tmp_path / "data"
    for root in (mine, mine / "demo", mine / "a" / "b"):
        with pytest.raises(RefusedError, match="data root"):
            demo(wish(root, user_data_root=mine), SilentReporter())
    assert not mine.exists()


def test_the_data_root_of_the_settings_counts_when_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLMAP_TUI_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("CELLMAP_TUI_CONFIG_DIR", str(tmp_path / "config"))
    with pytest.raises(RefusedError, match="data root"):
        demo(wish(tmp_path / "data" / "demo", user_data_root=None), SilentReporter())


def test_a_place_inside_any_folder_laid_out_as_a_data_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "roots" / "jrc_x" / "jrc_x.zarr").mkdir(parents=True)
    with pytest.raises(RefusedError, match="lies inside the data root"):
        demo(wish(tmp_path / "roots" / "new"), SilentReporter())
    (tmp_path / "other" / ".cellmap-tui").mkdir(parents=True)
    with pytest.raises(RefusedError, match="data root"):
        demo(wish(tmp_path / "other" / "deep" / "new"), SilentReporter())


def test_a_link_into_a_data_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / ".cellmap-tui").mkdir(parents=True)
    (tmp_path / "data" / "inside").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data" / "inside")
    with pytest.raises(RefusedError, match="data root"):
        demo(wish(tmp_path / "link"), SilentReporter())


def test_a_file_in_place_of_the_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")
    with pytest.raises(RequestError, match="is a file"):
        demo(wish(tmp_path / "demo"), SilentReporter())
    with pytest.raises(CellmapError):
        demo(wish(tmp_path / "demo" / "below"), SilentReporter())


def test_a_demo_of_another_size_or_seed_needs_overwrite_and_keeps_what_is_the_users(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    with pytest.raises(Stopped):
        demo(wish(root, seed=3), Listener(stop_at=150))
    (root / "notes.txt").write_text("mine")
    with pytest.raises(RefusedError, match="--overwrite"):
        demo(wish(root), SilentReporter())
    demo(wish(root, overwrite=True), SilentReporter())
    assert json.loads((root / "demo.json").read_text())["seed"] == 0
    assert (root / "notes.txt").read_text() == "mine"


def test_a_damaged_marker_is_one_clear_error(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"seed": "x"}', '{"size": "tiny"}'):
        (tmp_path / "demo.json").write_text(text)
        with pytest.raises(DataError, match="does not describe a demo"):
            demo(wish(tmp_path), SilentReporter())


def test_two_processes_do_not_make_one_demo_at_once(tmp_path: Path) -> None:
    holder = (
        "import sys, pathlib\n"
        "from cellmap_tui.services.demo_root import DemoRoot, only_writer\n"
        "with only_writer(DemoRoot(pathlib.Path(sys.argv[1]))):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RefusedError, match="another process"), only_writer(DemoRoot(tmp_path)):
            pass
        process.communicate("")
    with only_writer(DemoRoot(tmp_path)):
        pass


@pytest.mark.parametrize("values", [{"size": "huge"}, {"seed": -1}])
def test_wrong_values_are_refused_when_the_request_is_built(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        wish(tmp_path, **values)


def test_request_and_result_survive_json(tmp_path: Path) -> None:
    request = wish(tmp_path / "demo")
    assert from_json(to_json(request), DemoRequest, source="test") == request
    result = demo(request, SilentReporter())
    assert from_json(to_json(result), DemoResult, source="test") == result


# -- the journey --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoResult, Listener]:
    listener = Listener()
    return demo(wish(tmp_path_factory.mktemp("journey") / "demo", make_only=False), listener), listener


def test_the_journey_makes_each_step_that_exists_and_lists_the_rest(journey: tuple[DemoResult, Listener]) -> None:
    result, listener = journey
    looks = ["make data", "crops", "inspect", "visualize", "stand-in"]
    plan = ["fetch-data", "verify", "get-counts", "make-datasplit", "map-labels", "export"]
    scored = ["pack-results", "validate-submission", "evaluate"]
    own = ["train", "predict", "process", "pack-model", "score-model"]
    assert [step.name for step in result.steps] == [*looks, *plan, *scored, *own]
    assert result.overall_score is not None
    assert 0.3 < result.overall_score < 1, "damaged truth is neither nothing nor perfect"
    assert result.zip_path is not None
    assert result.zip_path.is_file()
    assert not {step.name for step in result.steps} & set(result.not_available)
    assert all("\n" not in step.outcome for step in result.steps)
    assert any(note.startswith("crops: ") for note in listener.notes)


def test_the_journey_finds_crops_by_filter_and_reads_their_facts(journey: tuple[DemoResult, Listener]) -> None:
    outcome = {step.name: step.outcome for step in journey[0].steps}
    assert "13 crops of the demo" in outcome["crops"]
    assert "9001" in outcome["crops"]
    assert "9005" not in outcome["crops"], "32 nm labels do not meet voxel<=8"
    assert "mito: object ids" in outcome["inspect"]
    assert "crop 9006: resin/empty" in outcome["inspect"]


def test_the_journey_fetches_the_buckets_bytes(journey: tuple[DemoResult, Listener]) -> None:
    outcome = {step.name: step.outcome for step in journey[0].steps}
    assert "2 crops" in outcome["fetch-data"]
    assert "0 failed" in outcome["fetch-data"]
    assert "0 missing, 0 corrupt" in outcome["verify"]
    fetched, bucket = journey[0].data_root.parent / "fetched", journey[0].bucket_root / "janelia-cosem-datasets"
    files = [path for path in fetched.rglob("*") if path.is_file() and ".cellmap-tui" not in path.parts]
    assert len(files) > 50
    assert all(path.read_bytes() == (bucket / path.relative_to(fetched)).read_bytes() for path in files)


def test_the_journey_draws_slices_with_structure(journey: tuple[DemoResult, Listener]) -> None:
    import numpy as np
    from PIL import Image

    pictures = sorted(journey[0].data_root.parent.joinpath("slices").iterdir())
    assert len(pictures) == 3
    for path in pictures:
        rgb = np.asarray(Image.open(path))
        assert rgb.shape[2] == 3
        assert min(rgb.shape[:2]) >= 200
        assert rgb.std() > 10
    plain, tinted = (np.asarray(Image.open(p)).astype(int) for p in pictures[:2][::-1])
    assert np.ptp(plain, axis=2).max() == 0
    assert np.ptp(tinted, axis=2).max() > 40


def test_the_whole_journey_can_be_repeated_and_leaves_the_same_files(journey: tuple[DemoResult, Listener]) -> None:
    root = journey[0].data_root.parent
    before = tree_hash(root)
    again = demo(wish(root, make_only=False), SilentReporter())
    assert [step.name for step in again.steps] == [step.name for step in journey[0].steps]
    assert tree_hash(root) == before
    plan = again.steps[5:]
    assert all(step.outcome.endswith("(done before)") for step in plan), "nothing changed"


def test_what_the_journey_carries_out_is_a_plan_that_users_have(journey: tuple[DemoResult, Listener]) -> None:
    from cellmap_tui.services.journey import plan_journey
    from cellmap_tui.services.journey_model import JourneyRequest

    rows = plan_journey(JourneyRequest(journey[0].plan, state_dir=journey[0].plan.parent / ".state"))
    assert len(rows) == 14
    assert {row.state for row in rows} == {"skipped"}
