"""What forms of a few typed or chosen fields have in common; a form is a frozen model with a field per option."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from cellmap_tui.errors import CellmapError, RequestError
from cellmap_tui.text import number, voxel

if TYPE_CHECKING:
    from cellmap_tui.app.split_form import Option
    from cellmap_tui.services.settings import Settings

Form = TypeVar("Form", bound="TypedForm")
LENGTHS = frozenset({"voxel_size_nm"})
SHAPES = frozenset({"shape"})
NUMBERS = frozenset({"hours"})
WHOLE_NUMBERS = frozenset({"groups", "seed", "count"})
WORDS = frozenset({"classes", "cores"})


class TypedForm:
    """A form; subclasses are frozen dataclasses that say which options they have and what request comes of them."""

    __slots__ = ()
    OPTIONS: ClassVar[tuple[Option, ...]] = ()

    def request(self, settings: Settings) -> object:
        """Return what the service is asked.

        Raises
        ------
        CellmapError
            If options are wrong or contradict each other.
        """
        raise NotImplementedError

    def problem(self, settings: Settings) -> str:
        """Return why the request cannot be made; empty if it can."""
        try:
            self.request(settings)
        except CellmapError as error:
            return ": ".join(filter(None, (error.message, error.remedy)))
        return ""

    def typed(self, option: Option) -> str:
        """Return the value of an option as it is typed; empty while it is not given."""
        value = getattr(self, option.name)
        if value is None or value == () or value == "":
            return ""
        if option.name in LENGTHS:
            return voxel(value).replace("×", " ")
        if isinstance(value, tuple):
            return " ".join(map(str, value))
        return number(value) if isinstance(value, float) else str(value)

    def words(self, option: Option) -> str:
        """Return the value of an option as the screen shows it."""
        return self.typed(option) or option.unset

    def is_set(self, option: Option) -> bool:
        """Tell whether an option differs from what it is by itself."""
        return bool(getattr(self, option.name) != getattr(type(self)(), option.name))

    def with_next(self: Form, option: Option) -> Form:
        """Return the form with the next choice of an option."""
        at = option.choices.index(getattr(self, option.name))
        return self._with(option.name, option.choices[(at + 1) % len(option.choices)])

    def with_text(self: Form, option: Option, typed: str) -> Form:
        """Return the form with an option as it was typed; an empty line takes it back.

        Raises
        ------
        RequestError
            If it cannot be read.
        """
        text = typed.strip()
        return self._with(option.name, _parsed(option.name, text) if text else getattr(type(self)(), option.name))

    def _with(self: Form, name: str, value: Any) -> Form:
        return replace(self, **{name: value})  # type: ignore[type-var]


def absolute(typed: str) -> Path | None:
    """Return a typed path, or None where none was typed."""
    return Path(typed).expanduser().absolute() if typed else None


def _parsed(name: str, typed: str) -> object:
    words = typed.replace(",", " ").split()
    if name in WORDS:
        return tuple(dict.fromkeys(words))
    try:
        if name in LENGTHS:
            return _three([float(word) for word in words])
        if name in SHAPES:
            return _three([int(word) for word in words])
        if name in WHOLE_NUMBERS:
            return int(typed)
        if name in NUMBERS:
            return float(typed)
    except ValueError:
        raise RequestError(f"{typed!r} is no number", "type digits, or nothing to take it back") from None
    return typed


def _three(values: list[Any]) -> tuple[Any, ...]:
    if len(values) not in {1, 3}:
        raise RequestError(f"{len(values)} numbers", "type one, or three: z y x")
    return tuple(values * 3 if len(values) == 1 else values)
