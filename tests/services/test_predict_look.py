"""Plans that are made in a process of its own, over a real network on real EM."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading

import pytest

from cellmap_tui.app import predict_planning
from cellmap_tui.app.predict_planning import Planner
from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.services.models import to_json
from cellmap_tui.services.predict_look import _Progress, look, serve
from tests.services.predicting import data_root, network, other, request


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    return request(data_root(folder), network(folder / "run"))


def answers(asked):
    written = io.StringIO()
    look(asked, written)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_plan_is_answered_after_how_far_it_is(asked):
    *progress, last = answers(asked)

    assert progress[-1]["progress"][:2] == [1, 1]
    assert last["plan"]["crops"][0]["crop"] == "set/crop1"
    assert last["conflicts"] == []


def test_an_error_is_an_answer_with_its_remedy(asked):
    (last,) = answers(other(asked, checkpoints=("/nowhere",)))

    message, remedy = last["error"]
    assert "/nowhere" in message
    assert remedy


def test_that_the_bucket_is_waited_for_is_answered_at_once():
    written = io.StringIO()
    _Progress(written).warning("waiting since noon")
    assert json.loads(written.getvalue()) == {"told": "waiting since noon"}


def test_what_is_waited_for_stands_in_place_of_the_count(asked, monkeypatch):
    lines = [{"progress": [0, 2, "crops planned"]}, {"told": "waiting since noon"}, {"error": ["away", ""]}]
    planner, said = Planner(), []
    monkeypatch.setattr(predict_planning, "_answers", lambda _child, _is_cancelled: iter(lines))
    monkeypatch.setattr(predict_planning, "_write", lambda _child, _request: None)
    monkeypatch.setattr(planner, "_ready_child", lambda: None)
    with pytest.raises(CellmapError, match="away"):
        planner.plan(asked, said.append, lambda: False)
    assert said[-1] == "waiting since noon"


def test_it_ends_with_its_input_and_when_nothing_is_asked(asked):
    reading, writing = os.pipe()
    os.write(writing, to_json(asked) + b"\n")
    os.close(writing)
    written = io.StringIO()
    serve(reading, written)
    os.close(reading)
    assert "plan" in json.loads(written.getvalue().splitlines()[-1])

    reading, writing = os.pipe()
    serve(reading, written, patience_s=0.01)
    os.close(reading)
    os.close(writing)


@pytest.mark.slow
def test_a_planner_keeps_its_process_and_another_plan_ends_the_one_before(asked):
    planner = Planner()
    try:
        first = planner.plan(asked, lambda _: None, lambda: False)
        child = planner._child
        assert planner.plan(asked, lambda _: None, lambda: False).plan.crops == first.plan.crops
        assert planner._child is child
        with pytest.raises(CellmapError, match="nowhere"):
            planner.plan(other(asked, checkpoints=("/nowhere",)), lambda _: None, lambda: False)

        cancelled = threading.Event()
        cancelled.set()
        with pytest.raises(Stopped):
            planner.plan(asked, lambda _: None, cancelled.is_set)
        child.kill()
        child.wait()
        assert planner.plan(asked, lambda _: None, lambda: False).plan.tiles == first.plan.tiles
    finally:
        planner.close()


def test_waiting_for_plans_loads_no_torch():
    script = (
        "import sys, cellmap_tui.services.predict_look; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
