"""Theme files: ours are whole, the user's are read, and a bad one is named and skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color

from cellmap_tui.app.themes import (
    DARK,
    LIGHT,
    OWN_VARIABLES,
    ThemeError,
    load_themes,
    shipped_folder,
    theme_from,
    variable_defaults,
)
from tests.app.builders import app_with, settings_at


def _write(text: str, name: str = "mine.toml", folder: Path = Path("config/themes")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", [DARK, LIGHT, "cellmap-contrast", "cellmap-terminal"])
def test_our_themes_set_every_variable_of_ours(name: str) -> None:
    themes = {theme.name: theme for theme in load_themes([shipped_folder()]).themes}

    assert set(OWN_VARIABLES) <= set(themes[name].variables)


def test_our_themes_have_no_problem() -> None:
    assert load_themes([shipped_folder()]).problems == ()


@pytest.mark.parametrize(("name", "least"), [(DARK, 4.5), (LIGHT, 3.0), ("cellmap-contrast", 7.0)])
def test_the_class_colours_stand_out_from_the_ground(name: str, least: float) -> None:
    theme = next(theme for theme in load_themes([shipped_folder()]).themes if theme.name == name)
    ground = Color.parse(theme.background or "")

    for index in range(1, 9):
        colour = Color.parse(theme.variables[f"class-{index}"])
        assert _contrast(colour, ground) >= least, f"class-{index}"


def test_the_theme_of_the_terminal_has_no_colours_but_the_terminals() -> None:
    theme = next(theme for theme in load_themes([shipped_folder()]).themes if theme.name == "cellmap-terminal")
    colours = [theme.primary, theme.background, theme.foreground, *theme.variables.values()]

    assert all(Color.parse(colour).ansi is not None for colour in colours if colour)


def _contrast(one: Color, other: Color) -> float:
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.normalized]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\nprimry = "#fff"', "unknown key 'primry'; did you mean 'primary'?"),
        ('name = "x"', "key 'primary' is missing or is not text"),
        ('primary = "#fff"', "key 'name' is missing or is not text"),
        ('name = "x"\nprimary = "blurple"', "key 'primary' must be a colour such as '#56b4e9', not 'blurple'"),
        ('name = "x"\nprimary = "#fff"\ndark = "yes"', "key 'dark' must be true or false, not 'yes'"),
        ('name = "x"\nprimary = "#fff"\ntext_alpha = 7', "key 'text_alpha' must be a number from 0 to 1, not 7"),
        (
            'name = "x"\nprimary = "#fff"\n[variables]\nclas-1 = "#fff"',
            "unknown key 'variables.clas-1'; did you mean",
        ),
        (
            'name = "x"\nprimary = "#fff"\n[variables]\nclass-1 = 3',
            "key 'variables.class-1' must be a colour such as '#56b4e9', not 3",
        ),
        (
            'name = "x"\nprimary = "#fff"\n[variables]\nlink-style = "wiggly"',
            "key 'variables.link-style' must be a text style such as 'bold underline', not 'wiggly'",
        ),
        ("name = ", "Invalid value"),
    ],
)
def test_a_bad_theme_is_skipped_and_file_and_key_are_named(text: str, said: str) -> None:
    found = load_themes([_write(text)])

    assert found.themes == ()
    assert len(found.problems) == 1
    assert found.problems[0].startswith("theme mine.toml: ")
    assert said in found.problems[0]


def test_a_folder_that_does_not_exist_has_no_themes() -> None:
    assert load_themes([Path("nowhere")]) == load_themes([])


def test_what_textual_accepts_for_its_own_variables_is_accepted() -> None:
    theme = theme_from(
        {"name": "x", "primary": "#fff", "variables": {"text": "auto 90%", "link-style": "bold not underline"}}
    )

    assert theme.variables["text"] == "auto 90%"


def test_a_theme_without_our_variables_gets_those_of_its_ground() -> None:
    themes = {theme.name: theme for theme in load_themes([shipped_folder()]).themes}

    assert variable_defaults(themes, "textual-light")["class-4"] == themes[LIGHT].variables["class-4"]
    assert variable_defaults(themes, "nord")["class-4"] == themes[DARK].variables["class-4"]
    assert set(variable_defaults({}, "nord")) == set(OWN_VARIABLES)


async def test_a_theme_of_the_user_can_be_used() -> None:
    _write('name = "mine"\nprimary = "#ff0000"')
    app = app_with(settings=settings_at(theme="mine"))

    async with app.run_test():
        assert app.theme == "mine"


async def test_a_wrong_key_in_a_theme_is_one_toast_and_the_app_goes_on() -> None:
    _write('name = "mine"\nprimry = "#ff0000"')
    app = app_with(settings=settings_at(theme="mine"))

    async with app.run_test(notifications=True) as pilot:
        await pilot.pause()
        told = [notification.message for notification in app._notifications]
        assert told == [
            "theme mine.toml: unknown key 'primry'; did you mean 'primary'?",
            "theme 'mine' is not known; using cellmap-dark",
        ]
        assert app.theme == DARK


def test_theme_errors_are_value_errors() -> None:
    with pytest.raises(ThemeError):
        theme_from({"name": "x", "primary": ""})


@pytest.mark.parametrize("page", ["docs/themes.md"])
def test_the_example_of_the_docs_is_a_theme(page: str) -> None:
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    block = [line.strip() for line in text.splitlines() if line.startswith("      ")]

    assert load_themes([_write("\n".join(block))]).problems == ()


def test_the_themes_are_found_inside_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "cellmap_tui" / "app" / "themes.py"
    (tmp_path / "cellmap_tui" / "themes").mkdir(parents=True)
    monkeypatch.setattr("cellmap_tui.app.themes.__file__", str(module))

    assert shipped_folder() == tmp_path.resolve() / "cellmap_tui" / "themes"
