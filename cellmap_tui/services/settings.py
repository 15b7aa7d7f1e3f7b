"""Where things lie and how the app behaves: one settings file, with environment and flags above it.

Order of authority: a flag, an environment variable ``CELLMAP_TUI_<NAME>``, ``settings.toml``, the
default. Nothing is read when this module is imported.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

APP_NAME = "cellmap-tui"
BUCKET = "janelia-cosem-datasets"
IMAGE_MODES = ("half", "kitty", "sixel")
NOTICE_KINDS = ("end", "failure", "best")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a user can set once for all commands and screens."""

    data_root: Path
    """Folder of the challenge data, laid out as in the bucket: ``<dataset>/<dataset>.zarr/…``."""
    runs_root: Path
    """Folder of the run directories."""
    config_dir: Path
    """Folder of the settings file and of the user's own themes."""
    state_dir: Path
    """Folder of what the tool remembers by itself, such as a refreshed catalog."""
    endpoint_url: str = ""
    """S3 endpoint, or ``file:///folder`` with a copy of its buckets; empty: the public one, or the AWS variables'."""
    bucket: str = BUCKET
    """Name of the bucket."""
    theme: str = "cellmap-dark"
    """Name of the colour theme."""
    images: str = "half"
    """How slices are drawn: half cells, or the terminal's Kitty or Sixel graphics."""
    webhook_url: str = ""
    """Address that jobs post notices to, as JSON; empty: none."""
    notify: str = "end,failure"
    """Which notices are sent: ``end``, ``failure``, ``best``, joined by commas."""
    bell: str = "off"
    """Whether a ``--batch`` command rings the terminal's bell with each notice: ``on`` or ``off``."""
    keys: dict[str, str] = field(default_factory=dict)
    """Binding id to key(s), in place of the built-in keys."""
    origins: dict[str, str] = field(default_factory=dict)
    """Where each value came from: ``default``, ``file``, ``environment`` or ``flag``."""

    @property
    def settings_file(self) -> Path:
        """The file that `save_setting` writes."""
        return self.config_dir / "settings.toml"


SETTABLE = ("data_root", "runs_root", "endpoint_url", "bucket", "theme", "images", "webhook_url", "notify", "bell")
"""Settings with one value; ``[keys]`` is a table beside them."""


def load_settings(
    *,
    settings_file: Path | None = None,
    flags: Mapping[str, str | Path | None] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Gather the settings from flags, environment, file and defaults.

    Parameters
    ----------
    settings_file
        Read in place of the one under the platform's config directory; must exist.
    flags
        Values given on the command line, by setting name; None means not given.
    environ
        In place of `os.environ`.

    Raises
    ------
    DataError
        If the file is not TOML or has a wrong key or value.
    """
    environ = os.environ if environ is None else environ
    defaults = default_settings(environ)
    path = settings_file or _path_from(environ, "SETTINGS") or defaults.settings_file
    if settings_file is not None and not settings_file.is_file():
        raise RequestError(f"settings file {settings_file} does not exist")
    values: dict[str, object] = {}
    origins = dict.fromkeys(SETTABLE, "default")
    from_file = read_settings_file(path) if path.is_file() else {}
    layers = (
        ("file", {name: from_file[name] for name in SETTABLE if name in from_file}),
        ("environment", {n: environ[v] for n in SETTABLE if environ.get(v := _variable(n))}),
        ("flag", {n: v for n, v in (flags or {}).items() if v is not None and n in SETTABLE}),
    )
    for origin, layer in layers:
        for name, value in layer.items():
            values[name] = _checked(name, value, origin)
            origins[name] = origin
    keys = from_file.get("keys", {})
    config_dir = path.parent if path != defaults.settings_file else defaults.config_dir
    settings = replace(defaults, config_dir=config_dir, origins=origins, keys=keys, **values)  # type: ignore[arg-type]
    if not settings.endpoint_url:
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
        settings = replace(settings, endpoint_url=endpoint)
    return settings


def default_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings of a machine where nobody has set anything."""
    import platformdirs

    dirs = platformdirs.PlatformDirs(APP_NAME, appauthor=False)
    config_dir = _path_from(environ, "CONFIG_DIR") or dirs.user_config_path
    data_dir = _path_from(environ, "STATE_DIR") or dirs.user_data_path
    return Settings(
        data_root=data_dir / "data", runs_root=data_dir / "runs", config_dir=config_dir, state_dir=data_dir
    )


def read_settings_file(path: Path) -> dict[str, object]:
    """Read ``settings.toml``.

    Raises
    ------
    DataError
        If it cannot be read, is not TOML, or has a key that no setting has.
    """
    import tomllib

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"settings file {path}: {error}", "correct it or remove it") from None
    for name in values:
        if name not in {*SETTABLE, "keys"}:
            near = nearest(name, [*SETTABLE, "keys"])
            raise DataError(
                f"settings file {path}: unknown key {name!r}", f"did you mean {near!r}?" if near else "remove it"
            )
    keys = values.get("keys", {})
    if not isinstance(keys, dict) or not all(isinstance(v, str) for v in keys.values()):
        raise DataError(f"settings file {path}: [keys] must map binding ids to key names")
    return values


def save_setting(settings: Settings, name: str, value: str) -> Settings:
    """Write one setting into the settings file and return the settings with it.

    Raises
    ------
    RequestError
        If the name or the value is not valid.
    """
    import tomli_w

    checked = _checked(name, value, "settings")
    path = settings.settings_file
    values = read_settings_file(path) if path.is_file() else {}
    values[name] = str(checked)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        temporary.write_text(tomli_w.dumps(values), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"cannot write {path}: {error.strerror}", "choose another with --settings FILE") from None
    origins = {**settings.origins, name: "file"}
    return replace(settings, origins=origins, **{name: checked})  # type: ignore[arg-type]


def checked_setting(name: str, value: str) -> object:
    """Return a setting's value as `save_setting` would keep it; writes nothing.

    Raises
    ------
    RequestError
        If the name or the value is not valid.
    """
    return _checked(name, value, "settings")


def checked_data_root(settings: Settings) -> Path:
    """Return the data root after making sure that it can be one.

    Raises
    ------
    RequestError
        If it is a file or a folder that cannot be read. A folder that does not exist yet is fine.
    """
    return _checked_folder(settings.data_root, "data root", "--data-root")


def checked_runs_root(settings: Settings) -> Path:
    """Return the runs root after making sure that it can be one; raises as `checked_data_root`."""
    return _checked_folder(settings.runs_root, "runs root", "--runs-root")


def _checked_folder(path: Path, what: str, flag: str) -> Path:
    remedy = f"choose a folder with {flag} or in the settings"
    try:
        if path.exists() and not path.is_dir():
            raise RequestError(f"{what} {path} is a file", remedy)
        if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
            raise RequestError(f"{what} {path} cannot be read", f"change its permissions or {remedy}")
    except OSError as error:
        raise RequestError(f"{what} {path}: {error.strerror}", remedy) from None
    return path


def _checked(name: str, value: object, origin: str) -> object:
    if name not in SETTABLE:
        near = nearest(name, SETTABLE)
        raise RequestError(f"unknown setting {name!r}", f"did you mean {near!r}?" if near else "")
    if not isinstance(value, str | Path) or (isinstance(value, str) and "\0" in value):
        raise RequestError(f"setting {name} ({origin}) must be text, not {value!r}")
    text = str(value)
    if name in {"data_root", "runs_root"}:
        return Path(text).expanduser().absolute()
    if name == "images" and text not in IMAGE_MODES:
        raise RequestError(f"setting images ({origin}) is {text!r}", f"use one of {', '.join(IMAGE_MODES)}")
    if name == "endpoint_url" and text and not re.match(r"https?://[^/\s]+|file:///", text):
        raise RequestError(
            f"setting endpoint_url ({origin}) is {text!r}", "give an http:// or https:// address, or file:///folder"
        )
    if name in {"webhook_url", "notify", "bell"}:
        _check_notice_setting(name, text, origin)
    if name == "bucket" and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise RequestError(f"setting bucket ({origin}) is {text!r}", "give a bucket name without s3://")
    return text


def _check_notice_setting(name: str, text: str, origin: str) -> None:
    if name == "webhook_url" and text and not re.match(r"https?://[^/\s]+\S*$", text):
        raise RequestError(f"setting webhook_url ({origin}) is no address", "give an http:// or https:// address")
    if name == "notify" and (wrong := {word.strip() for word in text.split(",")} - {*NOTICE_KINDS, ""}):
        raise RequestError(
            f"setting notify ({origin}) has {min(wrong)!r}", f"join some of {', '.join(NOTICE_KINDS)} by commas"
        )
    if name == "bell" and text not in {"on", "off"}:
        raise RequestError(f"setting bell ({origin}) is {text!r}", "use on or off")


def _variable(name: str) -> str:
    return f"CELLMAP_TUI_{name.upper()}"


def _path_from(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(_variable(name))
    return Path(value).expanduser().absolute() if value else None
