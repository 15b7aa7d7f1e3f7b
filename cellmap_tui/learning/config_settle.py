"""From plain values to the checked model: defaults, paths, and what one key says about another."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellmap_tui.learning.config_checks import Problem
from cellmap_tui.learning.config_kinds import UnfitError
from cellmap_tui.learning.config_model import TrainConfig, keys
from cellmap_tui.learning.config_objects import TOOLBOX, PythonObject
from cellmap_tui.learning.config_parts import LOSSES, OPTIMIZERS, SCHEDULERS
from cellmap_tui.learning.networks import find_network, toolbox_network

DEFAULT = "default"
_OPTIMIZER_OPTIONS = (
    "betas", "eps", "weight_decay", "momentum", "nesterov", "dampening", "alpha", "amsgrad", "decoupled_weight_decay",
)  # fmt: skip
_SAVE_PATHS = ("model_save_path", "logs_save_path")


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave."""

    value: Any
    """As it was written."""
    origin: str
    """Where it stands."""
    folder: Path
    """What a relative path is relative to."""


def settle(given: dict[str, Given], form: str, folder: Path) -> tuple[TrainConfig, list[Problem]]:
    """Return the model, and what is wrong with single values; those are at their defaults in it.

    Parameters
    ----------
    given
        Values by key.
    form
        ``toml`` or ``python``: whose defaults hold.
    folder
        Folder of the file.
    """
    read: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, key in keys().items():
        entry = given.get(name)
        default = key.official if form == "python" else key.default
        if name == "target_array_info" and (entry is None or entry.value is None):
            continue
        if entry is None:
            read[name] = key.kind.read(default)
            continue
        try:
            read[name] = _named(key.kind.read(entry.value), name)
        except UnfitError as problem:
            problems.append(Problem(name, f"{name} is {problem}", "", entry.origin))
            if name != "target_array_info":
                read[name] = key.kind.read(default)
    fit = {name: entry for name, entry in given.items() if all(problem.key != name for problem in problems)}
    _place_paths(read, fit, folder)
    _follow(read, fit)
    return TrainConfig(**read), problems


def _named(value: Any, variable: str) -> Any:
    """Return a value whose objects know under which name the file holds them."""
    if isinstance(value, PythonObject):
        return dataclasses.replace(value, variable=variable)
    if isinstance(value, tuple) and any(isinstance(part, PythonObject) for part in value):
        return tuple(_named(part, variable) for part in value)
    return value


def _place_paths(read: dict[str, Any], given: dict[str, Given], folder: Path) -> None:
    for name, key in keys().items():
        if key.kind.is_path and name not in _SAVE_PATHS and read[name] is not None:
            base = given[name].folder if name in given else folder
            read[name] = (base / Path(read[name]).expanduser()).absolute()
    base = read["base_experiment_path"]
    for name in _SAVE_PATHS:
        if name in given or "base_experiment_path" in given:
            # Relative to the base in a file; a path on the command line is where the user stands.
            start = given[name].folder if name in given and given[name].origin == "--set" else base
            read[name] = str(start / Path(read[name]).expanduser())


def _follow(read: dict[str, Any], given: dict[str, Given]) -> None:
    """Fill in what follows from other keys."""
    if "target_array_info" not in read:
        first = read["input_array_info"][0]
        read["target_array_info"] = (dataclasses.replace(first, name="labels"),)
    if read["model_to_load"] is None:
        read["model_to_load"] = read["model_name"]
    _choose_network(read, given)
    _choose_loss(read, given)
    _choose_steps(read, given)
    if "workers" not in given and isinstance(read["dataloader_kwargs"].get("num_workers"), int):
        read["workers"] = read["dataloader_kwargs"]["num_workers"]
    if "warmup_epochs" not in given:
        read["warmup_epochs"] = min(read["warmup_epochs"], read["epochs"] // 10)
    if "low_is_best" not in given:
        read["low_is_best"] = read["best_metric"] == "loss"
    elif "best_metric" not in given and read["low_is_best"]:
        read["best_metric"] = "loss"  # the only measure of the official toolbox, and the only one that falls


def _choose_network(read: dict[str, Any], given: dict[str, Given]) -> None:
    model = read["model"]
    if model is not None and model.package == TOOLBOX:
        known = toolbox_network(model.name, dict(model.options))
        if known is not None:
            read["architecture"] = read["architecture"] or known
            if model.kind == "call":
                read["model"] = None
                read["model_kwargs"] = {**_named_options(model), **read["model_kwargs"]}
    if read["architecture"] is None and read["model"] is None:
        network = find_network(read["model_name"])
        read["architecture"] = network.name if network is not None else None


def _named_options(model: PythonObject) -> dict[str, Any]:
    """Return the options of a call; a class among them by its name, so that building says what it does not take."""
    options = {name: part.name if isinstance(part, PythonObject) else part for name, part in model.options}
    return {name: _listed(value) for name, value in options.items() if name != "ndims"}


def _choose_loss(read: dict[str, Any], given: dict[str, Given]) -> None:
    criterion = read["criterion"]
    if criterion is None or "loss" in given:
        return
    if isinstance(criterion, PythonObject) and criterion.kind in ("class", "call") and criterion.name in LOSSES:
        criterion = read["criterion"] = criterion.name
    known = LOSSES.get(criterion, "") if isinstance(criterion, str) else ""
    read["loss"] = known or "custom"
    if known == "bce":
        read["criterion"] = None


def _choose_steps(read: dict[str, Any], given: dict[str, Given]) -> None:
    """Take an optimiser or a scheduler of torch by its name: the object itself belongs to another network."""
    optimizer, scheduler = read["optimizer"], read["scheduler"]
    if isinstance(optimizer, PythonObject) and optimizer.package == "torch" and optimizer.name in OPTIMIZERS:
        options = dict(optimizer.options)
        if options.pop("groups", 1) == 1:
            read["optimizer"] = optimizer.name
            step = options.pop("lr", None)
            if "learning_rate" not in given and isinstance(step, float) and step > 0:
                read["learning_rate"] = step
            if "optimizer_kwargs" not in given:
                read["optimizer_kwargs"] = _plain_options(options) if optimizer.kind == "instance" else {}
    elif "optimizer" in given and "optimizer_kwargs" not in given:
        read["optimizer_kwargs"] = {}
    if isinstance(scheduler, PythonObject) and scheduler.kind == "class" and scheduler.name in SCHEDULERS:
        read["scheduler"] = scheduler.name


def _plain_options(options: dict[str, object]) -> dict[str, Any]:
    """Return the options that a person would write: the others are the optimiser's own defaults or switches."""
    return {name: _listed(value) for name, value in options.items() if name in _OPTIMIZER_OPTIONS and value}


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
