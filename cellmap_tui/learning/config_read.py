"""Read a configuration: a file, ``--set`` on top of it, defaults below it, and where each value came from.

TOML is read as it stands. A Python file is run by whoever hands in `run_python`, in a process of its
own and only after the user has allowed it; here it is plain values like any other.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.learning.config_checks import Problem, World, rule_problems, targets_for
from cellmap_tui.learning.config_model import keys
from cellmap_tui.learning.config_settle import DEFAULT, Given, settle
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.config_python import PythonConfig

MAX_FILE_BYTES = 4 * 2**20
_META_KEYS = {"version"}
_LIKE_A_KEY = 0.84  # a typo of one or two letters; less alike is somebody's own variable


@dataclass(frozen=True, slots=True)
class Resolved:
    """A configuration with everything filled in."""

    config: TrainConfig | None
    """The checked values; None where a problem stands in the way."""
    path: Path | None
    """The file; None for defaults alone."""
    form: str
    """``toml`` or ``python``: whose defaults hold."""
    origins: Mapping[str, str]
    """Key to where its value came from: ``default``, ``config.toml, line 12``, ``--set``."""
    problems: tuple[Problem, ...] = ()
    """What is wrong."""
    warnings: tuple[str, ...] = ()
    """What may not be meant."""
    python_files: tuple[tuple[Path, str], ...] = ()
    """Python files that objects come from, with the hash of their content."""

    @property
    def given(self) -> frozenset[str]:
        """Keys that are not at their default."""
        return frozenset(name for name, origin in self.origins.items() if origin != DEFAULT)

    def checked(self) -> TrainConfig:
        """Return the configuration.

        Raises
        ------
        RequestError
            If anything is wrong: the first problem, and how many there are.
        """
        if not self.problems and self.config is not None:
            return self.config
        error = self.problems[0].error()
        if len(self.problems) > 1:
            more = f"{len(self.problems) - 1} more; config check lists them"
            raise RequestError(error.message, f"{error.remedy} ({more})" if error.remedy else more)
        raise error


@dataclass(slots=True)
class _Source:
    values: dict[str, Any]
    lines: dict[str, int]
    form: str
    folder: Path
    name: str
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    python_files: list[tuple[Path, str]] = field(default_factory=list)


def read_config(
    path: Path | None,
    *,
    sets: Iterable[str] = (),
    cwd: Path | None = None,
    run_python: Callable[[Path], PythonConfig],
    world: World | None = None,
) -> Resolved:
    """Read a configuration file and settle every key.

    Parameters
    ----------
    path
        A ``.toml`` or ``.py`` file; None for the defaults.
    sets
        ``key=value`` of the command line, the last one wins; ``key.part=value`` for a part of a table.
    cwd
        What paths in `sets` are relative to; the current directory by default.
    run_python
        Runs a Python configuration, or raises RefusedError where the user has not allowed that.
    world
        Class table and imported labels that names are held against.

    Raises
    ------
    MissingDataError
        If the file cannot be read.
    DataError
        If it is too large, or not Python.
    RefusedError
        If it is Python that nobody has allowed to run.
    RequestError
        If it is not TOML, or `sets` has no ``=``. What is wrong with keys and values is listed in the result instead.
    """
    source = _read(path, run_python)
    where = Path.cwd() if cwd is None else cwd
    given = _given(source)
    for words in sets:
        _override(words, given, source, where)
    _fetch_objects(given, source, run_python)
    config, unfit = settle(given, source.form, source.folder)
    origins = {name: given[name].origin if name in given else DEFAULT for name in keys()}
    bad = {problem.key for problem in unfit}
    asked = {name for name, origin in origins.items() if origin != DEFAULT}
    broken = (_placed(p, origins) for p in rule_problems(config, world or World(), asked) if p.key not in bad)
    problems = [*source.problems, *unfit, *broken]
    if config.targets_path is not None and not any(p.key in ("targets_path", "cores") for p in problems):
        config = _with_target_names(config, world)
    return Resolved(
        None if unfit else config,
        path,
        source.form,
        origins,
        tuple(problems),
        tuple(source.warnings),
        tuple(source.python_files),
    )


def _with_target_names(config: TrainConfig, world: World | None) -> TrainConfig:
    import dataclasses

    return dataclasses.replace(config, classes=targets_for(config, world).names)


def _placed(problem: Problem, origins: Mapping[str, str]) -> Problem:
    place = origins.get(problem.key, DEFAULT)
    return Problem(problem.key, problem.message, problem.remedy, "" if place == DEFAULT else place)


def _read(path: Path | None, run_python: Callable[[Path], PythonConfig]) -> _Source:
    if path is None:
        return _Source({}, {}, "toml", Path.cwd(), "")
    if path.suffix == ".py":
        return _python(path, run_python(path))
    if path.suffix != ".toml":
        raise RequestError(f"{path} is neither .toml nor .py", "give a configuration file by its name")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MissingDataError(f"configuration {path} cannot be read: {error.strerror}", "check the path") from None
    if len(data) > MAX_FILE_BYTES:
        raise DataError(f"{path} is too large to be a configuration")
    try:
        text = data.decode("utf-8-sig")
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        remedy = "texts need quotes, true and false are lower case"
        raise RequestError(f"{path} is not TOML: {error}", remedy) from None
    source = _Source(values, _toml_lines(text, values), "toml", path.absolute().parent, path.name)
    _drop_unknown(source)
    return source


def _python(path: Path, ran: PythonConfig) -> _Source:
    source = _Source(dict(ran.values), dict(ran.lines), "python", path.absolute().parent, path.name)
    source.python_files.append((path.absolute(), ran.sha256))
    for name in ran.other_names:
        near = next(iter(difflib.get_close_matches(name, keys(), n=1, cutoff=_LIKE_A_KEY)), "")
        if near and near not in ran.values:
            line = f", line {ran.lines[name]}" if name in ran.lines else ""
            source.warnings.append(
                f"{path.name}{line}: {name!r} is not a key and has no effect; did you mean {near!r}?"
            )
    source.warnings += ran.notes
    if ran.printed.strip():
        first = printable(ran.printed.strip().splitlines()[0])[:80]
        source.warnings.append(f"{path.name} prints while it is read: {first}")
    return source


def _drop_unknown(source: _Source) -> None:
    for name in [name for name in source.values if name not in keys()]:
        value = source.values.pop(name)
        if name in _META_KEYS and isinstance(value, int):
            continue
        near = _near_key(name)
        hint = f"did you mean {near!r}?" if near else "config keys lists all keys"
        source.problems.append(Problem(name, f"unknown key {printable(name)!r}", hint, _place(source, name)))


def _near_key(name: str) -> str:
    return nearest(name.replace("-", "_"), keys())


def _toml_lines(text: str, values: Mapping[str, object]) -> dict[str, int]:
    """Return the line of each top-level key, found by its text; a value of several lines counts from its first."""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"""\s*\[{0,2}\s*["']?([A-Za-z0-9_-]+)["']?\s*(?:[.=\]])""", line)
        if match and match[1] in values:
            lines.setdefault(match[1], number)
    return lines


def _place(source: _Source, name: str) -> str:
    line = source.lines.get(name)
    return f"{source.name}, line {line}" if line else source.name


def _given(source: _Source) -> dict[str, Given]:
    return {
        name: Given(value, _place(source, name), source.folder)
        for name, value in source.values.items()
        if name in keys()
    }


def _override(words: str, given: dict[str, Given], source: _Source, cwd: Path) -> None:
    name, equals, text = words.partition("=")
    path = name.strip().replace("-", "_").split(".")
    if not equals or not path[0]:
        raise RequestError(f"--set {printable(words)!r} is not key=value", "as in --set epochs=4")
    if path[0] not in keys():
        near = _near_key(path[0])
        hint = f"did you mean {near!r}?" if near else "config keys lists all keys"
        source.problems.append(Problem(path[0], f"unknown key {printable(path[0])!r}", hint, "--set"))
        return
    value = value_of_text(text.strip())
    if len(path) > 1:
        before = given[path[0]].value if path[0] in given else _default(path[0], source.form)
        value = _put(before, path[1:], value)
    given[path[0]] = Given(value, "--set", cwd)


def _default(name: str, form: str) -> Any:
    key = keys()[name]
    return key.official if form == "python" else key.default


def value_of_text(text: str) -> Any:
    """Return the value of a ``--set``: TOML where it is that, else the text as it stands."""
    try:
        read = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text


def _put(before: Any, path: list[str], value: Any) -> Any:
    table = dict(before) if isinstance(before, dict) else {}
    table[path[0]] = value if len(path) == 1 else _put(table.get(path[0]), path[1:], value)
    return table


def _fetch_objects(given: dict[str, Given], source: _Source, run_python: Callable[[Path], PythonConfig]) -> None:
    """Run the Python files that ``{ python = "config.py", variable = "model" }`` in a TOML file points at."""
    ran: dict[Path, PythonConfig] = {}
    for name, entry in list(given.items()):
        value = entry.value
        if not isinstance(value, dict) or "python" not in value or not set(value) <= {"python", "variable"}:
            continue
        variable = str(value.get("variable", name))
        try:
            path = (entry.folder / Path(str(value["python"])).expanduser()).absolute()
            if path not in ran:
                ran[path] = run_python(path)
                source.python_files.append((path, ran[path].sha256))
            if variable not in ran[path].values:
                raise RequestError(f"{path.name} has no {variable!r}", "name a variable of that file")
            given[name] = Given(ran[path].values[variable], entry.origin, entry.folder)
        except (DataError, MissingDataError, RequestError) as error:
            del given[name]
            source.problems.append(Problem(name, f"{name}: {error.message}", error.remedy, entry.origin))
