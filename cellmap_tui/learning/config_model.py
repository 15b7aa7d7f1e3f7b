"""The training configuration: every key with what it takes, both defaults and what it means.

Names are those of the official toolbox, so that its Python configurations keep their meaning; keys that
it does not have are marked new. A configuration in TOML starts from defaults that train well, one in
Python from the toolbox's own. Reading files is `config_read`'s work; nothing here imports torch.
"""

# ruff: noqa: RUF009 - `_key` only makes the fields, all of the same form

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cellmap_tui.learning.config_arrays import (
    ArrayInfo,
    KeepCheckpoints,
    SpatialTransforms,
    ValueTransform,
    arrays,
    keep,
    spatial,
    values,
)
from cellmap_tui.learning.config_kinds import (
    Kind,
    auto_or,
    choice,
    file_name,
    names,
    optional,
    real,
    scale_filter,
    switch,
    table,
    text,
    whole,
)
from cellmap_tui.learning.config_objects import PythonObject, object_kind
from cellmap_tui.learning.config_parts import criterion_kind, optimizer_kind, scheduler_kind

if TYPE_CHECKING:
    from pathlib import Path

_SAME = object()
_FLAT = {"shape": [1, 128, 128], "scale": [8, 8, 8]}
_CUBE = {"shape": [128, 128, 128], "scale": [8, 8, 8]}
_OFFICIAL_MOVES = {
    "mirror": {"axes": {"x": 0.5, "y": 0.5}},
    "transpose": {"axes": ["x", "y"]},
    "rotate": {"axes": {"x": [-180, 180], "y": [-180, 180]}},
}
_MOVES = {
    "mirror": {"axes": {"z": 0.5, "y": 0.5, "x": 0.5}},
    "transpose": {"axes": ["y", "x"]},
    "rotate": {"axes": {"z": [-180, 180]}},
}
_GREYS = [
    {"name": "GainOffset", "probability": 0.5},
    {"name": "RandomGamma", "probability": 0.3},
    {"name": "GaussianBlur", "sigma": [0.3, 1.0], "probability": 0.15},
    {"name": "LowResolution", "probability": 0.1},
    {"name": "GaussianNoise", "sigma": [0.0, 0.06], "probability": 0.3},
    {"name": "SectionJitter", "probability": 0.2},
    {"name": "MissingSections", "probability": 0.05},
    {"name": "ShiftedSections", "probability": 0.05},
]


@dataclass(frozen=True, slots=True)
class Key:
    """What there is to know about one key."""

    name: str
    """Name in a file and for ``--set``."""
    kind: Kind
    """What it takes."""
    default: Any
    """Default of a TOML configuration, as it would be written."""
    official: Any
    """Default of a Python configuration: the official toolbox's."""
    help: str
    """What it means, in a sentence."""
    group: str
    """Heading it stands under."""
    is_new: bool
    """Whether the official toolbox does not have it."""


def _key(group: str, kind: Kind, default: Any, help_words: str, *, official: Any = _SAME, new: bool = False) -> Any:
    told = (group, kind, default, default if official is _SAME else official, help_words, new)
    return dataclasses.field(metadata={"key": told})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """A checked configuration; each field's meaning stands in its key, `keys` lists them."""

    classes: tuple[str, ...] = _key(
        "targets", names("a list of class names"), ["nuc", "er"], "classes to learn, a channel each, in this order"
    )
    targets_path: Path | None = _key(
        "targets", optional(text("a path", is_path=True)), None, "a targets.toml in place of classes", new=True
    )
    cores: tuple[str, ...] = _key(
        "targets",
        names("a list of class names"),
        [],
        "instance targets whose contact-free core is learned too",
        new=True,
    )
    use_mutual_exclusion: bool = _key(
        "targets", switch(), False, "infer from the class table what a voxel cannot be, where nobody labelled it"
    )

    datasplit_path: Path = _key(
        "data", text("a path", is_path=True), "datasplit.csv", "the split of the crops; made if it is not there"
    )
    validation_prob: float = _key("data", real(0, 0.9), 0.15, "share of crops to validate on, when a split is made")
    force_all_classes: str = _key(
        "data",
        choice("true", "false", "train", "validate"),
        "false",
        "on which side only crops with all classes may stand, when a split is made",
        official="validate",
    )
    filter_by_scale: bool | tuple[float, float, float] = _key(
        "data", scale_filter(), False, "leave out crops with labels coarser than the input, or than a voxel size"
    )
    coarse_labels: str = _key(
        "data", choice("drop", "upsample"), "drop", "what to do with labels coarser than the patch's scale", new=True
    )
    use_s3: bool = _key("data", switch(), False, "read the data from the bucket")

    input_array_info: tuple[ArrayInfo, ...] = _key(
        "patches", arrays("raw"), _CUBE, "shape (voxels) and scale (nm) of the input, z, y, x", official=_FLAT
    )
    target_array_info: tuple[ArrayInfo, ...] = _key(
        "patches", arrays("labels"), None, "shape and scale of the target; the first input's if not given"
    )
    batch_size: int = _key("patches", whole(1), 2, "patches in a batch", official=8)
    iterations_per_epoch: int = _key("patches", whole(1), 250, "batches in an epoch", official=1000)
    weighted_sampler: bool = _key("patches", switch(), True, "draw rare classes as often as common ones")
    foreground_share: float = _key(
        "patches", real(0, 1), 0.5, "share of patches centred on a voxel of the drawn class", new=True
    )
    empty_share: float = _key(
        "patches", real(0, 1), 0.1, "share of patches from crops known to be without the drawn class", new=True
    )
    spatial_transforms: SpatialTransforms = _key(
        "patches",
        spatial(),
        _MOVES,
        "how patches are moved: mirror, transpose, rotate, scale, elastic",
        official=_OFFICIAL_MOVES,
    )
    train_raw_value_transforms: tuple[ValueTransform | PythonObject, ...] = _key(
        "patches", values(), _GREYS, "how grey values are varied; they are brought to 0..1 before", official=[]
    )
    val_raw_value_transforms: tuple[ValueTransform | PythonObject, ...] = _key(
        "patches", values(), [], "the same for validation"
    )
    target_value_transforms: tuple[ValueTransform | PythonObject, ...] = _key(
        "patches", values(), [], "what is done to labels; they are made 0, 1 and unknown before"
    )
    value_transforms: tuple[ValueTransform | PythonObject, ...] = _key(
        "patches", values(), [], "how grey values are changed for prediction"
    )

    model_name: str = _key(
        "network", file_name(), "resencunet", "the network, and its name in files", official="2d_unet"
    )
    architecture: str | None = _key(
        "network",
        optional(text("the name of a network")),
        None,
        "the network, where model_name is a name of your own",
        new=True,
    )
    model: PythonObject | None = _key("network", object_kind("a torch module"), None, "a torch module of your own")
    model_kwargs: dict[str, Any] = _key("network", table(), {}, "options of the network")
    model_to_load: str | None = _key(
        "network", optional(file_name()), None, "whose checkpoint to start from; model_name if not given"
    )
    load_model: str = _key("network", choice("latest", "best"), "latest", "which checkpoint to go on from")

    loss: str = _key(
        "learning",
        choice("bce", "dice", "dice_bce", "focal", "tversky", "custom"),
        "dice_bce",
        "what is made small; unknown voxels never count",
        official="bce",
        new=True,
    )
    criterion: str | PythonObject | None = _key(
        "learning", criterion_kind(), None, "a loss of torch by name, or one of your own, in place of loss"
    )
    criterion_kwargs: dict[str, Any] = _key("learning", table(), {}, "options of the loss")
    weight_loss: bool = _key(
        "learning", switch(), False, "weigh a class by absent to present voxels, between 1/50 and 50", official=True
    )
    ignore_padding: bool = _key("learning", switch(), True, "leave out voxels beyond the EM", new=True)
    optimizer: str | PythonObject = _key(
        "learning", optimizer_kind(), "AdamW", "an optimiser of torch by name, or one of your own", official="RAdam"
    )
    optimizer_kwargs: dict[str, Any] = _key(
        "learning",
        table(),
        {"weight_decay": 0.01},
        "options of the optimiser",
        official={"decoupled_weight_decay": True},
        new=True,
    )
    learning_rate: float = _key("learning", real(above=0, most=10), 0.001, "largest step size", official=0.0001)
    scheduler: str | PythonObject | None = _key(
        "learning",
        scheduler_kind(),
        "cosine",
        "how the step size falls: cosine or poly, update by update, or one of torch, epoch by epoch",
        official=None,
    )
    scheduler_kwargs: dict[str, Any] = _key("learning", table(), {}, "options of the scheduler")
    warmup_epochs: int = _key("learning", whole(0), 5, "epochs over which the step size rises", official=0, new=True)
    epochs: int = _key("learning", whole(1), 300, "epochs in all, also after a resume", official=1000)
    gradient_accumulation_steps: int = _key("learning", whole(1), 1, "batches for one step of the optimiser")
    max_grad_norm: float | None = _key(
        "learning", optional(real(above=0)), 1.0, "longest gradient, clipped once a step", official=None
    )
    ema_decay: float | None = _key(
        "learning",
        optional(real(above=0, most=0.99999)),
        0.999,
        "decay of the averaged weights",
        official=None,
        new=True,
    )
    random_seed: int = _key(
        "learning", whole(0, 2**32 - 1), 42, "decides split, sampler, augmentation and first weights"
    )
    max_hours: float | None = _key("learning", optional(real(above=0)), None, "stop after so many hours", new=True)
    early_stop: int | None = _key(
        "learning", optional(whole(1)), None, "stop after so many validations without a better one", new=True
    )

    metrics: tuple[str, ...] = _key(
        "validation",
        names(),
        ["dice", "iou", "precision", "recall"],
        "measured per class on validation crops",
        new=True,
    )
    val_every: int = _key("validation", whole(1), 1, "epochs between validations", new=True)
    best_metric: str = _key(
        "validation",
        choice("dice", "iou", "precision", "recall", "loss"),
        "dice",
        "what makes a checkpoint the best: mean over the classes present",
        new=True,
    )
    low_is_best: bool = _key(
        "validation", switch(), False, "whether a lower value is better, for best; follows best_metric"
    )
    smoothing_window: int = _key("validation", whole(1), 1, "validations that are averaged to find the best")
    validation_time_limit: float | None = _key(
        "validation", optional(real(above=0)), None, "seconds for one validation; then a fixed part of the tiles"
    )
    validation_batch_limit: int | None = _key(
        "validation", optional(whole(1)), None, "batches for one validation; then a fixed part of the tiles"
    )

    device: str = _key("machine", text("a device of torch"), "auto", "auto: cuda, mps or cpu, the first there is")
    devices: int = _key("machine", whole(1), 1, "GPUs to train on", new=True)
    precision: str = _key(
        "machine",
        choice("auto", "bf16", "fp16", "fp32"),
        "auto",
        "arithmetic; auto: bf16 where the GPU has it",
        new=True,
    )
    compile: bool = _key("machine", switch(), False, "compile the network first", new=True)
    workers: int | str = _key("machine", auto_or(whole(0)), "auto", "threads that make patches", new=True)
    cache_gb: float | str = _key(
        "machine", auto_or(real(above=0)), "auto", "memory for patches, of all threads together, in GB", new=True
    )
    dataloader_kwargs: dict[str, Any] = _key(
        "machine", table(), {}, "of the toolbox's loader; num_workers stands for workers, the rest is not needed"
    )
    debug_memory: bool = _key("machine", switch(), False, "write down what holds memory")

    base_experiment_path: Path = _key(
        "files", text("a path", is_path=True), ".", "folder that relative save paths are in"
    )
    model_save_path: str = _key(
        "files",
        text("a path", is_path=True),
        "checkpoints/{model_name}_{epoch}.pth",
        "checkpoints; in the run's directory unless given",
    )
    logs_save_path: str = _key(
        "files",
        text("a path", is_path=True),
        "tensorboard/{model_name}",
        "TensorBoard events; in the run's directory unless given",
    )
    keep_checkpoints: KeepCheckpoints = _key(
        "files", keep(), {"last": 2, "best": 1, "every": 0}, "which checkpoints stay on disk", new=True
    )
    process_func: PythonObject | None = _key(
        "files", object_kind("a function"), None, "what process does to predictions"
    )


@cache
def keys() -> dict[str, Key]:
    """Return every key by name, in the order of the model."""
    return {field.name: Key(field.name, *_told(field)) for field in dataclasses.fields(TrainConfig)}


def _told(field: dataclasses.Field[Any]) -> tuple[Any, ...]:
    group, kind, default, official, help_words, new = field.metadata["key"]
    return (kind, default, official, help_words, group, new)
