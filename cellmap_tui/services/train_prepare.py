"""From a request to what a training needs: configuration, split, targets, card, each kept in the run's folder.

A run that was begun goes on from what its folder keeps, not from the configuration it was made of: so a file
that was edited meanwhile changes nothing that nobody asked for.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cellmap_tui.challenge.datasplit import Split
    from cellmap_tui.challenge.targets import Targets
    from cellmap_tui.learning.config_model import Key, TrainConfig
    from cellmap_tui.learning.config_python import PythonFacts
    from cellmap_tui.learning.config_read import Resolved
    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.train_model import TrainRequest

CONFIG_NAME, SPLIT_NAME, TARGETS_NAME = "config.toml", "datasplit.csv", "targets.toml"
HEADING = "The configuration of this run, every key; --set with --resume changes it."
_TOLD_CHANGES = 8


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a training is made of."""

    folder: Path
    """The run's folder."""
    resolved: Resolved
    """The configuration with everything that the request sets, and where each value came from."""
    config: TrainConfig
    """Its values."""
    split: Split
    """Crops."""
    targets: Targets
    """What is learned."""
    labels: tuple[str, ...]
    """Labels of imported crops that the class table does not know."""
    card: ModelCard
    """The network."""
    is_resumed: bool
    """Whether the folder holds an earlier part of this run."""


def prepare(request: TrainRequest, folder: Path, report: Reporter) -> Prepared:
    """Read and check everything that a training is made of, and keep it in the run's folder.

    Raises
    ------
    RequestError
        If the configuration is wrong, names the key; or a resumed run would have another network.
    MissingDataError
        If the split's crops are not on disk.
    CellmapError
        As the configuration's Python file or the making of a split has it.
    """
    is_resumed = (folder / CONFIG_NAME).is_file()
    resolved = settled_config(request, folder if is_resumed else None, report)
    config = resolved.checked()
    split = _split(request, config, folder, report, is_resumed=is_resumed)
    labels = _labels(request, split)
    targets = _targets(config, labels)
    resolved = replace(resolved, config=replace(config, datasplit_path=folder / SPLIT_NAME))
    prepared = Prepared(
        folder,
        resolved,
        resolved.checked(),
        split,
        targets,
        labels,
        _card(resolved, targets, split, folder),
        is_resumed,
    )
    if is_resumed:
        _check_same_network(prepared, report)
    return prepared


def keep(prepared: Prepared) -> None:
    """Write configuration, targets and split into the run's folder.

    Raises
    ------
    RefusedError
        If the folder cannot be written.
    """
    from cellmap_tui.challenge.datasplit import format_split
    from cellmap_tui.challenge.targets import format_targets
    from cellmap_tui.learning.config_write import resolved_toml
    from cellmap_tui.services.config import write_text

    folder = prepared.folder
    # The configuration last: it is what tells a run that has begun.
    write_text(folder / TARGETS_NAME, format_targets(prepared.targets))
    write_text(folder / SPLIT_NAME, format_split(prepared.split))
    write_text(folder / CONFIG_NAME, resolved_toml(prepared.resolved, folder, heading=HEADING))


def python_objects(prepared: Prepared) -> dict[str, Any]:
    """Return the objects that only the configuration's Python file gives, by key; runs that file here.

    Raises
    ------
    DataError
        If the file is not the one that was allowed, raises, or does not hold one of them.
    """
    from cellmap_tui.learning.config_model import keys
    from cellmap_tui.learning.config_python import load_python_namespace

    held = [name for name in keys() if _holds_object(getattr(prepared.config, name))]
    if not held or not prepared.resolved.python_files:
        return {}
    path, sha256 = prepared.resolved.python_files[0]
    names = load_python_namespace(path, expected_sha256=sha256)
    missing = [name for name in held if name not in names]
    if missing:
        raise DataError(f"{path} has no {missing[0]}", "give the configuration that the run was started with")
    return {name: names[name] for name in held}


def settled_config(
    request: TrainRequest,
    kept_in: Path | None = None,
    report: Reporter | None = None,
    ask: Callable[[PythonFacts], bool] | None = None,
) -> Resolved:
    """Return the configuration of a request, checked; of a run that was begun, the one that it keeps.

    Parameters
    ----------
    request
        What is asked.
    kept_in
        Folder of a run that was begun.
    report
        Hears warnings, and what changes in a begun run.
    ask
        Asks the user whether a Python file may run; None where nobody can be asked.

    Raises
    ------
    RequestError
        If a key or a value is wrong; names the nearest.
    CellmapError
        If the file cannot be read, or is Python that was not allowed, raises or does not end.
    """
    from cellmap_tui.services.config import ConfigSource, open_config

    source = ConfigSource(
        request.config if kept_in is None else kept_in / CONFIG_NAME,
        sets=request.sets,
        state_dir=request.state_dir,
        data_root=request.data_root,
        trust=request.trust,
    )
    resolved = open_config(source, ask=ask)
    resolved.checked()
    sets = (*request.sets, *_own_sets(request, resolved))
    if sets != request.sets:
        resolved = open_config(replace(source, sets=sets))
        resolved.checked()
    if report is not None:
        for warning in resolved.warnings:
            report.warning(warning)
        if kept_in is not None:
            _tell_changes(resolved, kept_in, source, report)
    return resolved


def _own_sets(request: TrainRequest, resolved: Resolved) -> list[str]:
    config = resolved.checked()
    sets = []
    if request.name and request.name != config.model_name:
        # The name was the network's as well: what it stood for has to be said now.
        if config.model is None and "architecture" not in resolved.given:
            sets.append(f'architecture="{config.architecture or config.model_name}"')
        sets.append(f'model_name="{request.name}"')
    if request.devices is not None:
        sets.append(f"devices={request.devices}")
    if request.max_hours is not None:
        sets.append(f"max_hours={request.max_hours}")
    return sets


def _tell_changes(resolved: Resolved, folder: Path, source: Any, report: Reporter) -> None:
    """Say what of a begun run's configuration is another one now."""
    from cellmap_tui.learning.config_write import differences
    from cellmap_tui.services.config import open_config, plain_values

    before = plain_values(open_config(replace(source, path=folder / CONFIG_NAME, sets=())))
    now = plain_values(resolved)
    changed = [name for name in differences(before, now) if name != "datasplit_path"]
    if changed:
        words = [f"{name} from {before.get(name)} to {now.get(name)}" for name in changed[:_TOLD_CHANGES]]
        more = f" and {len(changed) - _TOLD_CHANGES} more" if len(changed) > _TOLD_CHANGES else ""
        report.note(f"the configuration of this run changes: {', '.join(words)}{more}")


def _split(request: TrainRequest, config: TrainConfig, folder: Path, report: Reporter, *, is_resumed: bool) -> Split:
    from cellmap_tui.challenge.datasplit import read_split

    kept = folder / SPLIT_NAME
    path = kept if is_resumed and kept.is_file() else config.datasplit_path
    if not path.exists():
        # A look alone leaves nothing behind but in its own folder.
        path = kept if request.dry_run else path
        _make_split(request, config, path, report)
    split = read_split(path)
    given = config.datasplit_path
    if path == kept and given != kept and given.is_file() and read_split(given).digest != split.digest:
        report.warning(f"{given} differs from the split this run was begun with, which it keeps")
    if not split.train:
        raise MissingDataError(f"{path} has no crop to train on", "check its first column: train or validate")
    if split.on_both_sides:
        names = ", ".join(split.on_both_sides[:3])
        report.warning(f"{names}: learned from and validated on, so the validation of it means nothing")
    if not split.validate:
        report.warning("no crop to validate on: no Dice, no best checkpoint; the newest one is what there is")
    return split


def _make_split(request: TrainRequest, config: TrainConfig, path: Path, report: Reporter) -> None:
    from cellmap_tui.services.split import make_datasplit
    from cellmap_tui.services.split_model import SplitRequest

    if request.data_root is None and not config.use_s3:
        raise MissingDataError(f"there is no split {path}", "make one with make-datasplit, or give --data-root")
    force = {"true": "all", "train": "train", "validate": "validate"}.get(config.force_all_classes, "none")
    first = config.input_array_info[0]
    scale = first.scale_nm if config.filter_by_scale is True else config.filter_by_scale or None
    made = make_datasplit(
        SplitRequest(
            csv_path=path,
            data_root=request.data_root,
            classes=config.classes,
            targets=config.targets_path,
            scale_nm=scale or first.scale_nm,
            coarse_labels=config.coarse_labels,  # type: ignore[arg-type]  # the configuration has checked it
            validate_ratio=config.validation_prob,
            force_all_classes=force,  # type: ignore[arg-type]  # one of the values above
            seed=config.random_seed,
            use_s3=config.use_s3,
            state_dir=request.state_dir,
        ),
        report,
    )
    report.note(f"there was no {path.name}: made one from the crops in {request.data_root}")
    for written in made.csv_paths:
        report.artefact(written, "datasplit")


def _labels(request: TrainRequest, split: Split) -> tuple[str, ...]:
    from cellmap_tui.challenge.classes import builtin_classes
    from cellmap_tui.services.config import known_labels

    table = builtin_classes()
    named = (name for name in split.classes if table.named(name) is None and name != "all")
    return tuple(dict.fromkeys((*known_labels(request.data_root), *named)))


def _targets(config: TrainConfig, labels: tuple[str, ...]) -> Targets:
    from cellmap_tui.learning.config_checks import World, targets_for

    return targets_for(config, World(labels=labels))


def _card(resolved: Resolved, targets: Targets, split: Split, folder: Path) -> ModelCard:
    from cellmap_tui.challenge.targets import format_targets
    from cellmap_tui.learning.codebook import column_names
    from cellmap_tui.learning.config_write import resolved_toml
    from cellmap_tui.learning.model_card import card_of

    config = resolved.checked()
    text = resolved_toml(resolved, folder)
    path, sha256 = resolved.python_files[0] if resolved.python_files else (None, "")
    return card_of(
        config,
        column_names(targets),
        targets=format_targets(targets),
        config_hash=hashlib.sha256(text.encode()).hexdigest(),
        split_hash=split.digest,
        python_sha256=sha256,
        python_path=path,
    )


def _check_same_network(prepared: Prepared, report: Reporter) -> None:
    """Refuse to go on with another network: its checkpoints would not fit."""
    from cellmap_tui.learning.model_card import NAME, read_card

    place = prepared.folder / NAME
    if not place.is_file():
        return
    before, now = read_card(place), prepared.card
    pairs = {
        "classes": (before.columns, now.columns),
        "architecture": (before.architecture, now.architecture),
        "model_kwargs": (before.model_kwargs, now.model_kwargs),
        "input_array_info": ((before.dimensions, before.in_channels), (now.dimensions, now.in_channels)),
        "model_name": (before.model_name, now.model_name),
    }
    if before.own_model and now.own_model and before.own_model.sha256 != now.own_model.sha256:
        report.warning(f"{now.own_model.path} has changed since the run was begun")
    changed = [name for name, (first, second) in pairs.items() if first != second]
    if changed:
        raise RequestError(
            f"{', '.join(changed)} cannot change within a run: its checkpoints are of another network",
            f"start a new run, perhaps with --init-from {prepared.folder.name}",
        )


def _holds_object(value: object) -> bool:
    from cellmap_tui.learning.config_objects import PythonObject

    if isinstance(value, PythonObject):
        return True
    return isinstance(value, tuple) and any(isinstance(part, PythonObject) for part in value)


def crops_in_words(split: Split) -> str:
    """Return how many crops stand on each side."""
    return f"{count(len(split.train))} crops to train on, {count(len(split.validate))} to validate on"


def absolute_sets(sets: tuple[str, ...], cwd: Path) -> tuple[str, ...]:
    """Return the ``key=value`` words with paths made absolute, so that they mean the same from anywhere."""
    from cellmap_tui.learning.config_model import keys

    return tuple(_absolute_set(words, cwd, keys()) for words in sets)


def _absolute_set(words: str, cwd: Path, known: Mapping[str, Key]) -> str:
    name, equals, value = words.partition("=")
    key = known.get(name.strip().replace("-", "_"))
    text = value.strip()
    if not equals or key is None or not key.kind.is_path or text.strip("\"'").lower() in ("", "none"):
        return words
    path = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
    return f"{name}={json.dumps(str(cwd / Path(path).expanduser()), ensure_ascii=False)}"
