"""Patches as a training configuration says: its keys as a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import MissingDataError
from cellmap_tui.learning.config_arrays import ValueTransform
from cellmap_tui.services.patches_model import PatchesRequest
from cellmap_tui.services.split_command import split_command

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.services.settings import Settings


def request_of_config(path: Path, settings: Settings, *, trust: bool = False, **options: Any) -> PatchesRequest:
    """Return the patches of a configuration.

    Parameters
    ----------
    path
        A ``.toml`` or ``.py`` file, or the folder of a run.
    settings
        Places.
    trust
        Whether a Python file may run without asking.
    options
        Fields of `PatchesRequest` that override it.

    Raises
    ------
    RequestError
        If the configuration is wrong; names the key.
    MissingDataError
        If its split is not made yet; says how.
    RefusedError
        If it is a Python file that nobody allowed to run.
    """
    from cellmap_tui.services.config import ConfigSource, config_file, open_config

    source = ConfigSource(config_file(path), state_dir=settings.state_dir, data_root=settings.data_root, trust=trust)
    config = open_config(source).checked()
    if not config.datasplit_path.exists():
        raise MissingDataError(f"there is no split {config.datasplit_path} yet", f"make it: {split_command(config)}")
    fields = fields_of(config) | {"state_dir": settings.state_dir}
    if options.keys() & {"shape", "voxel_size_nm"}:
        del fields["inputs"]
    if "classes" in options:
        fields["targets"] = None
    return PatchesRequest(**(fields | options))


def fields_of(config: TrainConfig) -> dict[str, Any]:
    """Return the fields of a request that a configuration decides."""
    target = (config.target_array_info or config.input_array_info)[0]
    steps = config.train_raw_value_transforms
    return {
        "split": config.datasplit_path,
        "classes": config.classes if config.targets_path is None else (),
        "targets": config.targets_path,
        "shape": target.shape,
        "voxel_size_nm": target.scale_nm,
        "inputs": config.input_array_info,
        "spatial": config.spatial_transforms,
        "values": tuple(step for step in steps if isinstance(step, ValueTransform)),
        "foreground_share": config.foreground_share,
        "empty_share": config.empty_share,
        "balanced": config.weighted_sampler,
        "use_mutual_exclusion": config.use_mutual_exclusion,
        "coarse_labels": config.coarse_labels,
        "cores": config.cores,
        "seed": config.random_seed,
        "batch_size": config.batch_size,
        "batches": config.iterations_per_epoch,
        "workers": None if isinstance(config.workers, str) else config.workers,
    }
