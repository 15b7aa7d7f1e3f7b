"""Write a configuration as TOML that reads back as the same one."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.learning.config_arrays import ArrayInfo, KeepCheckpoints, SpatialTransforms, ValueTransform
from cellmap_tui.learning.config_model import keys
from cellmap_tui.learning.config_objects import PythonObject
from cellmap_tui.learning.networks import find_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cellmap_tui.learning.config_model import Key, TrainConfig
    from cellmap_tui.learning.config_read import Resolved

WIDTH = 110
ARRAY_NAMES = {"input_array_info": "raw", "target_array_info": "labels"}
"""Name of the only array of a key, where the file gives none."""
_RUN_PATHS = ("model_save_path", "logs_save_path")


def resolved_toml(resolved: Resolved, folder: Path, *, everything: bool = True, heading: str = "") -> str:
    """Return a configuration as TOML for a file in `folder`.

    Parameters
    ----------
    resolved
        A configuration without problems.
    folder
        Where the file will stand; paths inside it are written relative to it.
    everything
        Whether values are written that are the defaults anyhow.
    heading
        Comment lines at the top, without ``#``.

    Returns
    -------
    str
        TOML that `read_config` reads as the same configuration. Objects of a Python file are written as
        references to it: ``model = { python = "config.py", variable = "model" }``.
    """
    config = resolved.checked()
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    group = ""
    for key in keys().values():
        told = _assignment(key, config, resolved, folder, everything=everything)
        if told is None:
            continue
        if key.group != group:
            lines += ["", f"# {key.group}"] if lines else [f"# {key.group}"]
            group = key.group
        lines.append(told)
    return "\n".join(lines) + "\n"


def written_value(key: str, value: Any, folder: Path | None = None) -> Any:
    """Return the value of a key as it would be written: what its kind reads back.

    An object becomes its text; see `resolved_toml` for references.
    """
    if key in ARRAY_NAMES:
        return _arrays(value, ARRAY_NAMES[key])
    return plain_value(value, folder)


def plain_value(value: object, folder: Path | None = None) -> Any:
    """Return a value of any key but the arrays' as plain lists, tables, texts and numbers."""
    if isinstance(value, Path):
        return _path(value, folder)
    if isinstance(value, PythonObject):
        return value.text or value.type
    if isinstance(value, SpatialTransforms):
        return _spatial(value)
    if isinstance(value, ValueTransform):
        return {"name": value.name, **{name: plain_value(part) for name, part in value.options}}
    if isinstance(value, KeepCheckpoints):
        return dataclasses.asdict(value)
    if isinstance(value, tuple | list):
        return [plain_value(part) for part in value]
    if isinstance(value, dict):
        return {name: plain_value(part) for name, part in value.items()}
    return value


def toml_value(value: object, indent: int = 0) -> str:
    """Return a plain value as TOML; a long list runs over several lines."""
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        parts = [f"{_name(name)} = {toml_value(part)}" for name, part in value.items()]
        return "{ " + ", ".join(parts) + " }" if parts else "{}"
    if isinstance(value, list | tuple):
        return _list([toml_value(part) for part in value], indent)
    return toml_value(str(value))


def _assignment(key: Key, config: TrainConfig, resolved: Resolved, folder: Path, *, everything: bool) -> str | None:
    value = getattr(config, key.name)
    if _is_implied(key.name, config, resolved):
        return None
    held = _python_reference(key.name, value, resolved, folder)
    plain = held if held is not None else written_value(key.name, value, folder)
    if not everything and held is None and _reads_as_default(key, value, plain):
        return None
    return f"{key.name} = {toml_value(plain, len(key.name) + 4)}"


def _is_implied(name: str, config: TrainConfig, resolved: Resolved) -> bool:
    """Whether a value follows from other keys, or must not be pinned to a place."""
    if name in _RUN_PATHS:
        return not Path(getattr(config, name)).is_absolute()
    if name == "base_experiment_path":
        return name not in resolved.given
    if name == "classes":
        return config.targets_path is not None
    if name == "target_array_info":
        first = config.input_array_info[0]
        return config.target_array_info == (dataclasses.replace(first, name="labels"),)
    if name == "model_to_load":
        return config.model_to_load == config.model_name
    if name == "architecture":
        network = find_network(config.model_name)
        return config.architecture == (None if network is None else network.name)
    return name in ("model", "process_func") and getattr(config, name) is None


def _reads_as_default(key: Key, value: object, plain: Any) -> bool:
    if key.kind.is_path:
        return bool(plain == key.default)
    if key.name == "target_array_info":
        return False
    return bool(key.kind.read(key.default) == value)


def _python_reference(name: str, value: object, resolved: Resolved, folder: Path) -> dict[str, str] | None:
    holds = isinstance(value, PythonObject) or (
        isinstance(value, tuple) and any(isinstance(part, PythonObject) for part in value)
    )
    if not holds or not resolved.python_files:
        return None
    return {"python": _path(resolved.python_files[0][0], folder), "variable": name}


def _path(path: Path, folder: Path | None) -> str:
    if folder is not None and path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return os.fspath(path)


def _spatial(moves: SpatialTransforms) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if moves.mirror:
        told["mirror"] = {"axes": dict(moves.mirror)}
    if moves.transpose:
        told["transpose"] = {"axes": list(moves.transpose)}
    if moves.rotate:
        told["rotate"] = {"axes": {axis: [_short(low), _short(high)] for axis, low, high in moves.rotate}}
    if moves.scale is not None:
        told["scale"] = list(moves.scale)
    if moves.elastic is not None:
        told["elastic"] = {"sigma_nm": moves.elastic[0], "spacing_nm": moves.elastic[1]}
    return told


def _arrays(infos: Sequence[ArrayInfo], default_name: str) -> dict[str, Any]:
    told = {
        info.name: {"shape": list(info.shape), "scale": [_short(part) for part in info.scale_nm]} for info in infos
    }
    return told[infos[0].name] if len(infos) == 1 and infos[0].name == default_name else told


def _short(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _float(value: float) -> str:
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return repr(value)


def _name(name: str) -> str:
    bare = name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name)
    return name if bare else toml_value(name)


def _list(parts: Sequence[str], indent: int) -> str:
    joined = ", ".join(parts)
    if len(joined) + indent <= WIDTH or len(parts) < 2:
        return f"[{joined}]"
    lines, line = [], "   "
    for part in parts:
        if len(line) + len(part) + 2 > WIDTH and line.strip():
            lines.append(line)
            line = "   "
        line += f" {part},"
    return "[\n" + "\n".join([*lines, line]) + "\n]"


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys whose plain values differ, in the order of the model."""
    return tuple(name for name in keys() if first.get(name) != second.get(name))
