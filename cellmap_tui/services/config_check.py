"""Hold a configuration against its split, its data and this machine, without loading torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.split_command import split_command
from cellmap_tui.text import count, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cellmap_tui.challenge.datasplit import Split
    from cellmap_tui.challenge.targets import Targets
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.config_python import PythonFacts
    from cellmap_tui.learning.config_read import Resolved
    from cellmap_tui.services.config import ConfigSource

Status = Literal["ok", "note", "problem"]
_NAMED = 3


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """One thing that was looked at."""

    name: str
    """What: a key, or a word for several."""
    status: Status
    """``ok``, ``note`` or ``problem``."""
    value: str
    """What was found."""
    remedy: str = ""
    """What to do about it."""
    place: str = ""
    """Where it stands; empty for a default."""


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """What a check found."""

    path: Path | None
    """The file; null for the defaults."""
    findings: tuple[ConfigFinding, ...]
    """Everything that was looked at, problems first."""

    @property
    def exit_code(self) -> int:
        """1 where there is a problem."""
        return int(any(finding.status == "problem" for finding in self.findings))


def check_config(source: ConfigSource, *, ask: Callable[[PythonFacts], bool] | None = None) -> ConfigCheck:
    """Read a configuration and hold it against its split, its data and this machine.

    Raises
    ------
    CellmapError
        If the file cannot be read, or is Python that was not allowed, raises or does not end.
    """
    from cellmap_tui.services.config import open_config

    resolved = open_config(source, ask=ask)
    found = [ConfigFinding(p.key, "problem", p.message, p.remedy, p.place) for p in resolved.problems]
    found += [ConfigFinding("file", "note", warning) for warning in resolved.warnings]
    if resolved.config is not None and not resolved.problems:
        found += list(_facts(resolved, source))
    order = {"problem": 0, "note": 1, "ok": 2}
    return ConfigCheck(resolved.path, tuple(sorted(found, key=lambda finding: order[finding.status])))


def _facts(resolved: Resolved, source: ConfigSource) -> Iterator[ConfigFinding]:
    from cellmap_tui.learning.config_checks import World, targets_for
    from cellmap_tui.services.config import known_labels

    config = resolved.checked()
    targets = targets_for(config, World(labels=known_labels(source.data_root)))
    cores = [target.name for target in targets.targets if target.core]
    words = f"{len(targets.names)}: {_some(targets.names)}" + (f"; cores of {_some(tuple(cores))}" if cores else "")
    yield ConfigFinding("targets", "ok", words, place=resolved.origins["classes"])
    yield _patch(config)
    yield _network(config)
    yield from _objects(resolved)
    yield from _split(config, targets)


def _patch(config: TrainConfig) -> ConfigFinding:
    words = ", ".join(
        f"{info.name} {'×'.join(map(str, info.shape))} at {'×'.join(f'{part:g}' for part in info.scale_nm)} nm"
        for info in config.input_array_info
    )
    return ConfigFinding("patches", "ok", f"{words}, {config.batch_size} in a batch")


def _network(config: TrainConfig) -> ConfigFinding:
    from importlib.util import find_spec

    from cellmap_tui.learning.networks import find_network

    network = find_network(config.architecture or "")
    if config.model is not None or network is None:
        return ConfigFinding("network", "ok", f"{config.model_name}, a module of the configuration")
    if network.package and find_spec(network.package) is None:
        return ConfigFinding(
            "network",
            "note",
            f"{network.name} comes with {network.package}, which is not installed",
            f"pip install {network.package.replace('_', '-')}, or a network that needs none, such as 3d_unet",
        )
    return ConfigFinding("network", "ok", f"{network.name}: {network.words}")


def _objects(resolved: Resolved) -> Iterator[ConfigFinding]:
    from cellmap_tui.learning.config_objects import PythonObject

    config = resolved.checked()
    held = [name for name in resolved.origins if isinstance(getattr(config, name), PythonObject)]
    if held and resolved.python_files:
        path = resolved.python_files[0][0]
        yield ConfigFinding(
            "objects", "note", f"{', '.join(held)}: taken from {path.name}, which training runs again"
        )


def _split(config: TrainConfig, targets: Targets) -> Iterator[ConfigFinding]:
    from cellmap_tui.challenge.datasplit import read_split

    path = config.datasplit_path
    if not path.exists():
        yield ConfigFinding(
            "datasplit_path",
            "note",
            f"{path} is not there; training makes it, {config.validation_prob:.0%} of the crops for validation",
            f"to see it before: {split_command(config)}",
        )
        return
    try:
        split = read_split(path)
    except CellmapError as error:
        yield ConfigFinding("datasplit_path", "problem", error.message, error.remedy)
        return
    words = f"{counted(len(split.train), 'crop')} to learn from, {count(len(split.validate))} to check on"
    yield ConfigFinding("datasplit_path", "ok", words)
    yield from _sides(split)
    yield from _missing_data(split, path)
    yield from _unseen(split, targets)


def _sides(split: Split) -> Iterator[ConfigFinding]:
    if split.on_both_sides:
        yield ConfigFinding(
            "datasplit_path", "problem", f"on both sides: {_some(split.on_both_sides)}", "keep each crop on one side"
        )
    for usage, rows in (("train", split.train), ("validate", split.validate)):
        if not rows:
            status: Status = "problem" if usage == "train" else "note"
            yield ConfigFinding("datasplit_path", status, f"no crop for {usage}", "make another split")


def _missing_data(split: Split, path: Path) -> Iterator[ConfigFinding]:
    gone = tuple(
        row.ref
        for row in split.rows
        if not row.is_remote and not (Path(row.label_address).is_dir() and Path(row.em_address).is_dir())
    )
    if gone:
        ids = ",".join(sorted({ref.rpartition("/crop")[2] for ref in gone}))
        yield ConfigFinding(
            "datasplit_path",
            "problem",
            f"{len(gone)} of {len(split.rows)} crops are not on disk: {_some(gone)}",
            f"cellmap-tui --batch fetch-data --crops {ids}, or correct the folders in {path.name}",
        )


def _unseen(split: Split, targets: Targets) -> Iterator[ConfigFinding]:
    """Tell of targets that no crop of a side knows anything about."""
    from cellmap_tui.challenge.targets import class_source

    if any(not row.classes for row in split.rows):
        return
    labels = split.classes
    for target in targets.targets:
        known = {
            usage: any(
                class_source(name, row.classes, labels=labels).arrays for row in rows for name in target.classes
            )
            for usage, rows in (("train", split.train), ("validate", split.validate))
        }
        if not known["train"]:
            yield ConfigFinding(
                "targets",
                "problem",
                f"{target.name} is annotated in none of the {len(split.train)} crops to learn from",
                "leave it out, or make a split with crops that have it",
            )
        elif not known["validate"] and split.validate:
            yield ConfigFinding(
                "targets", "note", f"{target.name} is in no crop to check on", "its score stays unknown"
            )


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED + 1 else ""
    return ", ".join(names[:_NAMED] if more else names) + more
