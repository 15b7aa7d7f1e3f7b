"""Colour themes as TOML files: ours, and the user's own.

A file has the keys of Textual's `Theme` plus ``[variables]``. A file with a mistake is skipped and
told in one line that names the file and the key; it never stops the app.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DARK = "cellmap-dark"
LIGHT = "cellmap-light"
COLOUR_KEYS = (
    *("primary", "secondary", "warning", "error", "success", "accent"),
    *("foreground", "background", "surface", "panel", "boost"),
)
FLAG_KEYS = ("dark", "ansi")
SHARE_KEYS = ("luminosity_spread", "text_alpha")
OWN_VARIABLES = (
    *(f"class-{index}" for index in range(1, 9)),
    *(f"heat-{index}" for index in range(9)),
    "curve-dim",
    "unknown",
)
"""Variables that our screens use beside Textual's own."""
ANSI_VARIABLES = ("ansi-background", "ansi-foreground")
"""Variables of Textual that only a theme of the terminal's own colours sets."""

_AUTO = re.compile(r"auto( \d{1,3}%)?")
_STYLE_WORDS = {"none", "bold", "italic", "underline", "reverse", "strike", "dim", "b", "i", "u", "not"}


class ThemeError(ValueError):
    """What is wrong with a theme file, in one line."""


@dataclass(frozen=True, slots=True)
class Themes:
    """The themes that were found."""

    themes: tuple[Theme, ...]
    """Usable themes; of two with one name the later file counts."""
    problems: tuple[str, ...]
    """A line for each file that was skipped, naming file and key."""


def shipped_folder() -> Path:
    """Return the folder of our themes: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "themes"
    return inside if inside.is_dir() else package.parent / "themes"


def load_themes(folders: Iterable[Path]) -> Themes:
    """Read all theme files of some folders; folders that do not exist are fine."""
    themes: dict[str, Theme] = {}
    problems: list[str] = []
    for path in (path for folder in folders for path in _theme_files(folder, problems)):
        try:
            theme = read_theme(path)
        except ThemeError as error:
            problems.append(printable(f"theme {path.name}: {error}"))
        else:
            themes[theme.name] = theme
    return Themes(tuple(themes.values()), tuple(problems))


def read_theme(path: Path) -> Theme:
    """Read one theme file.

    Raises
    ------
    ThemeError
        If the file cannot be read, or a key is unknown or has a wrong value; names the key.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ThemeError(f"{error}") from None
    return theme_from(values)


def theme_from(values: Mapping[str, object]) -> Theme:
    """Build a theme from the values of a file; raises as `read_theme`."""
    known = ("name", *COLOUR_KEYS, *FLAG_KEYS, *SHARE_KEYS, "variables")
    for key in values:
        if key not in known:
            raise ThemeError(f"unknown key {key!r}{_hint(key, known)}")
    for key in ("name", "primary"):
        if not isinstance(values.get(key), str) or not values[key]:
            raise ThemeError(f"key {key!r} is missing or is not text")
    for key in COLOUR_KEYS:
        if key in values:
            _check_colour(key, values[key])
    for key in FLAG_KEYS:
        if not isinstance(values.get(key, True), bool):
            raise ThemeError(f"key {key!r} must be true or false, not {values[key]!r}")
    for key in SHARE_KEYS:
        share = values.get(key, 0.5)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ThemeError(f"key {key!r} must be a number from 0 to 1, not {share!r}")
    theme = Theme(**{key: value for key, value in values.items() if key != "variables"})  # type: ignore[arg-type]
    theme.variables = _checked_variables(theme, values.get("variables", {}))
    return theme


def variable_defaults(themes: Mapping[str, Theme], chosen: str) -> dict[str, str]:
    """Return our variables for a theme that does not have them, by its ground: dark or light."""
    theme = themes.get(chosen) or BUILTIN_THEMES.get(chosen)
    ours = themes.get(DARK if theme is None or theme.dark else LIGHT)
    defaults = dict.fromkeys(OWN_VARIABLES, "#808080")
    if ours is not None:
        defaults |= {name: ours.variables[name] for name in OWN_VARIABLES if name in ours.variables}
    return defaults


def _theme_files(folder: Path, problems: list[str]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(printable(f"themes folder {folder}: {error.strerror}"))
        return []


def _checked_variables(theme: Theme, variables: object) -> dict[str, str]:
    if not isinstance(variables, dict):
        raise ThemeError("key 'variables' must be a table")
    textual_variables = theme.to_color_system().generate()
    known = (*OWN_VARIABLES, *ANSI_VARIABLES, *textual_variables)
    for name, value in variables.items():
        if name not in known:
            raise ThemeError(f"unknown key 'variables.{name}'{_hint(name, known)}")
        if name.endswith("-style") or "-style-" in name:
            _check_style(f"variables.{name}", value)
        elif not (name in textual_variables and isinstance(value, str) and _AUTO.fullmatch(value)):
            _check_colour(f"variables.{name}", value)
    return dict(variables)


def _check_colour(key: str, value: object) -> None:
    try:
        Color.parse(value if isinstance(value, str) else "")
    except ColorParseError:
        raise ThemeError(f"key {key!r} must be a colour such as '#56b4e9', not {value!r}") from None


def _check_style(key: str, value: object) -> None:
    if not isinstance(value, str) or not value or not set(value.split()) <= _STYLE_WORDS:
        raise ThemeError(f"key {key!r} must be a text style such as 'bold underline', not {value!r}")


def _hint(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""
