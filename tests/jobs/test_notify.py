"""Notices of a job: what is worth one, and that a webhook never holds up or ends the work."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from cellmap_tui.errors import DataError, RequestError
from cellmap_tui.jobs.events import Event
from cellmap_tui.jobs.guard import lost_notice
from cellmap_tui.jobs.notify import BEST_WORDS, Notice, NoticeWatch, Notifier, make_notifier, notice_kinds, post
from cellmap_tui.services.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Hook(http.server.BaseHTTPRequestHandler):
    """A webhook that keeps what it gets, and answers what it is told to."""

    got: ClassVar[list[dict[str, Any]]] = []
    answers: ClassVar[list[int]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(json.loads(body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Hook.got.clear()
    Hook.answers.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret"
    server.shutdown()
    server.server_close()
    thread.join()


def state(name: str, time_s: float) -> Event:
    return Event("state", time_s, {"state": name})


def notices(events: list[Event], command: str = "train") -> list[Notice]:
    watch = NoticeWatch("7f3a", command)
    return [notice for event in events if (notice := watch.see(event)) is not None]


def test_the_end_of_a_training_is_told_with_how_long_it_took() -> None:
    (notice,) = notices([state("queued", 0), state("running", 1), state("done", 7201)])
    assert (notice.kind, notice.state, notice.took_s) == ("end", "done", 7200)
    assert notice.sentence.startswith("train 7f3a on ")
    assert notice.sentence.endswith(": done after 2 h 00 min")


def test_a_failure_is_told_with_its_error() -> None:
    error = Event("error", 5.0, {"message": "out of \x1b[31mmemory", "kind": "failed"})
    (notice,) = notices([state("running", 1), error, state("failed", 6)], "predict")
    assert notice.kind == "failure"
    assert notice.sentence.endswith("failed after 5 s: out of ·[31mmemory")


def test_a_new_best_is_told() -> None:
    note = Event("note", 9.0, {"message": f"epoch 3 {BEST_WORDS}: mean Dice 0.612"})
    (notice,) = notices([state("running", 1), note])
    assert notice.kind == "best"
    assert notice.sentence.endswith("new best: epoch 3 is the best so far: mean Dice 0.612")


def test_the_words_of_a_new_best_are_those_that_a_training_writes() -> None:
    import inspect

    from cellmap_tui.services import train_here

    assert BEST_WORDS in inspect.getsource(train_here)


def test_short_work_that_ends_well_is_not_told() -> None:
    assert notices([state("running", 1), state("done", 30)], "predict") == []
    assert len(notices([state("running", 1), state("done", 300)], "predict")) == 1


def test_only_what_is_wanted_is_sent() -> None:
    sent: list[Notice] = []
    with Notifier(NoticeWatch("7f3a", "train"), notice_kinds("failure"), [sent.append]) as notifier:
        for event in (state("running", 1), state("done", 100), state("failed", 101)):
            notifier.on_event(event)
    assert [notice.kind for notice in sent] == ["failure"]


def test_a_webhook_gets_json_that_chat_services_show(url: str) -> None:
    post(url, notices([state("running", 1), state("done", 100)])[0])
    (got,) = Hook.got
    assert got["text"] == got["content"]
    assert (got["event"], got["run_id"], got["state"], got["took_s"]) == ("end", "7f3a", "done", 99)


def test_a_webhook_that_is_down_is_tried_again(url: str) -> None:
    Hook.answers[:] = [503, 503]
    post(url, notices([state("failed", 1)])[0], between_s=0.0)
    assert len(Hook.got) == 3


def test_a_webhook_that_refuses_is_not_tried_again_and_its_address_stays_secret(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Hook.answers[:] = [404]
    notifier = Notifier(NoticeWatch("7f3a", "train"), {"failure"}, [lambda notice: post(url, notice)])
    with notifier:
        notifier.on_event(state("failed", 1))
    assert len(Hook.got) == 1
    told = capfd.readouterr().err
    assert "answered 404" in told
    assert "secret" not in told


def test_a_newer_best_replaces_one_that_waits() -> None:
    sent: list[Notice] = []
    begun, go = threading.Event(), threading.Event()

    def slow(notice: Notice) -> None:
        begun.set()
        assert go.wait(300)
        sent.append(notice)

    with Notifier(NoticeWatch("7f3a", "train"), {"best"}, [slow]) as notifier:
        notifier.on_event(Event("note", 1.0, {"message": f"epoch 1 {BEST_WORDS}"}))
        assert begun.wait(300)
        for epoch in (2, 3, 4):
            notifier.on_event(Event("note", 1.0, {"message": f"epoch {epoch} {BEST_WORDS}"}))
        go.set()
    assert [notice.message for notice in sent] == [f"epoch 1 {BEST_WORDS}", f"epoch 4 {BEST_WORDS}"]


def test_the_settings_say_who_is_told(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('webhook_url = "https://chat.example/hook"\nnotify = "end, best"\nbell = "on"\n')
    settings = load_settings(settings_file=file, environ={})
    assert notice_kinds(settings.notify) == {"end", "best"}
    from cellmap_tui.jobs.rundir import RunDir

    assert make_notifier(RunDir(tmp_path), "train", settings, with_bell=True) is not None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('webhook_url = "ftp://x"', "no address"),
        ('notify = "end,lunch"', "lunch"),
        ('bell = "loud"', "use on or off"),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(line + "\n")
    with pytest.raises((RequestError, DataError)) as caught:
        load_settings(settings_file=file, environ={})
    assert words in f"{caught.value.message} {caught.value.remedy}"


def test_a_job_of_its_own_tells_a_webhook(url: str, runs_root: Path) -> None:
    import os
    import subprocess

    from tests.jobs.helpers import queued_count

    run = queued_count(runs_root, steps=2)
    environ = {**os.environ, "CELLMAP_TUI_WEBHOOK_URL": url, "CELLMAP_TUI_NOTIFY": "end,failure"}
    # The command of the tests is none that the product knows: the job fails, which is told.
    subprocess.run([sys.executable, "-m", "cellmap_tui.jobs.worker", str(run.path)], env=environ, check=False)
    (got,) = Hook.got
    assert (got["event"], got["run_id"]) == ("failure", run.run_id)


def test_a_job_that_is_killed_is_told_of_once_by_its_guard(url: str, runs_root: Path) -> None:
    import subprocess

    from tests.jobs.helpers import all_events, queued_count, wait_until

    run = queued_count(runs_root, steps=10**9)
    worker = subprocess.Popen([sys.executable, "-c", GUARDED, str(run.path), url])
    wait_until(lambda: len(all_events(run)) > 5, "the job works")
    worker.kill()
    assert worker.wait(600) == -9
    wait_until(lambda: bool(Hook.got), "the guard tells")
    (got,) = Hook.got
    assert (got["event"], got["state"], got["run_id"]) == ("failure", "lost", run.run_id)
    assert "died without a word after" in got["text"]
    assert f"runs resume {run.path}" in got["text"]


def test_a_guard_is_silent_of_a_job_that_ended_properly(url: str, runs_root: Path) -> None:
    import subprocess

    from tests.jobs.helpers import queued_count

    run = queued_count(runs_root, steps=3)
    subprocess.run([sys.executable, "-c", GUARDED, str(run.path), url], check=True, timeout=600)
    assert lost_notice(run, "count", 1) is None
    assert Hook.got == []


GUARDED = """
import sys
from pathlib import Path
from cellmap_tui.jobs.execute import execute
from cellmap_tui.jobs.guard import Guard
from cellmap_tui.jobs.rundir import RunDir
from tests.jobs.work import TEST_COMMANDS
run = RunDir(Path(sys.argv[1]))
with Guard(run, "count", sys.argv[2]):
    execute(run, commands=TEST_COMMANDS)
"""
