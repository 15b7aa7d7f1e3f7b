"""A proposed group as a configuration in TOML, with the reasons as comments."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.targets import Targets, format_targets
from cellmap_tui.learning.config_write import toml_value
from cellmap_tui.services.propose_reasons import (
    core_reasons,
    crop_reason,
    hours_reason,
    memory_reason,
    network_reason,
    patch_reason,
    target_reasons,
)
from cellmap_tui.text import voxel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cellmap_tui.services.propose_model import ProposeRequest
    from cellmap_tui.services.propose_reasons import Decision

WIDTH = 110
Setting = tuple[str, Any, list[str]]
"""Key, plain value and the reasons for it."""


def config_files(decision: Decision, request: ProposeRequest, targets: Targets, folder: Path) -> dict[Path, str]:
    """Return the files of a group: its configuration first, and its targets where they come from a file."""
    names = {wish.facts.target.name for wish in decision.group.wishes}
    chosen = [target for target in targets.targets if target.name in names]
    path = folder / f"train_{decision.name}.toml"
    if request.targets is None:
        learned: Setting = ("classes", [target.name for target in chosen], target_reasons(decision))
        return {path: _text(decision, request, folder, learned)}
    own = folder / f"targets_{decision.name}.toml"
    learned = ("targets_path", own.name, target_reasons(decision))
    text = _text(decision, request, folder, learned)
    return {path: text, own: format_targets(Targets(tuple(chosen), targets.ignored))}


def _text(decision: Decision, request: ProposeRequest, folder: Path, learned: Setting) -> str:
    size = voxel(decision.sizes.scale_nm)
    number = len(decision.group.wishes)
    title = f"{number} target{'' if number == 1 else 's'} at {size} nm, for {decision.gpu.words}."
    lines = _comment([title, "Made by cellmap-tui plan; change what you like. Memory and hours are forecasts."])
    for key, value, reasons in (learned, *_settings(decision, request, folder)):
        lines += ["", *_comment(reasons), f"{key} = {toml_value(value, len(key) + 4)}"]
    return "\n".join(lines) + "\n"


def _settings(decision: Decision, request: ProposeRequest, folder: Path) -> Iterator[Setting]:
    if decision.cores:
        yield "cores", list(decision.cores), core_reasons(decision)
    if decision.incomplete_crops:
        share = f"{decision.incomplete_crops} of {len(decision.used)} crops do not annotate every target"
        yield "use_mutual_exclusion", True, [f"{share}: what a voxel is says what it is not"]
    yield from _data(decision, request, folder)
    yield from _patches(decision)
    yield from _learning(decision, request)


def _data(decision: Decision, request: ProposeRequest, folder: Path) -> Iterator[Setting]:
    if request.datasplit is not None:
        split = request.datasplit.absolute()
        yield "datasplit_path", _relative(split, folder), ["the split that was planned for"]
    else:
        yield (
            "datasplit_path",
            f"datasplit_{decision.name}.csv",
            ["made by the training, or beforehand by make-datasplit"],
        )
    if len(decision.used) < len(decision.known) or decision.is_upsampled:
        limit = decision.longest_nm
        yield "filter_by_scale", int(limit) if limit.is_integer() else limit, [crop_reason(decision)]
    if decision.is_upsampled:
        longest = f"voxels of up to {decision.longest_nm:g} nm along one axis"
        yield "coarse_labels", "upsample", [f"{longest} are near enough to {decision.group.scale_nm} nm"]


def _patches(decision: Decision) -> Iterator[Setting]:
    sizes = decision.sizes
    scale = [int(part) if part.is_integer() else part for part in sizes.scale_nm]
    yield "input_array_info", {"shape": list(sizes.patch), "scale": scale}, [patch_reason(decision)]
    yield "batch_size", sizes.batch_size, [memory_reason(decision)]
    if sizes.batch_size == 1:
        yield "gradient_accumulation_steps", 2, ["one patch at a time is too few for a steady gradient"]
    if not sizes.is_flat and len(set(sizes.scale_nm)) == 1:
        every = ["z", "y", "x"]
        moves = {
            "mirror": {"axes": dict.fromkeys(every, 0.5)},
            "transpose": {"axes": every},
            "rotate": {"axes": {"z": [-180, 180]}},
        }
        yield "spatial_transforms", moves, ["voxels are cubes: every direction is as good as another"]


def _learning(decision: Decision, request: ProposeRequest) -> Iterator[Setting]:
    sizes = decision.sizes
    yield "model_name", f"{sizes.network.name}_{decision.name}", ["a name of its own, for files"]
    yield "architecture", sizes.network.name, [network_reason(decision)]
    yield "epochs", sizes.epochs, [hours_reason(decision)]
    yield "iterations_per_epoch", sizes.iterations, []
    if request.hours is not None:
        yield "max_hours", request.hours, ["asked for"]


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _comment(lines: Sequence[str]) -> list[str]:
    wrapped = [part for line in lines for part in textwrap.wrap(line, WIDTH, break_long_words=False)]
    return [f"# {line}" for line in wrapped]
