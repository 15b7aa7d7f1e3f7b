"""What home offers, by what is there."""

from __future__ import annotations

from pathlib import Path

from cellmap_tui.app.demo_job import demo_run
from cellmap_tui.app.local_data import LocalData, anything_local, folder_size
from cellmap_tui.app.next_steps import next_steps
from tests.app.builders import run_of

DATA = Path("state/demo/data")


def _local(crops: int) -> LocalData:
    return LocalData(Path("data"), crops, 0, int(crops > 0), 305, (), 0, True, None)


def _ids(*args: object, **options: bool) -> list[str]:
    return [step.id for step in next_steps(*args, **options)]  # type: ignore[arg-type]


def test_with_nothing_local_the_demo_comes_first() -> None:
    assert _ids(_local(0), None, None) == ["demo", "browse", "import", "doctor"]


def test_with_data_browsing_comes_first() -> None:
    assert _ids(_local(3), None, None) == ["browse", "demo", "import", "doctor"]


def test_a_demo_under_way_is_watched_and_a_broken_off_one_gone_on_with() -> None:
    assert _ids(None, run_of("a", "running"), None)[0] == "watch"
    assert _ids(None, run_of("a", "quiet"), None)[0] == "watch"
    for state in ("stopped", "lost", "failed"):
        assert _ids(None, run_of("a", state), None)[0] == "resume_demo"


def test_a_finished_demo_is_browsed_or_made_again_when_its_data_are_gone() -> None:
    assert _ids(None, run_of("a", "done"), DATA)[0] == "demo_data"
    assert _ids(None, run_of("a", "done"), None)[0] == "demo"
    assert "demo_data" not in _ids(_local(13), run_of("a", "done"), DATA, demo_in_use=True)


def test_a_root_holds_data_when_a_dataset_has_its_zarr() -> None:
    assert not anything_local(Path("data"))
    Path("data/jrc_x/other").mkdir(parents=True)
    assert not anything_local(Path("data"))
    Path("data/jrc_x/jrc_x.zarr").mkdir()
    assert anything_local(Path("data"))
    Path("file").touch()
    assert not anything_local(Path("file"))


def test_sizes_are_summed_until_the_time_is_up() -> None:
    Path("data/a").mkdir(parents=True)
    Path("data/a/x").write_bytes(b"12345")
    Path("data/y").write_bytes(b"123")

    assert folder_size(Path("data"), lambda: False) == (8, True)
    assert folder_size(Path("data"), lambda: True) == (0, False)
    assert folder_size(Path("data"), lambda: False, budget_s=-1.0) == (0, False)


def test_the_demo_that_goes_on_counts_before_a_done_one_and_that_before_a_failed_one() -> None:
    other, failed = run_of("d", "running", command="import"), run_of("c", "failed")
    done, running = run_of("b", "done"), run_of("a", "running")

    assert demo_run([other, failed, done, running]) == running
    assert demo_run([other, failed, done]) == done
    assert demo_run([other, failed]) == failed
    assert demo_run([other]) is None
