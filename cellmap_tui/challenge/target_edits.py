"""Changes to targets, one function each: they return new targets, so that undoing is keeping the old ones.

While somebody edits, a target may have no class yet; `checked` says whether the result may be kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import checked_name
from cellmap_tui.challenge.targets import Target, Targets, default_kind, format_targets, parse_targets
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Collection

    from cellmap_tui.challenge.classes import ClassTable

NOTHING = Targets(())
"""No targets yet."""


def owner(targets: Targets, class_name: str) -> str | None:
    """Return the target that a class is in, ``"ignore"`` for an ignored one, None for neither."""
    if class_name in targets.ignored:
        return "ignore"
    return next((target.name for target in targets.targets if class_name in target.classes), None)


def added(targets: Targets, name: str, classes: tuple[str, ...] = ()) -> Targets:
    """Return the targets with a new one at the end; RequestError if there is one of that name."""
    _check_new(targets, name)
    free = targets
    for class_name in classes:
        free = removed_class(free, class_name)
    number = max((target.id for target in targets.targets), default=0) + 1
    new = Target(name, classes, default_kind(name, classes), id=number)
    return replace(free, targets=(*free.targets, new))


def renamed(targets: Targets, old: str, new: str) -> Targets:
    """Return the targets with one called otherwise."""
    if old == new:
        return targets
    _check_new(targets, new)
    return _changed(targets, old, name=new)


def removed(targets: Targets, name: str) -> Targets:
    """Return the targets without one; its classes are in none then."""
    return replace(targets, targets=tuple(target for target in targets.targets if target.name != name))


def moved(targets: Targets, class_name: str, to: str) -> Targets:
    """Return the targets with a class in this one, or in ``"ignore"``, and in no other."""
    free = removed_class(targets, class_name)
    if to == "ignore":
        return replace(free, ignored=(*free.ignored, class_name))
    target = free.get(to)
    return _changed(free, to, classes=(*target.classes, class_name))


def removed_class(targets: Targets, class_name: str) -> Targets:
    """Return the targets with a class in none of them and not ignored."""
    rest = tuple(
        replace(target, classes=tuple(name for name in target.classes if name != class_name))
        for target in targets.targets
    )
    return Targets(rest, tuple(name for name in targets.ignored if name != class_name))


def with_other_kind(targets: Targets, name: str) -> Targets:
    """Return the targets with one told apart into objects, or no longer."""
    if targets.get(name).kind == "instance":
        return _changed(targets, name, kind="semantic", core=False)
    return _changed(targets, name, kind="instance")


def with_core_turned(targets: Targets, name: str) -> Targets:
    """Return the targets with cores of one learned, or no longer; RequestError if it is not told apart."""
    target = targets.get(name)
    if target.kind != "instance":
        raise RequestError(f"target {name!r} has no objects to have cores", "make it an instance target first")
    return _changed(targets, name, core=not target.core)


def checked(targets: Targets, table: ClassTable | None = None, *, labels: Collection[str] = ()) -> Targets:
    """Return the targets as they would be read from their file.

    Raises
    ------
    RequestError
        If they may not be kept: none at all, or one without a class.
    """
    return parse_targets(format_targets(targets), "targets", table, labels=labels)


def _check_new(targets: Targets, name: str) -> None:
    checked_name(name, "target")
    if name in targets.names:
        raise RequestError(f"there is a target called {name!r} already", "choose another name")
    if name in ("all", "ignore"):
        raise RequestError(f"a target cannot be called {name!r}", "the name has a meaning of its own")


def _changed(targets: Targets, which: str, **fields: object) -> Targets:
    targets.get(which)
    return replace(
        targets,
        targets=tuple(
            replace(target, **fields) if target.name == which else target  # type: ignore[arg-type]
            for target in targets.targets
        ),
    )
