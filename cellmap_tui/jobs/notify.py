"""Notices of a job to people elsewhere: a webhook, or the terminal's bell, on end, failure and new best.

The job itself sends them, so nobody needs to watch. A notice never holds the work up and never ends it: it is
posted by a thread of its own, tried a few times, and given up with a line in the log. What a job that was killed
from outside cannot say, its guard says (`guard`).
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from cellmap_tui.jobs.guard import Guard
from cellmap_tui.jobs.process import host_name
from cellmap_tui.text import duration, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cellmap_tui.jobs.events import Event
    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.services.settings import Settings

NoticeKind = Literal["end", "failure", "best"]

BEST_WORDS = "is the best so far"
"""How a training's note tells of a new best epoch."""
SHORT_S = 60.0
"""Work that ends well within this time was waited for: nobody is told."""
TRIES = 3
TIMEOUT_S = 10.0
"""Of one try."""
BETWEEN_S = 2.0
"""Between two tries."""
LAST_WAIT_S = 20.0
"""How long the end of a job waits for its notices."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that somebody elsewhere wants to hear."""

    kind: NoticeKind
    """``end``: done or stopped; ``failure``; ``best``: a new best epoch."""
    run_id: str
    """The run."""
    command: str
    """What it does."""
    state: str
    """``running``, ``done``, ``stopped``, ``failed``, or ``lost``: killed from outside."""
    host: str
    """Where it runs."""
    time_s: float
    """When, Unix seconds."""
    message: str
    """What it said: the error, the best epoch; empty for an end without a word."""
    took_s: float | None = None
    """How long it worked, at an end."""

    @property
    def sentence(self) -> str:
        """Everything in one line of text."""
        took = f" after {duration(self.took_s)}" if self.took_s is not None else ""
        told = f": {printable(self.message)}" if self.message else ""
        end = {"failed": "failed", "lost": "died without a word"}.get(self.state, self.state)
        words = "new best" if self.kind == "best" else f"{end}{took}"
        return f"{self.command} {self.run_id} on {self.host}: {words}{told}"

    def to_json(self) -> dict[str, object]:
        """Return what a webhook gets; ``text`` and ``content`` are what chat services show."""
        return {
            "text": self.sentence,
            "content": self.sentence,
            "event": self.kind,
            "run_id": self.run_id,
            "command": self.command,
            "state": self.state,
            "host": self.host,
            "time": round(self.time_s, 3),
            "message": self.message,
            "took_s": self.took_s,
        }


class NoticeWatch:
    """Makes notices of a job's events."""

    def __init__(self, run_id: str, command: str) -> None:
        self._run_id, self._command, self._host = run_id, command, host_name()
        self._started_s: float | None = None
        self._error = ""

    def see(self, event: Event) -> Notice | None:
        """Return what an event is worth telling; None: nothing."""
        if event.kind == "error":
            self._error = str(event.fields.get("message") or "")
        if event.kind == "note" and BEST_WORDS in str(event.fields.get("message")):
            return self._notice("best", "running", event.time_s, str(event.fields.get("message")))
        state = event.fields.get("state") if event.kind == "state" else None
        if state == "running" and self._started_s is None:
            self._started_s = event.time_s
        if state == "failed":
            return self._notice("failure", "failed", event.time_s, self._error)
        if state not in {"done", "stopped"}:
            return None
        took_s = 0.0 if self._started_s is None else event.time_s - self._started_s
        if took_s < SHORT_S and self._command != "train":
            return None
        return self._notice("end", str(state), event.time_s, self._error if state == "stopped" else "")

    def _notice(self, kind: NoticeKind, state: str, time_s: float, message: str) -> Notice:
        is_over = kind != "best" and self._started_s is not None
        took_s = max(0.0, time_s - (self._started_s or 0.0)) if is_over else None
        return Notice(kind, self._run_id, self._command, state, self._host, time_s, message, took_s)


class Notifier:
    """Sends the notices of one job; a context, whose end waits for those on their way.

    Parameters
    ----------
    watch
        Makes notices of events.
    kinds
        Which notices are wanted.
    send
        Ways to send one; each may raise `OSError`.
    guard
        Tells of a job that is killed; None: nobody does.
    """

    def __init__(
        self,
        watch: NoticeWatch,
        kinds: Iterable[str],
        send: Iterable[Callable[[Notice], None]],
        guard: Guard | None = None,
    ) -> None:
        self._watch, self._kinds, self._send, self._guard = watch, frozenset(kinds), tuple(send), guard
        self._waiting: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._newest_best: Notice | None = None

    def on_event(self, event: Event) -> None:
        """Hear of an event; never waits and never raises."""
        notice = self._watch.see(event)
        if notice is None or notice.kind not in self._kinds or self._thread is None:
            return
        if notice.kind == "best":
            self._newest_best = notice
        self._waiting.put(notice)

    def __enter__(self) -> Self:
        """Begin to send."""
        if self._send and self._kinds:
            self._thread = threading.Thread(target=self._deliver, name="cellmap-notices", daemon=True)
            self._thread.start()
        if self._guard is not None:
            self._guard.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is on its way, for a bounded time."""
        if self._thread is not None:
            self._closing.set()
            self._waiting.put(None)
            self._thread.join(LAST_WAIT_S)
        if self._guard is not None:
            self._guard.__exit__()

    def _deliver(self) -> None:
        while (notice := self._waiting.get()) is not None:
            if notice.kind == "best" and notice is not self._newest_best:
                continue  # a better one came while the last was on its way
            for send in self._send:
                try_to_send(send, notice)


def make_notifier(run: RunDir, command: str, settings: Settings, *, with_bell: bool = False) -> Notifier:
    """Return what sends the notices of a run as the settings say.

    Parameters
    ----------
    with_bell
        Whether a person sits at this process's terminal and may hear its bell.
    """
    send: list[Callable[[Notice], None]] = []
    if settings.webhook_url:
        send.append(lambda notice: post(settings.webhook_url, notice))
    if with_bell and settings.bell == "on":
        send.append(lambda _: _ring())
    kinds = notice_kinds(settings.notify)
    guard = Guard(run, command, settings.webhook_url) if settings.webhook_url and "failure" in kinds else None
    return Notifier(NoticeWatch(run.run_id, command), kinds, send, guard)


def notifier_of(run: RunDir) -> Notifier:
    """Return what sends the notices of a job, by this machine's settings; wrong ones are told in the log."""
    from cellmap_tui.errors import CellmapError
    from cellmap_tui.jobs.rundir import read_request
    from cellmap_tui.services.settings import load_settings

    try:
        return make_notifier(run, read_request(run).command, load_settings())
    except CellmapError as error:
        _tell(f"nobody will be told of this run: {error.message}")
        return Notifier(NoticeWatch(run.run_id, ""), (), ())


def notice_kinds(words: str) -> frozenset[str]:
    """Return the kinds in a setting such as ``end,failure``."""
    return frozenset(word.strip() for word in words.split(",") if word.strip())


def post(url: str, notice: Notice, *, tries: int = TRIES, between_s: float = BETWEEN_S) -> None:
    """Post a notice to a webhook as JSON.

    Raises
    ------
    OSError
        If it was not taken, after all tries. A refusal (4xx) is not tried again.
    """
    import json
    import urllib.error
    import urllib.request

    body = json.dumps(notice.to_json(), ensure_ascii=True).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "cellmap-tui"}
    for left in reversed(range(tries)):
        # The settings let no other scheme than http and https through.
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                answer.read(4096)
            return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 or not left:
                raise
        except OSError:
            if not left:
                raise
        time.sleep(between_s)


def try_to_send(send: Callable[[Notice], None], notice: Notice) -> None:
    """Send a notice; a failure is told in the log, without the address."""
    try:
        send(notice)
    except Exception as error:  # noqa: BLE001 - whatever a webhook answers, the work goes on
        _tell(f"a notice could not be sent: {_why(error)}")


def _why(error: BaseException) -> str:
    """Return why, without the address: it is a secret of who set it."""
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return f"the webhook answered {code}"
    return f"{type(error).__name__} {getattr(error, 'reason', '')}".strip()


def _ring() -> None:
    sys.stderr.write("\a")
    sys.stderr.flush()


def _tell(message: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(printable(message), file=sys.stderr, flush=True)  # noqa: T201 - the job's own log
