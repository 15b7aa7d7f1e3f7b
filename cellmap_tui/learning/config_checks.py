"""Rules between the keys of a configuration: patch and network, classes and targets, best and metric.

Every rule adds a `Problem` instead of raising, so that a person sees all of them at once.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.targets import Targets, read_targets, targets_of
from cellmap_tui.errors import CellmapError, RequestError
from cellmap_tui.learning.networks import NETWORKS, find_network
from cellmap_tui.text import nearest, number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.learning.config_arrays import ArrayInfo
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.networks import Network

METRICS = ("dice", "iou", "precision", "recall")
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?|xpu(:\d+)?")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration."""

    key: str
    """The key; empty where it is none."""
    message: str
    """What is wrong, without the place."""
    remedy: str
    """What to do."""
    place: str = ""
    """Where it stands, such as ``config.toml, line 12``."""

    def error(self) -> RequestError:
        """Return it as the error that ends a command."""
        return RequestError(f"{self.place}: {self.message}" if self.place else self.message, self.remedy)


@dataclass(frozen=True, slots=True)
class World:
    """What a configuration is held against."""

    table: ClassTable | None = None
    """The class table; the built-in one by default."""
    labels: tuple[str, ...] = ()
    """Names of imported labels, which stand beside the classes of the table."""


def targets_for(config: TrainConfig, world: World | None = None) -> Targets:
    """Return the targets that a configuration asks for: those of its file, or its classes.

    ``cores`` marks targets whose cores are learned as well.

    Raises
    ------
    CellmapError
        If the file is wrong, or a class is not known; names the nearest.
    """
    world = world or World()
    if config.targets_path is not None:
        targets = read_targets(config.targets_path, world.table, labels=world.labels)
    else:
        targets = targets_of(config.classes, world.table, labels=world.labels)
    return _with_cores(targets, config.cores)


def rule_problems(config: TrainConfig, world: World, given: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong between the keys; `given` are the keys that nobody left at their default."""
    yield from _target_problems(config, world, given)
    network = find_network(config.architecture) if config.architecture else None
    yield from _network_problems(config, network)
    for info in config.input_array_info:
        yield from _patch_problems("input_array_info", info, config, network)
    yield from _array_problems(config)
    yield from _value_problems(config)


def _target_problems(config: TrainConfig, world: World, given: Collection[str]) -> Iterator[Problem]:
    if config.targets_path is not None and "classes" in given:
        yield Problem(
            "targets_path", "targets_path and classes say two things about what to learn", "keep one of them"
        )
        return
    key = "classes" if config.targets_path is None else "targets_path"
    if key == "classes" and not config.classes:
        yield Problem("classes", "classes is empty", 'name at least one, as in classes = ["nuc", "mito"]')
        return
    try:
        targets_for(config, world)
    except CellmapError as error:
        yield Problem("cores" if error.message.startswith("cores") else key, error.message, error.remedy)


def _with_cores(targets: Targets, cores: tuple[str, ...]) -> Targets:
    import dataclasses

    for name in cores:
        if name not in targets.names:
            near = nearest(name, targets.names)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(targets.names)}"
            raise RequestError(f"cores: no target is called {name!r}", hint)
        if targets.get(name).kind != "instance":
            raise RequestError(
                f"cores: {name!r} has no objects to tell apart", "a core is learned for instance targets only"
            )
    changed = (dataclasses.replace(t, core=t.core or t.name in cores) for t in targets.targets)
    return Targets(tuple(changed), targets.ignored)


def _network_problems(config: TrainConfig, network: Network | None) -> Iterator[Problem]:
    if config.model is not None or network is not None:
        return
    known = [known.name for known in NETWORKS]
    name = config.architecture or config.model_name
    key = "architecture" if config.architecture else "model_name"
    near = nearest(name, [*known, *(alias.lower() for known in NETWORKS for alias in known.aliases)])
    hint = f"did you mean {near!r}? " if near else ""
    yield Problem(
        key,
        f"{key} {name!r} is no network, and no model is given",
        f"{hint}there are {', '.join(known)}; for a name of your own, say architecture as well",
    )


def _patch_problems(key: str, info: ArrayInfo, config: TrainConfig, network: Network | None) -> Iterator[Problem]:
    flat = sum(length == 1 for length in info.shape)
    words = "×".join(map(str, info.shape))
    if flat > 1:
        yield Problem(
            key, f"{key}: a patch of {words} voxels is a line", "give at least two axes more than one voxel"
        )
        return
    if network is None:
        return
    dimensions = 2 if flat else 3
    if dimensions not in network.dimensions:
        other = "(128, 128, 128)" if dimensions == 2 else "(1, 128, 128)"
        yield Problem(
            key,
            f"{key}: {network.name} works in {network.dimensions[0]}D, a patch of {words} voxels is {dimensions}D",
            f"give it a shape such as {other}, or another model_name",
        )
        return
    odd = [length for length in info.shape if length > 1 and length % network.multiple]
    if odd:
        step = network.multiple
        lower, upper = ("×".join(str(_multiple(length, step, add)) for length in info.shape) for add in (0, step))
        yield Problem(
            key,
            f"{key}: {network.name} halves its patch until {network.multiple} divides it, "
            f"and {odd[0]} of {words} voxels is no multiple of {network.multiple}",
            f"take {lower} or {upper}",
        )


def _multiple(length: int, step: int, add: int) -> int:
    """Return the multiple of `step` below a length, or the one above; what is one already stays."""
    return length if length == 1 or length % step == 0 else max(step, length // step * step + add)


def _array_problems(config: TrainConfig) -> Iterator[Problem]:
    if len(config.target_array_info) != 1:
        yield Problem(
            "target_array_info",
            f"target_array_info has {len(config.target_array_info)} arrays",
            "classes are the channels of one array; several inputs are fine",
        )
        return
    (target,) = config.target_array_info
    names = [info.name for info in config.input_array_info]
    if not any(info.shape == target.shape and info.scale_nm == target.scale_nm for info in config.input_array_info):
        shape, scale = "×".join(map(str, target.shape)), "×".join(map(number, target.scale_nm))
        yield Problem(
            "target_array_info",
            f"target_array_info asks for {shape} voxels of {scale} nm, which no input has",
            f"give it the shape and scale of an input ({', '.join(names)}), or leave it out",
        )


def _value_problems(config: TrainConfig) -> Iterator[Problem]:
    for name in config.metrics:
        if name not in METRICS:
            near = nearest(name, METRICS)
            yield Problem(
                "metrics",
                f"metrics: no metric is called {name!r}",
                f"did you mean {near!r}?" if near else f"there are {', '.join(METRICS)}",
            )
    if not DEVICE.fullmatch(config.device):
        yield Problem("device", f"device is {config.device!r}", "use auto, cpu, mps, cuda or cuda:0")
    if config.loss == "custom" and config.criterion is None:
        yield Problem("loss", "loss is custom, and no criterion is given", "name one, or use dice_bce")
    if config.low_is_best != (config.best_metric == "loss"):
        better = "lower" if config.low_is_best else "higher"
        yield Problem(
            "low_is_best",
            f"low_is_best says that a {better} {config.best_metric} is better",
            "leave low_is_best out: it follows best_metric",
        )
    if config.devices > 1 and config.device in ("cpu", "mps"):
        yield Problem(
            "devices", f"devices is {config.devices} on {config.device}", "several devices are GPUs: device = auto"
        )
    if config.warmup_epochs >= config.epochs and config.warmup_epochs:
        yield Problem(
            "warmup_epochs",
            f"warmup_epochs is {config.warmup_epochs} of {config.epochs} epochs",
            f"at most {config.epochs - 1}, or more epochs",
        )
    yield from _template_problems(config)


def _template_problems(config: TrainConfig) -> Iterator[Problem]:
    for key, needed in (("model_save_path", "epoch"), ("logs_save_path", "")):
        value = getattr(config, key)
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(value) if name is not None}
        except ValueError as error:
            yield Problem(key, f"{key} is {value!r}: {error}", "it may hold {model_name} and {epoch}")
            continue
        unknown = sorted(fields - {"model_name", "epoch"})
        if unknown:
            yield Problem(
                key, f"{key} has the unknown field {{{unknown[0]}}}", "it may hold {model_name} and {epoch}"
            )
        elif needed and needed not in fields:
            yield Problem(key, f"{key} has no {{{needed}}}", "each checkpoint would replace the one before")
