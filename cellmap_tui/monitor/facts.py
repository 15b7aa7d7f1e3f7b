"""What is known of a run beside its numbers: where it stands, what is planned, what it was given."""

from __future__ import annotations

import contextlib
import math
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError
from cellmap_tui.jobs.events import END_STATES
from cellmap_tui.jobs.rundir import RunDir, read_request
from cellmap_tui.jobs.summary import RunSummary, summarise

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.jobs.events import Event
    from cellmap_tui.jobs.liveness import Pulse

CONFIG_NAME = "config.toml"
MODEL_NAME = "model.json"
MOST_CONFIG_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run; None and empty: not known."""

    command: str = ""
    """Name of the command; empty for logs of other tools."""
    state: RunSummary | None = None
    """Where it stands; None for logs of other tools."""
    planned_steps: int | None = None
    """Steps of the whole run."""
    planned_epochs: int | None = None
    """Epochs of the whole run."""
    steps_per_epoch: int | None = None
    """Steps of an epoch."""
    classes: tuple[str, ...] = ()
    """Channels of the network."""
    host: str | None = None
    """Where it runs."""
    config: dict[str, Any] = field(default_factory=dict)
    """Its configuration as it was resolved, or its request; ``learning_rate`` and so on."""


class FactsReader:
    """Reads the small files of a run directory again only when they have changed."""

    def __init__(self, folder: Path, pulse: Pulse) -> None:
        self._folder, self._run, self._pulse = folder, RunDir(folder.absolute()), pulse
        self._signature: tuple[object, ...] = ()
        self._ended: tuple[tuple[object, ...], RunSummary] | None = None
        self._still = RunFacts()

    def read(self, progress: Event | None, *, is_log_read: bool = True) -> RunFacts:
        """Return what is known now.

        Parameters
        ----------
        progress
            The last progress that was told: its total is what is planned when the configuration does not say.
        is_log_read
            Whether the log has been read to its beginning: until then a run without a state.json has no state, since
            finding it means to read all of the log.
        """
        signature = tuple(_signature(self._folder / name) for name in (CONFIG_NAME, MODEL_NAME, "request.json"))
        if signature != self._signature:
            self._signature, self._still = signature, _still_facts(self._run)
        still = self._still
        state: RunSummary | None = None
        if is_log_read or self._run.state_path.exists():
            with contextlib.suppress(CellmapError, OSError):
                state = self._summary()
        epochs = still.planned_epochs or _epochs_told(progress)
        per_epoch = still.steps_per_epoch
        return RunFacts(
            command=still.command or (state.command if state else ""),
            state=state,
            planned_steps=epochs * per_epoch if epochs and per_epoch else _steps_told(progress),
            planned_epochs=epochs,
            steps_per_epoch=per_epoch,
            classes=still.classes,
            host=state.host if state else None,
            config=still.config,
        )

    def _summary(self) -> RunSummary:
        """Return where the run stands; what has ended or died is not read again before one of its files changes."""
        paths = (self._run.state_path, self._run.events_path, self._run.request_path)
        signature = tuple(_signature(path) for path in paths)
        if self._ended is not None and self._ended[0] == signature:
            return self._ended[1]
        state = summarise(self._run, self._pulse)
        self._ended = (signature, state) if state.state in {*END_STATES, "lost"} else None
        return state


def _still_facts(run: RunDir) -> RunFacts:
    command, config = "", _toml(run.path / CONFIG_NAME)
    try:
        request = read_request(run)
        command = request.command
        config = config or request.values
    except CellmapError:
        pass  # a copy of a run may lack it
    epochs, per_epoch = _count(config.get("epochs")), _count(config.get("iterations_per_epoch"))
    return RunFacts(command, None, None, epochs, per_epoch, _classes(run.path / MODEL_NAME, config), None, config)


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.loads(stream.read(MOST_CONFIG_BYTES).decode("utf-8", "replace"))
    except (OSError, tomllib.TOMLDecodeError, RecursionError):
        return {}


def _classes(path: Path, config: dict[str, Any]) -> tuple[str, ...]:
    from cellmap_tui.jobs.files import read_json_object

    try:
        card = read_json_object(path) or {}
    except CellmapError:
        card = {}
    for told in (card.get("columns"), card.get("channels"), card.get("classes"), config.get("classes")):
        if isinstance(told, list) and told:
            names = [item.get("name") if isinstance(item, dict) else item for item in told]
            return tuple(name for name in names if isinstance(name, str))
    return ()


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _epochs_told(progress: Event | None) -> int | None:
    return _total(progress) if progress is not None and progress.fields.get("unit") == "epochs" else None


def _steps_told(progress: Event | None) -> int | None:
    return _total(progress) if progress is not None and progress.fields.get("unit") == "steps" else None


def _total(progress: Event) -> int | None:
    total = progress.fields.get("total")
    if not isinstance(total, int | float) or isinstance(total, bool) or not math.isfinite(total):
        return None
    return round(total) if total > 0 else None


def _signature(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
