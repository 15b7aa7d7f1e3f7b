from __future__ import annotations

import os
from pathlib import Path

import pytest

from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.services.settings import checked_data_root, load_settings, save_setting


@pytest.fixture
def environ(tmp_path):
    return {"CELLMAP_TUI_CONFIG_DIR": str(tmp_path / "config"), "CELLMAP_TUI_STATE_DIR": str(tmp_path / "state")}


def write_settings(environ, text):
    path = Path(environ["CELLMAP_TUI_CONFIG_DIR"]) / "settings.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_defaults_lie_under_the_state_folder(environ, tmp_path):
    settings = load_settings(environ=environ)
    assert settings.data_root == tmp_path / "state" / "data"
    assert settings.runs_root == tmp_path / "state" / "runs"
    assert settings.origins["data_root"] == "default"


def test_a_flag_beats_the_environment_which_beats_the_file(environ, tmp_path):
    write_settings(environ, 'data_root = "/from/file"\nruns_root = "/from/file"\ntheme = "cellmap-light"\n')
    environ |= {"CELLMAP_TUI_DATA_ROOT": "/from/environment", "CELLMAP_TUI_RUNS_ROOT": "/from/environment"}
    settings = load_settings(environ=environ, flags={"data_root": "/from/flag", "runs_root": None})
    assert (settings.data_root, settings.origins["data_root"]) == (Path("/from/flag"), "flag")
    assert (settings.runs_root, settings.origins["runs_root"]) == (Path("/from/environment"), "environment")
    assert (settings.theme, settings.origins["theme"]) == ("cellmap-light", "file")


def test_relative_roots_become_absolute(environ, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ=environ, flags={"data_root": "mine"}).data_root == tmp_path / "mine"


def test_a_saved_setting_is_read_back_and_keeps_the_others(environ):
    path = write_settings(environ, 'theme = "cellmap-light"\n[keys]\nquit = "ctrl+x"\n')
    save_setting(load_settings(environ=environ), "data_root", "/data/cellmap")
    settings = load_settings(environ=environ)
    assert settings.data_root == Path("/data/cellmap")
    assert settings.theme == "cellmap-light"
    assert settings.keys == {"quit": "ctrl+x"}
    assert [p.name for p in path.parent.iterdir()] == ["settings.toml"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("data_rot = '/x'", "did you mean 'data_root'"),
        ("data_root = ", "settings.toml"),
        ("data_root = 5", "must be text"),
        ("images = 'png'", "half, kitty, sixel"),
        ("endpoint_url = 'ftp://x'", "http://"),
        ("bucket = 's3://x'", "bucket name"),
        ("[keys]\nquit = 3", "[keys]"),
    ],
)
def test_a_wrong_settings_file_is_one_clear_error(environ, text, part):
    write_settings(environ, text)
    with pytest.raises((DataError, RequestError)) as caught:
        load_settings(environ=environ)
    assert part in str(caught.value)


def test_a_settings_file_that_was_named_must_exist(environ, tmp_path):
    with pytest.raises(RequestError, match="does not exist"):
        load_settings(environ=environ, settings_file=tmp_path / "none.toml")


def test_the_aws_endpoint_variable_is_honoured(environ):
    environ["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9000"
    assert load_settings(environ=environ).endpoint_url == "http://127.0.0.1:9000"
    environ["CELLMAP_TUI_ENDPOINT_URL"] = "http://127.0.0.1:9001"
    assert load_settings(environ=environ).endpoint_url == "http://127.0.0.1:9001"


def test_a_data_root_that_is_a_file_says_so_and_how_to_go_on(environ, tmp_path):
    path = tmp_path / "root"
    path.write_text("")
    with pytest.raises(RequestError, match=r"is a file; choose a folder with --data-root"):
        checked_data_root(load_settings(environ=environ, flags={"data_root": path}))


def test_a_settings_folder_that_cannot_be_written_is_refused_with_the_way_on(environ, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    environ["CELLMAP_TUI_CONFIG_DIR"] = str(blocked / "config")
    with pytest.raises(RefusedError, match="--settings FILE"):
        save_setting(load_settings(environ=environ), "theme", "cellmap-light")


def test_importing_the_settings_reads_no_environment(environ):
    assert load_settings(environ={**environ, "CELLMAP_TUI_THEME": "x"}).theme == "x"
    assert os.environ.get("CELLMAP_TUI_THEME") is None
