"""What is typed into the form of a configuration, and its copy on disk: neither a key nor a crash loses it."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, RefusedError, RequestError
from cellmap_tui.services.train_model import TrainRequest

if TYPE_CHECKING:
    from cellmap_tui.services.settings import Settings

FOLDER = "drafts"
"""Below the state folder."""
MOST_DRAFTS = 30
"""The oldest are forgotten beyond this."""
MOST_BYTES = 2**20
RUN_ROWS = ("config", "init_from", "score_every", "score_profile")
"""What a training is asked beside the keys of its configuration."""


@dataclass(frozen=True, slots=True)
class ConfigDraft:
    """A training that is being filled in."""

    base: TrainRequest = field(default_factory=TrainRequest)
    """What was asked before anything was typed; number of GPUs, hours and name stand among its sets."""
    edits: tuple[tuple[str, str], ...] = ()
    """Keys that were changed here, each with the text that was typed."""
    typing: tuple[str, str] | None = None
    """The key that is being typed, and how far."""

    @classmethod
    def of_request(cls, request: TrainRequest) -> ConfigDraft:
        """Return the draft of a request as a command line or another screen gives it."""
        sets = list(request.sets)
        if request.devices is not None:
            sets.append(f"devices={request.devices}")
        if request.max_hours is not None:
            sets.append(f"max_hours={request.max_hours:g}")
        config = None if request.config is None else request.config.expanduser().absolute()
        return cls(replace(request, config=config, sets=tuple(sets), devices=None, max_hours=None, dry_run=False))

    @property
    def texts(self) -> dict[str, str]:
        """What is typed by key, the line in hand included; an empty line takes a change back."""
        texts = dict(self.edits)
        if self.typing is not None:
            texts[self.typing[0]] = self.typing[1]
        return {name: text.strip() for name, text in texts.items() if text.strip()}

    @property
    def config(self) -> Path | None:
        """The configuration file."""
        typed = self.texts.get("config", "")
        return Path(typed).expanduser().absolute() if typed else self.base.config

    def edited(self, name: str, text: str) -> ConfigDraft:
        """Return the draft with a key as it was typed; an empty line takes the change back."""
        others = tuple((other, was) for other, was in self.edits if other != name)
        return replace(self, edits=(*others, (name, text.strip())) if text.strip() else others, typing=None)

    def saved_as(self, path: Path) -> ConfigDraft:
        """Return the draft after its configuration was written to a file: that is where its values come from now."""
        kept = tuple((name, text) for name, text in self.edits if name in RUN_ROWS and name != "config")
        return ConfigDraft(replace(self.base, config=path, sets=()), kept)

    def sets(self) -> tuple[str, ...]:
        """Return ``key=value`` of everything on top of the file, what was typed here last."""
        typed = (f"{name}={set_text(name, text)}" for name, text in self.texts.items() if name not in RUN_ROWS)
        return (*self.base.sets, *typed)

    def request(self, settings: Settings) -> TrainRequest:
        """Return what the service is asked.

        Raises
        ------
        RequestError
            If what is typed beside the configuration is wrong.
        """
        from cellmap_tui.services.train_prepare import absolute_sets

        return replace(
            self.base,
            config=self.config,
            sets=absolute_sets(self.sets(), Path.cwd()),
            init_from=run_value(self, "init_from"),
            score_every=run_value(self, "score_every"),
            score_profile=run_value(self, "score_profile"),
            data_root=self.base.data_root or settings.data_root,
            state_dir=(self.base.state_dir or settings.state_dir).absolute(),
        )


def run_value(draft: ConfigDraft, name: str) -> Any:
    """Return one of `RUN_ROWS` as a request has it.

    Raises
    ------
    RequestError
        If what is typed for it is wrong.
    """
    typed = draft.texts.get(name, "")
    if name == "config":
        return draft.config
    if not typed:
        return getattr(draft.base, name)
    if name == "score_profile":
        return _profile(typed)
    if typed == "none":
        return None
    return _first_weights(typed) if name == "init_from" else _every(typed)


def set_text(name: str, typed: str) -> str:
    """Return what was typed as ``--set`` takes it: a text that looks like a number is quoted where a text is due."""
    from cellmap_tui.learning.config_kinds import UnfitError
    from cellmap_tui.learning.config_model import keys
    from cellmap_tui.learning.config_read import value_of_text
    from cellmap_tui.learning.config_write import toml_value

    key = keys().get(name)
    if key is None:
        return typed
    try:
        key.kind.read(value_of_text(typed))
    except UnfitError:
        try:
            key.kind.read(typed)
        except UnfitError:
            return typed
        return toml_value(typed)
    return typed


def _first_weights(typed: str) -> Path:
    path = Path(typed).expanduser().absolute()
    if not path.exists():
        raise RequestError(f"no checkpoint {path}", "the path of a .pth file, or of a run's folder")
    return path


def _every(typed: str) -> int:
    if not typed.isdecimal() or int(typed) < 1:
        raise RequestError(f'score_every is the text "{typed}", not a number of epochs', "digits, or none")
    return int(typed)


def _profile(typed: str) -> str:
    from cellmap_tui.scoring.profiles import get_profile

    return get_profile(typed).name


# On disk


def draft_path(state_dir: Path, draft: ConfigDraft) -> Path:
    """Return where the draft of a request is kept: a file for each request that the form was opened with."""
    from cellmap_tui.services.models import to_json

    digest = hashlib.sha256(to_json(_told(draft.base))).hexdigest()[:16]
    return state_dir / FOLDER / f"train-{digest}.json"


def write_draft(state_dir: Path, draft: ConfigDraft) -> None:
    """Keep a draft whole; one that holds nothing is removed.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    from cellmap_tui.services.models import to_json

    path = draft_path(state_dir, draft)
    if not draft.edits and draft.typing is None and draft.base.config is None and not draft.base.sets:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(to_json(replace(draft, base=_told(draft.base))))
    temporary.replace(path)
    _forget_oldest(path.parent)


def read_draft(state_dir: Path, request: TrainRequest | None) -> ConfigDraft | None:
    """Return what was typed for a request; for none, what was typed last. None: nothing was, or it cannot be read."""
    if request is not None:
        draft = ConfigDraft.of_request(request)
        kept = _read(draft_path(state_dir, draft))
        return None if kept is None else replace(kept, base=draft.base)
    newest = sorted(_drafts(state_dir / FOLDER), key=_changed_ns, reverse=True)
    return next((draft for draft in map(_read, newest) if draft is not None), None)


class DraftKeeper:
    """Keeps the newest draft on disk from a thread; called from the user interface and from that thread.

    Parameters
    ----------
    state_dir
        Folder for what is kept between runs.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._waiting: ConfigDraft | None = None
        self._is_writing = False

    def offer(self, draft: ConfigDraft) -> bool:
        """Take a draft to write; tell whether somebody has to call `write` for it."""
        with self._lock:
            self._waiting = draft
            must_write, self._is_writing = not self._is_writing, True
        return must_write

    def write(self) -> None:
        """Write until nothing newer waits.

        Raises
        ------
        RefusedError
            If the folder cannot be written.
        """
        try:
            while True:
                with self._lock:
                    draft, self._waiting = self._waiting, None
                    if draft is None:
                        self._is_writing = False
                        return
                write_draft(self._state_dir, draft)
        except OSError as error:
            with self._lock:
                self._is_writing = False
            raise RefusedError(
                f"what is typed cannot be kept in {self._state_dir}: {error.strerror}", "w writes it where you say"
            ) from None


def _told(base: TrainRequest) -> TrainRequest:
    """Return a request without what is asked anew each time: leave to run Python, and to pass over problems."""
    return replace(base, trust=False, force=False, data_root=None, state_dir=None)


def _read(path: Path) -> ConfigDraft | None:
    from cellmap_tui.services.models import from_json

    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        return from_json(data, ConfigDraft, source=path.name) if len(data) <= MOST_BYTES else None
    except (OSError, CellmapError, RecursionError):
        # A draft of another version, or half a disk: the form begins anew.
        return None


def _drafts(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name.startswith("train-") and path.suffix == ".json"]
    except OSError:
        return []


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _forget_oldest(folder: Path) -> None:
    for path in sorted(_drafts(folder), key=_changed_ns, reverse=True)[MOST_DRAFTS:]:
        path.unlink(missing_ok=True)
