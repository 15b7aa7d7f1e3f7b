"""Checkpoints on disk: written whole or not at all, found again by run, folder or file, thinned out by rule.

A checkpoint is two files: ``{model_name}_{epoch}.pth``, the weights to use (averaged ones where averaging is
on) as a plain ``state_dict`` that every tool reads, and ``{model_name}_{epoch}.state`` with everything else
that going on needs. A run that stopped within an epoch leaves ``{model_name}_now`` beside them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError
from cellmap_tui.learning import history, model_card
from cellmap_tui.text import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from cellmap_tui.learning.config_arrays import KeepCheckpoints
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.model_card import ModelCard

NOW = "now"
"""In place of an epoch's number: the middle of an epoch, replaced each time."""
FORMAT = 1
"""Number of the layout of a state; a reader takes every number up to its own."""
WEIGHTS, STATE = ".pth", ".state"
_NUMBERED = re.compile(r"(?P<name>.+)_(?P<epoch>\d{1,9})\.pth")
_SPARE_BYTES = 16 * 2**20
"""Room left beside a checkpoint, for the logs."""

Which = Literal["best", "latest"]


class CheckpointNotWrittenError(CellmapError):
    """There was no room for a checkpoint, or the disk refused it; those before it are whole."""

    kind = "disk"


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """A checkpoint."""

    weights: Path
    """Plain weights."""
    state: Path | None
    """What else is needed to go on; None: there is none."""
    card: ModelCard | None
    """What the network is; None: nobody wrote it down."""
    epoch: int | None
    """Its epoch, from 1; None: the name has none."""


@dataclass(frozen=True, slots=True)
class CheckpointNames:
    """Where the checkpoints of a run are."""

    folder: Path
    """Folder of all of them."""
    name: str
    """What stands before the epoch."""
    end: str = WEIGHTS
    """What stands after it."""

    def weights(self, epoch: int | str) -> Path:
        """Return where the weights of an epoch are."""
        return self.folder / f"{self.name}{epoch}{self.end}"

    def state(self, epoch: int | str) -> Path:
        """Return where the rest of an epoch's checkpoint is."""
        return self.weights(epoch).with_suffix(STATE)

    @property
    def history(self) -> Path:
        """The file of validated epochs."""
        return self.folder / history.NAME

    def epochs(self) -> tuple[int, ...]:
        """Return the epochs that have weights, in order."""
        pattern = re.compile(re.escape(self.name) + r"(\d{1,9})" + re.escape(self.end))
        found = (pattern.fullmatch(path.name) for path in _files(self.folder))
        return tuple(sorted(int(match[1]) for match in found if match))


def names_of(config: TrainConfig, folder: Path) -> CheckpointNames:
    """Return where a run in `folder` keeps its checkpoints.

    Raises
    ------
    RequestError
        If ``model_save_path`` has no place for the epoch in the file's name.
    """
    template = Path(config.model_save_path.replace("{model_name}", config.model_name))
    before, found, after = template.name.partition("{epoch}")
    if not found or "{epoch}" in str(template.parent):
        raise RequestError(
            f"model_save_path {config.model_save_path!r} does not say the epoch in the file's name",
            "write it as in checkpoints/{model_name}_{epoch}.pth",
        )
    return CheckpointNames(folder / template.parent, before, after or WEIGHTS)


def save(
    names: CheckpointNames, epoch: int | str, weights: Mapping[str, Tensor], state: Mapping[str, Any]
) -> CheckpointFiles:
    """Write a checkpoint; whoever reads meanwhile sees the one before it or this one.

    Parameters
    ----------
    names
        Where.
    epoch
        Number of the finished epoch, or `NOW`.
    weights
        The weights to use.
    state
        The rest: tensors, numbers, texts, lists and tables.

    Raises
    ------
    CheckpointNotWrittenError
        If there is no room or the disk refuses it.
    """
    files = CheckpointFiles(names.weights(epoch), names.state(epoch), None, epoch if isinstance(epoch, int) else None)
    wanted = _bytes_of(weights) + _bytes_of(state)
    try:
        names.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(names.folder).free
        if free < wanted + _SPARE_BYTES:
            raise CheckpointNotWrittenError(
                f"no room for {files.weights.name}: it takes {size(wanted)}, and {names.folder} has {size(free)}",
                "free space, then resume the run; the checkpoints before it are whole",
            )
        # The state first: weights without a state look like a finished checkpoint, a state alone does not.
        _write(names.state(epoch), {"format": FORMAT, **state})
        _write(names.weights(epoch), dict(weights))
    except OSError as error:
        raise _refused(files.weights, error) from None
    return files


def load_state(path: Path) -> dict[str, Any]:
    """Return the state of a checkpoint.

    Raises
    ------
    MissingDataError
        If it is not there.
    DataError
        If it is cut short, foreign, or of a newer version.
    """
    from cellmap_tui.learning.weights import load_file

    loaded = load_file(path)
    if not isinstance(loaded, dict) or not isinstance(loaded.get("format"), int):
        raise DataError(f"{path} is no state of a training run", "give the run's folder")
    if loaded["format"] > FORMAT:
        raise DataError(f"{path} was written by a newer version (format {loaded['format']})", "update this tool")
    return loaded


def find_checkpoint(place: Path, which: Which = "best", model_name: str | None = None) -> CheckpointFiles:
    """Return a checkpoint of a run.

    Parameters
    ----------
    place
        A run's folder, a folder of checkpoints (the official toolbox's included), or a ``.pth`` file.
    which
        The best one by validation, or the one of the highest epoch; of a file without meaning.
    model_name
        Whose checkpoints, where a folder holds several networks'.

    Returns
    -------
    CheckpointFiles
        With the card of ``model.json`` beside the file or above it, if there is one.

    Raises
    ------
    MissingDataError
        If there is no checkpoint.
    RequestError
        If the folder holds those of several networks and none is named.
    DataError
        If the card is broken.
    """
    if place.is_file() or place.suffix == WEIGHTS:
        return _of_file(place)
    folder = next((inside for inside in (place / "checkpoints", place) if _numbered(inside)), None)
    if folder is None:
        raise MissingDataError(f"no checkpoints in {place}", "give a run's folder or a .pth file")
    by_epoch = _of_model(folder, _numbered(folder), model_name)
    epoch = max(by_epoch) if which == "latest" else _best_epoch(folder, by_epoch)
    return _of_file(by_epoch[epoch])


def thin_out(names: CheckpointNames, keep: KeepCheckpoints) -> tuple[int, ...]:
    """Delete checkpoints that no rule keeps; return their epochs."""
    epochs = names.epochs()
    best = [row.epoch for row in history.best_first(history.read_history(names.history)) if row.epoch in epochs]
    kept = {*epochs[-keep.last :], *best[: keep.best]}
    if keep.every:
        kept |= {epoch for epoch in epochs if epoch % keep.every == 0}
    gone = tuple(epoch for epoch in epochs if epoch not in kept)
    for epoch in gone:
        remove(names, epoch)
    return gone


def remove(names: CheckpointNames, epoch: int | str) -> None:
    """Delete a checkpoint, if it is there."""
    for path in (names.weights(epoch), names.state(epoch)):
        path.unlink(missing_ok=True)


def _write(path: Path, content: dict[str, Any]) -> None:
    import torch

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except RuntimeError as error:
        # torch tells a failed write as a RuntimeError of its archive writer.
        raise OSError(0, " ".join(str(error).split())[:160]) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> CheckpointNotWrittenError:
    return CheckpointNotWrittenError(
        f"cannot write checkpoint {path}: {error.strerror or error}",
        "look at the disk, then resume the run; the checkpoints before it are whole",
    )


def _bytes_of(content: Any) -> int:
    """Return the bytes of all tensors in tables and lists."""
    if isinstance(content, dict):
        return sum(_bytes_of(part) for part in content.values())
    if isinstance(content, list | tuple):
        return sum(_bytes_of(part) for part in content)
    return int(content.nbytes) if hasattr(content, "nbytes") else 0


def _files(folder: Path) -> Iterable[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []


def _numbered(folder: Path) -> dict[str, dict[int, Path]]:
    """Return the weights in a folder by name of the network and epoch."""
    found: dict[str, dict[int, Path]] = {}
    for path in _files(folder):
        match = _NUMBERED.fullmatch(path.name)
        if match is not None:
            found.setdefault(match["name"], {})[int(match["epoch"])] = path
    return found


def _of_model(folder: Path, by_name: dict[str, dict[int, Path]], model_name: str | None) -> dict[int, Path]:
    if model_name is None and len(by_name) > 1:
        card = _card_near(folder)
        model_name = card.model_name if card is not None and card.model_name in by_name else None
    if model_name is None and len(by_name) == 1:
        return next(iter(by_name.values()))
    if model_name is None:
        raise RequestError(
            f"{folder} holds checkpoints of several networks: {', '.join(sorted(by_name))}",
            "name one of them, or give a .pth file",
        )
    if model_name not in by_name:
        raise MissingDataError(
            f"no checkpoint of {model_name!r} in {folder}", f"there are {', '.join(sorted(by_name))}"
        )
    return by_name[model_name]


def _best_epoch(folder: Path, by_epoch: dict[int, Path]) -> int:
    rows = history.best_first(history.read_history(folder / history.NAME))
    own = next((row.epoch for row in rows if row.epoch in by_epoch), None)
    if own is not None:
        return own
    name = next(iter(by_epoch.values())).name.rpartition("_")[0]
    from cellmap_tui.learning.toolbox_runs import best_epochs

    official = next((epoch for epoch in best_epochs(folder, name) if epoch in by_epoch), None)
    # Nothing was validated: the newest is as good a guess as any.
    return max(by_epoch) if official is None else official


def _of_file(path: Path) -> CheckpointFiles:
    if not path.is_file():
        raise MissingDataError(f"no checkpoint {path}", "check the path")
    match = _NUMBERED.fullmatch(path.name)
    state = path.with_suffix(STATE)
    epoch = int(match["epoch"]) if match else None
    return CheckpointFiles(path, state if state.is_file() else None, _card_near(path.parent), epoch)


def _card_near(folder: Path) -> ModelCard | None:
    for place in (folder, folder.parent):
        if (place / model_card.NAME).is_file():
            return model_card.read_card(place / model_card.NAME)
    return None
