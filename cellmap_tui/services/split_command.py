"""The split that a configuration stands for, as a line to type."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cellmap_tui.text import number

if TYPE_CHECKING:
    from cellmap_tui.learning.config_model import TrainConfig

_FORCE = {"true": ["-fa"], "train": ["-ft"], "validate": ["-fv"]}


def split_command(config: TrainConfig) -> str:
    """Return the ``make-datasplit`` that writes what training would make where a configuration's split is missing."""
    first = config.input_array_info[0].scale_nm
    scale = config.filter_by_scale if isinstance(config.filter_by_scale, tuple) else first
    words = ["--targets", str(config.targets_path)] if config.targets_path else ["-c", ",".join(config.classes)]
    words += ["-s", ",".join(number(length) for length in scale)]
    words += ["--coarse-labels", config.coarse_labels] if config.coarse_labels != "drop" else []
    words += _FORCE.get(config.force_all_classes, [])
    words += ["-s3"] if config.use_s3 else []
    words += ["-vr", number(config.validation_prob), "--seed", str(config.random_seed)]
    return shlex.join(["cellmap-tui", "--batch", "make-datasplit", *words, "-cp", str(config.datasplit_path)])
