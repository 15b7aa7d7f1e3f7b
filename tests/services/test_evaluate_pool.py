"""Tasks on worker processes within a memory budget, and what is kept of finished ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from cellmap_tui.errors import RefusedError, RequestError, Stopped
from cellmap_tui.services.evaluate_pool import WORKER_BYTES, Task, WorkerPool
from cellmap_tui.services.evaluate_store import KEPT_S, PairStore, fingerprint, pair_key
from cellmap_tui.services.memory_budget import memory_budget, parse_size, usable_processors

G = 10**9


@pytest.fixture(autouse=True)
def _tests_are_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def tasks(*payloads, memory_bytes=1000):
    return [Task(f"{i}:{p[0]}", p, memory_bytes, 1.0) for i, p in enumerate(payloads)]


def run(todo, workers=2, budget_bytes=G, between=lambda: None):
    with WorkerPool("tests.services.pool_tasks:do", workers, budget_bytes) as pool:
        return {outcome.task.key: outcome for outcome in pool.run(todo, between)}


def test_tasks_are_done_and_their_values_come_back():
    outcomes = run(tasks(("a",), ("b",), ("c",)))
    assert {key: outcome.value for key, outcome in outcomes.items()} == {"0:a": "a", "1:b": "b", "2:c": "c"}


def test_what_goes_wrong_in_one_task_does_not_end_the_others():
    outcomes = run(tasks(("wrong",), ("bug",), ("memory",), ("die",), ("fine",)))
    assert outcomes["0:wrong"].value == ("data", "the volume is broken", "write it again")
    assert outcomes["1:bug"].value[0] == "ZeroDivisionError: oops"
    assert outcomes["2:memory"].how == "memory"
    assert (outcomes["3:die"].how, outcomes["3:die"].value) == ("died", "its process was killed by signal 9")
    assert outcomes["4:fine"].value == "fine"


def test_a_task_whose_worker_was_killed_is_tried_once_more_alone(tmp_path):
    outcomes = run(tasks(("die once", str(tmp_path / "mark")), ("together", str(tmp_path), "x")))
    assert outcomes["0:die once"].value == "lived"


def test_two_tasks_that_do_not_fit_together_never_run_together(tmp_path):
    (tmp_path / "room").mkdir()
    todo = tasks(*(("together", str(tmp_path / "room"), f"t{i}") for i in range(3)), memory_bytes=G // 2)
    budget_bytes = G + WORKER_BYTES  # one more worker would be too much
    outcomes = run(todo, workers=3, budget_bytes=budget_bytes)
    assert {outcome.value for outcome in outcomes.values()} == {1}
    (tmp_path / "hall").mkdir()
    todo = tasks(*(("meet", str(tmp_path / "hall"), f"t{i}") for i in range(3)), memory_bytes=G // 2)
    together = run(todo, workers=3, budget_bytes=2 * G + 3 * WORKER_BYTES)
    assert min(outcome.value for outcome in together.values()) > 1


def test_the_largest_task_goes_first():
    todo = [Task("small", ("s",), 10, 1.0), Task("large", ("l",), 1000, 1.0), Task("longer", ("m",), 10, 5.0)]
    assert list(run(todo, workers=1)) == ["large", "longer", "small"]


def test_a_stop_leaves_no_process_behind():
    def stop():
        raise Stopped("stopped")

    with WorkerPool("tests.services.pool_tasks:do", 2, G) as pool:
        with pytest.raises(Stopped):
            list(pool.run(tasks(("a",)), stop))
        assert list(pool.drain()) == []


def test_a_size_is_read_as_people_write_it():
    assert parse_size("8G") == 8 * G
    assert parse_size("1.5 gb") == 1_500_000_000
    assert parse_size("500MB") == 500_000_000
    for wrong in ("", "much", "-1G", "0"):
        with pytest.raises(RequestError, match="8G"):
            parse_size(wrong)


@dataclass
class Machine:
    """A machine with a container."""

    files: dict[str, str]
    available_bytes: int = 64 * G

    def memory(self):
        return self

    def address_space_bytes(self):
        return None

    def cpus(self):
        return 64, 32

    def read(self, path):
        return self.files.get(path)


CONTAINER = {
    "/proc/self/cgroup": "0::/\n",
    "/sys/fs/cgroup/memory.max": str(8 * G),
    "/sys/fs/cgroup/memory.current": str(3 * G),
    "/sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {G}\n",
    "/sys/fs/cgroup/cpu.max": "400000 100000",
}


def test_the_budget_is_what_the_container_leaves_free():
    budget = memory_budget(None, Machine(CONTAINER))
    assert budget.bytes == int(0.8 * 6 * G)
    assert "container limit" in budget.origin
    assert memory_budget(None, Machine({})).bytes == int(0.8 * 64 * G)
    assert memory_budget(5 * G, Machine(CONTAINER)).bytes == 5 * G
    with pytest.raises(RequestError):
        memory_budget(0)


def test_processors_are_those_that_affinity_and_container_allow():
    assert usable_processors(Machine(CONTAINER)) == 4
    assert usable_processors(Machine({})) == 32


def test_a_finished_pair_is_found_again_and_a_broken_one_is_not(tmp_path):
    store = PairStore(tmp_path / "kept")
    key = pair_key({"profile": "2026-06", "truth": "a"})
    assert store.get(key) is None
    store.put(key, {"tp": 3})
    assert store.get(key) == {"tp": 3}
    (file,) = (tmp_path / "kept").rglob("*.json")
    file.write_text('{"tp": ')
    assert store.get(key) is None


def test_pairs_that_nobody_asked_for_in_long_are_removed(tmp_path):
    store = PairStore(tmp_path)
    store.put("aa1", {})
    store.put("bb2", {})
    (old,) = (tmp_path / "aa").iterdir()
    os.utime(old, (old.stat().st_mtime - KEPT_S - 10,) * 2)
    stack = store.stack_folder("s1") / "mito"
    stack.mkdir(parents=True)
    (stack / "0").write_bytes(b"old chunk of a stack that is in use")
    os.utime(stack / "0", (0, 0))
    store.remove_unused()
    assert (stack / "0").exists()
    os.utime(stack.parent, (0, 0))
    store.remove_unused()
    assert not stack.parent.exists()
    assert store.get("aa1") is None
    assert store.get("bb2") == {}


def test_a_store_that_cannot_be_written_is_told_with_the_flag(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError, match="--store"):
        PairStore(tmp_path / "file").put("aa", {})


def test_a_fingerprint_changes_with_the_content_and_with_nothing_else(tmp_path):
    volume = tmp_path / "v"
    volume.mkdir()
    (volume / ".zattrs").write_text("{}")
    (volume / "0.0.0").write_bytes(b"abc")
    first = fingerprint(volume)
    assert fingerprint(volume) == first
    (volume / "0.0.1").write_bytes(b"abc")
    second = fingerprint(volume)
    assert second != first
    (volume / "0.0.0").write_bytes(b"abd")
    assert fingerprint(volume) not in (first, second)
    assert fingerprint(tmp_path / "nothing") == ""


def test_a_key_holds_every_part():
    base = {"profile": "2026-06", "truth": "a", "prediction": "b"}
    assert len({pair_key(base), pair_key({**base, "profile": "panoptic"}), pair_key({**base, "truth": "c"})}) == 3
