"""What a network or a mapping should produce: targets, each made of classes, as ``targets.toml`` says.

The same file drives mapping and export, the split, training, prediction and scoring. Owns its format
and the one rule by which a class is found in what a crop's annotators labelled (`class_source`).

A file looks like this::

    ignore = ["mito_ribo"]

    [targets]
    mito = ["mito_mem", "mito_lum"]
    nucleus = { classes = ["nuc"], kind = "instance", core = true, id = 7 }
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.layout import ALL_IDS, checked_name
from cellmap_tui.errors import DataError, MissingDataError, RequestError, UnknownNameError
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from cellmap_tui.challenge.classes import ClassInfo, ClassTable

Kind = Literal["instance", "semantic"]
"""Whether a target's voxels hold object ids, or 0 and 1."""

KINDS: tuple[Kind, ...] = ("instance", "semantic")
CORE_SEED_VOXELS = 2
"""Smaller pieces of a core are no seeds: lone voxels are noise, and more would lose objects a few voxels across."""
MAX_ID = 65_535
"""Largest id of a target; combined volumes of targets are at most uint16."""
MAX_FILE_BYTES = 2**20
_KEYS = ("classes", "kind", "core", "id")


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to be segmented: the union of some classes."""

    name: str
    """Name of the target; also of its folder, channel and array."""
    classes: tuple[str, ...]
    """Classes whose union it is, by their short names; at least one."""
    kind: Kind
    """Whether objects are told apart."""
    core: bool = False
    """Whether the objects' cores, without the voxels that touch another object, are learned beside it."""
    id: int = 1
    """Its value in a volume that holds all targets at once."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Targets in the order of their channels."""

    targets: tuple[Target, ...]
    """At least one; names, ids and classes differ."""
    ignored: tuple[str, ...] = ()
    """Classes whose voxels count as unknown for every target."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the targets, in order."""
        return tuple(target.name for target in self.targets)

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class of every target, in order."""
        return tuple(name for target in self.targets for name in target.classes)

    def get(self, name: str) -> Target:
        """Return the target of that name; UnknownNameError names the nearest."""
        for target in self.targets:
            if target.name == name:
                return target
        near = nearest(name, self.names)
        remedy = f"did you mean {near!r}?" if near else f"there are {', '.join(self.names)}"
        raise UnknownNameError(f"no target is called {name!r}", remedy)


@dataclass(frozen=True, slots=True)
class ClassSource:
    """From which arrays of a crop a class can be known."""

    name: str
    """The class."""
    arrays: tuple[str, ...]
    """Annotated classes whose union is the class as far as the crop knows it; empty: not annotated at all."""
    complete: bool
    """Whether a voxel that is in none of the arrays is known not to be of the class; else it is unknown there."""


def class_source(
    name: str, annotated: Collection[str], table: ClassTable | None = None, *, labels: Collection[str] = ()
) -> ClassSource:
    """Return how a class is known in a crop.

    An annotated class is its own array. A group that is not annotated itself is the union of those annotated
    classes that lie inside it, complete once they hold all its members; a voxel of a part is then a voxel of
    the group, while outside all parts an incomplete group is unknown. The other way round nothing is
    learned: an annotated group does not say which of its members a voxel is.

    Parameters
    ----------
    name
        A class of the table, or of `labels`.
    annotated
        Classes that the crop annotates.
    table
        The class table; the built-in one by default.
    labels
        Names outside the table that imported crops carry; these stand for themselves alone.
    """
    if name in annotated:
        return ClassSource(name, (name,), complete=True)
    known = table or builtin_classes()
    info = known.named(name)
    if info is None or not info.is_group:
        if info is None and name not in labels:
            known.get(name)
        return ClassSource(name, (), complete=False)
    wanted = set(info.member_ids)
    parts = [part for part in map(known.named, annotated) if part is not None and _ids(part) <= wanted]
    covered: set[int] = set().union(*map(_ids, parts)) if parts else set()
    names = sorted((part.name for part in parts), key=known.order)
    return ClassSource(name, tuple(names), complete=covered == wanted)


def targets_of(names: Iterable[str], table: ClassTable | None = None, *, labels: Collection[str] = ()) -> Targets:
    """Return one target for each class, in the order given.

    Raises
    ------
    UnknownNameError
        If a name is neither in the table nor in `labels`; names the nearest.
    RequestError
        If there is no name, or one stands twice.
    """
    raw = {}
    for name in names:
        known = _class_name(name, table or builtin_classes(), labels, "classes")
        if known in raw:
            raise RequestError(f"class {known!r} is named twice")
        raw[known] = [known]
    return _built({"targets": raw}, "classes", table or builtin_classes(), labels)


def read_targets(path: Path, table: ClassTable | None = None, *, labels: Collection[str] = ()) -> Targets:
    """Read a ``targets.toml``.

    Raises
    ------
    MissingDataError
        If the file cannot be read.
    RequestError
        If it is not TOML, a class is in two targets, a name is unknown, a target is empty; names the file and
        the place.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MissingDataError(f"targets {path} cannot be read: {error.strerror}", "check the path") from None
    if len(data) > MAX_FILE_BYTES:
        raise DataError(f"{path} is too large to be a file of targets")
    return parse_targets(data, str(path), table, labels=labels)


def parse_targets(
    text: str | bytes, source: str, table: ClassTable | None = None, *, labels: Collection[str] = ()
) -> Targets:
    """Parse the text of a ``targets.toml``; `source` names it in errors, which are those of `read_targets`."""
    try:
        raw = tomllib.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{source} is not TOML: {error}", "see docs/targets.md for an example") from None
    return _built(raw, source, table or builtin_classes(), labels)


def format_targets(targets: Targets) -> str:
    """Return the text of a ``targets.toml`` that reads back as `targets`."""
    lines = [f"ignore = {_listed(targets.ignored)}", ""] if targets.ignored else []
    lines.append("[targets]")
    for target in targets.targets:
        fields = [f"classes = {_listed(target.classes)}", f'kind = "{target.kind}"']
        fields += ["core = true"] if target.core else []
        fields += [f"id = {target.id}"]
        lines.append(f'"{target.name}" = {{ {", ".join(fields)} }}')
    return "\n".join(lines) + "\n"


def default_kind(name: str, classes: Collection[str], table: ClassTable | None = None) -> Kind:
    """Return how a target is scored: as the class of its name is, else as its only class is, else by voxels."""
    known = table or builtin_classes()
    only = next(iter(classes)) if len(classes) == 1 else ""
    info = known.named(name) or known.named(only)
    return info.scoring if info is not None and info.scoring is not None else "semantic"


def _ids(info: ClassInfo) -> set[int]:
    return set(info.member_ids) or {info.id}


def _listed(names: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _built(raw: dict[str, Any], source: str, table: ClassTable, labels: Collection[str]) -> Targets:
    for key in raw.keys() - {"targets", "ignore", "version"}:
        near = nearest(key, ("targets", "ignore"))
        hint = f"did you mean {near!r}?" if near else "a file of targets has [targets] and ignore"
        raise RequestError(f"{source}: unknown key {printable(key)!r}", hint)
    entries = raw.get("targets")
    if not isinstance(entries, dict) or not entries:
        raise RequestError(
            f"{source}: no targets", 'add a table such as: [targets] then mito = ["mito_mem", "mito_lum"]'
        )
    ignored = _class_names(raw.get("ignore", []), "ignore", source, table, labels)
    targets = tuple(
        _target(name, entry, position, source, table, labels)
        for position, (name, entry) in enumerate(entries.items(), 1)
    )
    _check_apart(targets, ignored, source)
    return Targets(targets, ignored)


def _target(
    name: str, entry: object, position: int, source: str, table: ClassTable, labels: Collection[str]
) -> Target:
    if name in (ALL_IDS, "ignore"):
        raise RequestError(f"{source}: a target cannot be called {name!r}", "the name has a meaning of its own")
    checked_name(name, "target")
    fields = entry if isinstance(entry, dict) else {"classes": entry}
    for key in fields.keys() - set(_KEYS):
        near = nearest(key, _KEYS)
        hint = f"did you mean {near!r}?" if near else f"a target has {', '.join(_KEYS)}"
        raise RequestError(f"{source}: target {name!r} has an unknown key {printable(key)!r}", hint)
    classes = _class_names(fields.get("classes", []), f"target {name!r}", source, table, labels)
    if not classes:
        raise RequestError(f"{source}: target {name!r} has no classes", "name at least one, or leave the target out")
    kind = fields.get("kind", default_kind(name, classes, table))
    if kind not in KINDS:
        raise RequestError(
            f"{source}: target {name!r} has kind {printable(str(kind))!r}", f"use {' or '.join(KINDS)}"
        )
    core = fields.get("core", False)
    if not isinstance(core, bool) or (core and kind == "semantic"):
        raise RequestError(
            f"{source}: target {name!r} cannot have core = {core!r}", "true or false, for instances only"
        )
    number = fields.get("id", position)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_ID:
        raise RequestError(
            f"{source}: target {name!r} has id {number!r}", f"ids are whole numbers from 1 to {MAX_ID}"
        )
    return Target(name, classes, kind, core, number)


def _class_names(
    value: object, what: str, source: str, table: ClassTable, labels: Collection[str]
) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise RequestError(f"{source}: {what} is not a list of class names", 'as in ["mito_mem", "mito_lum"]')
    names = tuple(_class_name(name, table, labels, f"{source}: {what}") for name in value)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"{source}: {what} names {twice!r} twice", "name it once")
    return names


def _class_name(name: str, table: ClassTable, labels: Collection[str], place: str) -> str:
    if name in labels:
        return name
    try:
        return table.get(name).name
    except UnknownNameError as error:
        raise UnknownNameError(f"{place}: {error.message}", error.remedy) from None


def _check_apart(targets: tuple[Target, ...], ignored: tuple[str, ...], source: str) -> None:
    owner = dict.fromkeys(ignored, "ignore")
    for target in targets:
        for name in target.classes:
            if name in owner:
                raise RequestError(
                    f"{source}: class {name!r} is in {owner[name]!r} and in {target.name!r}", "keep it in one of them"
                )
            owner[name] = target.name
    ids = [target.id for target in targets]
    for target in targets:
        if ids.count(target.id) > 1:
            raise RequestError(f"{source}: id {target.id} stands for two targets", f"give {target.name!r} another id")
