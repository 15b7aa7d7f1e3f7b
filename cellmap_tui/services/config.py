"""Configurations as a task: open, show, compare and convert them.

What is wrong with a configuration is part of the answer of `show_config`; `convert_config` and training
take only one without problems. `config_check` holds one against the data.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import MissingDataError, RefusedError, RequestError
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.learning.config_python import PythonFacts
    from cellmap_tui.learning.config_read import Resolved


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Which configuration, and what it is held against."""

    path: Path | None
    """A ``.toml`` or ``.py`` file; None for the defaults."""
    sets: tuple[str, ...] = ()
    """``key=value`` on top of it."""
    state_dir: Path | None = None
    """Where allowed Python files are remembered."""
    data_root: Path | None = None
    """Data root whose imported labels may be named as classes."""
    trust: bool = False
    """Whether a Python file may run without asking."""
    timeout_s: float = 120.0
    """How long a Python file may take."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong."""

    key: str
    """The key; empty where it is none."""
    place: str
    """Where it stands; empty for a default."""
    message: str
    """What is wrong."""
    remedy: str
    """What to do."""


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """One key with its value."""

    key: str
    """Its name."""
    value: Any
    """Its value, as it would be written in a file; null where a problem hides it."""
    origin: str
    """``default``, a file with its line, or ``--set``."""
    default: Any
    """Its default in this form of file."""
    takes: str
    """What it takes, in words."""
    help: str
    """What it means."""
    group: str
    """Heading it stands under."""


@dataclass(frozen=True, slots=True)
class ConfigShow:
    """A configuration, key by key."""

    path: Path | None
    """The file; null for the defaults."""
    form: str
    """``toml`` or ``python``: whose defaults hold."""
    rows: tuple[ConfigRow, ...]
    """Every key, in groups."""
    problems: tuple[ConfigProblem, ...]
    """What is wrong."""
    warnings: tuple[str, ...]
    """What may not be meant."""


@dataclass(frozen=True, slots=True)
class ConfigDifference:
    """One key that two configurations do not share."""

    key: str
    """Its name."""
    first: Any
    """Value in the first."""
    second: Any
    """Value in the second."""
    first_origin: str
    """Where the first's comes from."""
    second_origin: str
    """Where the second's comes from."""


@dataclass(frozen=True, slots=True)
class ConfigText:
    """A configuration as TOML."""

    path: Path | None
    """File that was written; null: none."""
    text: str
    """The TOML."""
    python_files: tuple[Path, ...]
    """Python files that it still takes objects from."""
    warnings: tuple[str, ...]
    """What may not be meant."""


def open_config(source: ConfigSource, *, ask: Callable[[PythonFacts], bool] | None = None) -> Resolved:
    """Read a configuration; what is wrong with its keys stands in the answer.

    Parameters
    ----------
    source
        The file, and what is set on top of it.
    ask
        Asks the user whether a Python file may run; None where nobody can be asked.

    Raises
    ------
    CellmapError
        If the file cannot be read, or is Python that was not allowed, raises or does not end.
    """
    from cellmap_tui.learning.config_checks import World
    from cellmap_tui.learning.config_read import read_config
    from cellmap_tui.services.trust import trusted_runner

    run = trusted_runner(_state_dir(source), trust=source.trust, timeout_s=source.timeout_s, ask=ask)
    path = None if source.path is None else config_file(source.path)
    return read_config(path, sets=source.sets, run_python=run, world=World(labels=known_labels(source.data_root)))


def config_file(path: Path) -> Path:
    """Return the configuration at a path: the file, or the one that a run kept.

    Raises
    ------
    MissingDataError
        If there is none; names the nearest file beside it.
    """
    if path.is_dir() and (path / "config.toml").is_file():
        return path / "config.toml"
    if not path.is_file():
        beside = {Path(name).stem: name for name in _names_beside(path) if name.endswith((".toml", ".py"))}
        near = beside.get(nearest(path.stem, beside), "")
        remedy = f"did you mean {path.parent / near}?" if near else "check the path"
        raise MissingDataError(f"no configuration {path}", remedy)
    return path


def show_config(source: ConfigSource, *, ask: Callable[[PythonFacts], bool] | None = None) -> ConfigShow:
    """Return every key with its value and where it comes from."""
    return shown_config(open_config(source, ask=ask))


def shown_config(resolved: Resolved) -> ConfigShow:
    """Return a configuration key by key."""
    from cellmap_tui.learning.config_model import keys

    plain = plain_values(resolved)
    rows = tuple(
        ConfigRow(
            key=name,
            value=plain.get(name),
            origin=resolved.origins[name],
            default=key.official if resolved.form == "python" else key.default,
            takes=key.kind.words,
            help=key.help,
            group=key.group,
        )
        for name, key in keys().items()
    )
    return ConfigShow(resolved.path, resolved.form, rows, told_problems(resolved), resolved.warnings)


def told_problems(resolved: Resolved) -> tuple[ConfigProblem, ...]:
    """Return what is wrong with a configuration."""
    return tuple(ConfigProblem(p.key, p.place, p.message, p.remedy) for p in resolved.problems)


def plain_values(resolved: Resolved) -> dict[str, Any]:
    """Return the values as a file would have them; empty where a problem stands in the way."""
    from cellmap_tui.learning.config_model import keys
    from cellmap_tui.learning.config_write import written_value

    if resolved.config is None:
        return {}
    return {name: written_value(name, getattr(resolved.config, name)) for name in keys()}


def diff_configs(
    first: ConfigSource, second: ConfigSource, *, ask: Callable[[PythonFacts], bool] | None = None
) -> tuple[ConfigDifference, ...]:
    """Return the keys that two configurations do not share, defaults included.

    Raises
    ------
    RequestError
        If one of them has a problem.
    """
    from cellmap_tui.learning.config_write import differences

    one, two = open_config(first, ask=ask), open_config(second, ask=ask)
    one.checked()
    two.checked()
    ours, theirs = plain_values(one), plain_values(two)
    return tuple(
        ConfigDifference(name, ours[name], theirs[name], one.origins[name], two.origins[name])
        for name in differences(ours, theirs)
    )


def convert_config(
    source: ConfigSource,
    output: Path | None,
    *,
    everything: bool = False,
    overwrite: bool = False,
    ask: Callable[[PythonFacts], bool] | None = None,
) -> ConfigText:
    """Write a configuration as TOML.

    Parameters
    ----------
    source
        The configuration.
    output
        The file to write; None writes none.
    everything
        Whether values are written that are the defaults anyhow.
    overwrite
        Whether a file that is there is replaced.
    ask
        Asks the user whether a Python file may run.

    Raises
    ------
    RefusedError
        If the output is there.
    RequestError
        If the configuration has a problem.
    """
    from cellmap_tui.learning.config_write import resolved_toml

    if output is not None and output.suffix != ".toml":
        raise RequestError(f"{output} does not end in .toml", "name the file to write, such as config.toml")
    if output is not None and output.exists() and not overwrite:
        raise RefusedError(f"{output} is there already", "add --overwrite to replace it")
    resolved = open_config(source, ask=ask)
    folder = Path.cwd() if output is None else output.absolute().parent
    name = "the defaults" if resolved.path is None else resolved.path.name
    text = resolved_toml(resolved, folder, everything=everything, heading=f"Made from {name}.")
    if output is not None:
        write_text(output, text)
    files = tuple(path for path, _ in resolved.python_files if 'python = "' in text)
    return ConfigText(output, text, files, resolved.warnings)


def write_text(path: Path, text: str) -> None:
    """Write a file whole, or not at all.

    Raises
    ------
    RefusedError
        If the folder cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"cannot write {path}: {error.strerror}", "choose another place") from None


def _state_dir(source: ConfigSource) -> Path:
    if source.state_dir is not None:
        return source.state_dir
    from cellmap_tui.services.settings import load_settings

    return load_settings().state_dir


def known_labels(data_root: Path | None) -> tuple[str, ...]:
    """Return names of labels that imported crops carry beside the classes of the table."""
    if data_root is None:
        return ()
    from cellmap_tui.challenge.catalog import load_catalog

    return tuple(sorted(load_catalog(data_root=data_root).vocabulary.other_classes))


def _names_beside(path: Path) -> list[str]:
    try:
        return sorted(item.name for item in path.parent.iterdir())
    except OSError:
        return []
