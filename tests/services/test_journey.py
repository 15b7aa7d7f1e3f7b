"""A plan file: checked before it runs, skipped where it is done, continued where it was cut short."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cellmap_tui.errors import CellmapError, MissingDataError, RefusedError, RequestError, Stopped
from cellmap_tui.services.journey import plan_journey, run_journey
from cellmap_tui.services.journey_model import JourneyRequest
from cellmap_tui.services.journey_places import PLACE_NAMES
from cellmap_tui.services.journey_state import only_runner, state_file
from cellmap_tui.services.registry import COMMANDS
from cellmap_tui.services.report import SilentReporter

if TYPE_CHECKING:
    from pathlib import Path

PLAN = """
[options]
data_root = "data"

[[step]]
name = "first"
command = "import"
dataset = "one"
raw = "em.npy"
labels = { mito = "mito.npy" }
kinds = { mito = "instance" }
voxel_size_nm = [8, 8, 8]
crop = 1

[[step]]
name = "second"
command = "import"
dataset = "two"
raw = "em.npy"
voxel_size_nm = [8, 8, 8]
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "em.npy", rng.integers(0, 255, (8, 32, 32), np.uint8))
    mito = np.zeros((8, 32, 32), np.uint16)
    mito[2:5, 4:12, 4:12] = 300
    np.save(tmp_path / "mito.npy", mito)
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path / "plan.toml"


def states(plan: Path, **changes: object) -> list[str]:
    return [step.state for step in plan_journey(JourneyRequest(plan, **changes))]  # type: ignore[arg-type]


def run(plan: Path, **changes: object) -> list[str]:
    result = run_journey(JourneyRequest(plan, **changes), SilentReporter())  # type: ignore[arg-type]
    return [step.state for step in result.steps]


def test_steps_run_in_order_and_are_skipped_when_nothing_changed(plan):
    assert states(plan) == ["waiting", "waiting"]
    assert run(plan) == ["done", "done"]
    assert (plan.parent / "data" / "two" / "two.zarr").is_dir()
    assert run(plan) == ["skipped", "skipped"]


def test_a_dry_run_changes_nothing(plan):
    before = sorted(path.name for path in plan.parent.iterdir())
    result = run_journey(JourneyRequest(plan, dry_run=True), SilentReporter())
    assert [step.state for step in result.steps] == ["waiting", "waiting"]
    assert sorted(path.name for path in plan.parent.iterdir()) == before


def test_a_changed_option_runs_its_step_again(plan):
    run(plan)
    plan.write_text(PLAN.replace("crop = 1", "crop = 2"))
    first, second = plan_journey(JourneyRequest(plan))
    assert (first.state, first.words) == ("waiting", "its options changed")
    assert second.state == "skipped"
    assert run(plan)[0] == "done"


def test_a_changed_input_runs_its_step_again(plan):
    run(plan)
    np.save(plan.parent / "mito.npy", np.ones((8, 32, 32), np.uint16))
    first, second = plan_journey(JourneyRequest(plan))
    assert first.state == "waiting"
    assert "labels[mito] changed" in first.words
    assert second.state == "skipped"


def test_an_artefact_that_is_gone_runs_its_step_again(plan):
    run(plan)
    shutil.rmtree(plan.parent / "data" / "two")
    assert "waiting" in states(plan)


def test_until_stops_there_and_redo_runs_again(plan):
    assert run(plan, until="first") == ["done", "waiting"]
    assert states(plan) == ["skipped", "waiting"]
    plan.write_text(PLAN.replace("voxel_size_nm", "overwrite = true\nvoxel_size_nm"))
    run(plan)
    assert states(plan, redo=("first",)) == ["waiting", "skipped"]


def test_what_others_made_is_not_replaced_and_what_the_plan_made_is(plan):
    other = plan.with_name("other.toml")
    other.write_text(PLAN)
    run(other)
    for _ in range(2):
        with pytest.raises(RefusedError, match="imported already"):
            run(plan)
    (plan.parent / "em.npy").touch()
    assert run(other) == ["done", "done"]


def test_a_failed_step_is_named_and_the_others_stay_done(plan):
    (plan.parent / "em.npy").rename(plan.parent / "kept.npy")
    plan.write_text(PLAN.replace('raw = "em.npy"', 'raw = "kept.npy"', 1))
    with pytest.raises(CellmapError, match=r"step 'second'.*em\.npy.*run the plan again"):
        run(plan)
    assert states(plan) == ["skipped", "waiting"]
    (plan.parent / "kept.npy").rename(plan.parent / "em.npy")
    plan.write_text(PLAN)
    assert run(plan)[1] == "done"


def test_a_step_uses_the_result_of_an_earlier_one(plan):
    text = PLAN + '\n[[step]]\nname = "third"\ncommand = "import"\nraw = "em.npy"\ndataset = "${first.dataset}"\n'
    plan.write_text(text + "crop = 3\noverwrite = true\nvoxel_size_nm = [8, 8, 8]\n")
    assert run(plan)[2] == "done"
    plan.write_text(text.replace("first.dataset", "first.datset"))
    with pytest.raises(RequestError, match="did you mean 'dataset'"):
        run(plan)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('command = "import"', 'command = "imprt"'), "did you mean 'import'"),
        (("dataset =", "datset ="), "did you mean 'dataset'"),
        (('name = "second"', 'name = "first"'), "two steps are called 'first'"),
        (("[[step]]", "[[steps]]"), "did you mean 'step'"),
        (("crop = 1", 'crop = "one"'), "step 'first'"),
        (('command = "import"', 'command = "run"'), "a plan cannot run plans"),
        (("data_root =", "data_rot ="), "did you mean 'data_root'"),
        (('dataset = "one"', 'dataset = "${second.dataset}"'), "no earlier step"),
        (('name = "first"', 'name = "../x"'), "is not a name"),
    ],
)
def test_a_wrong_plan_is_refused_before_anything_runs(plan, change, words):
    plan.write_text(PLAN.replace(*change))
    with pytest.raises(RequestError) as caught:
        run(plan)
    assert words in str(caught.value)
    assert not (plan.parent / "data").exists()


def test_what_is_no_plan_is_named(tmp_path):
    with pytest.raises(MissingDataError, match="cannot be read"):
        run(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[[step")
    with pytest.raises(RequestError, match="not TOML"):
        run(tmp_path / "bad.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(RequestError, match="has no steps"):
        run(tmp_path / "empty.toml")
    (tmp_path / "ok.toml").write_text(PLAN)
    with pytest.raises(RequestError, match="no step 'x'"):
        run(tmp_path / "ok.toml", until="x")


def test_a_broken_state_file_means_that_nothing_is_done(plan):
    run(plan)
    state_file(plan).write_text('{"format": 1, "done": {"first": 7}}')
    assert states(plan) == ["waiting", "waiting"]


def test_two_processes_do_not_carry_out_the_same_plan(plan):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom cellmap_tui.services.journey_state import only_runner\n"
        "with only_runner(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(plan)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RefusedError, match="another process"):
            run(plan)
        os.kill(other.pid, signal.SIGKILL)
    with only_runner(plan):
        pass


def test_a_stop_leaves_a_plan_that_goes_on(plan):
    class Stops(SilentReporter):
        def __init__(self, after: int) -> None:
            self.left = after

        def checkpoint(self) -> None:
            self.left -= 1
            if self.left < 0:
                raise Stopped("stopped")

    for after in range(12):
        try:
            run_journey(JourneyRequest(plan), Stops(after))
        except Stopped:
            continue
        break
    run(plan)
    assert states(plan) == ["skipped", "skipped"]


def test_every_place_of_every_request_is_known_as_one():
    """An option that is text and names a file must be in PLACE_NAMES, or its change would not be seen."""
    known_words = {
        "crops", "dataset", "axes", "profile", "bucket", "endpoint_url", "until", "name", "axis", "method",
        "format", "command", "size", "scaling", "access_mode", "split", "score_profile",
    }  # fmt: skip
    suspicious = ("path", "file", "folder", "manifest", "root", "dir")
    for command in COMMANDS.values():
        for field in fields(command.request_model()):
            if field.type in ("str", "str | None") and field.name not in known_words:
                named = any(word in field.name for word in suspicious)
                assert not named or field.name in PLACE_NAMES, f"{command.name}: {field.name}"


def test_the_command_line_shows_the_plan_and_runs_it(plan):
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        runs = ["--runs-root", str(plan.parent / "runs")]
        line = [sys.executable, "-m", "cellmap_tui", "--batch", *runs, *words]
        return subprocess.run(line, capture_output=True, text=True, check=False)

    shown = call("run", str(plan), "--dry-run")
    assert shown.returncode == 0
    assert "· first   not done yet" in shown.stdout
    done = call("--json", "run", str(plan))
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["event"], last["command"]) == ("result", "run")
    assert [step["state"] for step in last["value"]["steps"]] == ["done", "done"]
    assert "= second  done" in call("run", str(plan)).stdout
    wrong = call("run", str(plan.parent / "none.toml"))
    assert wrong.returncode != 0
    assert wrong.stderr.count("\n") <= 2
