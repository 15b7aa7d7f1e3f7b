"""The session: the terminal, tmux and its images, and what the machine does to jobs at log-out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cellmap_tui.services.doctor_model import Check, DoctorRequest, note, ok, problem

if TYPE_CHECKING:
    from cellmap_tui.services.doctor_probes import Probes

SMALLEST = (80, 24)
_TMUX_TIMEOUT_S = 3.0
SIXEL_LINE = "set -as terminal-features ',*:RGB:sixel'"
KITTY_LINE = "set -g allow-passthrough on"
NO_TMUX = "kitty graphics pass tmux from textual-image 0.13 on, which needs Python 3.12; or set images to sixel"
LOGIND_FOLDERS = ("/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd")
"""Where logind's settings lie; later ones count more."""
SCHEDULERS = {"SLURM_JOB_ID": "Slurm", "PBS_JOBID": "PBS", "LSB_JOBID": "LSF", "JOB_ID": "Grid Engine"}


def terminal(request: DoctorRequest, probes: Probes) -> list[Check]:
    """Look at the terminal, and at how it would draw slices."""
    checks = [_terminal(probes), _images(request, probes)]
    if probes.environ.get("TMUX"):
        checks.append(_tmux(request, probes))
    return checks


def _terminal(probes: Probes) -> Check:
    environ = probes.environ
    size = probes.terminal_size()
    if size is None:
        return note("terminal", "none: the output goes elsewhere", "the app needs one; commands take --batch")
    term = environ.get("TERM", "")
    parts = [term or "TERM not set", f"{size[0]}×{size[1]}", _colours(probes), probes.encoding()]
    parts += ["over SSH"] if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY") else []
    value = ", ".join(parts)
    if term in {"", "dumb", "unknown"}:
        return problem("terminal", value, "name the kind of terminal: export TERM=xterm-256color")
    if "utf" not in probes.encoding().lower():
        return problem("terminal", value, "slices and frames need UTF-8: export LANG=C.UTF-8")
    if size[0] < SMALLEST[0] or size[1] < SMALLEST[1]:
        return note("terminal", value, f"the screens are laid out for {SMALLEST[0]}×{SMALLEST[1]} and more")
    if _colours(probes) == "256 colours":
        return note("terminal", value, "if it can show true colour, say so: export COLORTERM=truecolor")
    return ok("terminal", value)


def _colours(probes: Probes) -> str:
    environ = probes.environ
    if environ.get("NO_COLOR"):
        return "no colour (NO_COLOR)"
    if environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"} or environ.get("TERM", "").endswith("-direct"):
        return "true colour"
    return "256 colours" if "256" in environ.get("TERM", "") else "16 colours"


def _images(request: DoctorRequest, probes: Probes) -> Check:
    if request.images == "half":
        return ok("slices", "half cells, which every terminal shows")
    version = probes.version("textual-image")
    if version is None:
        value = f"{request.images} graphics, but textual-image is not installed"
        return problem("slices", value, "pip install 'cellmap-tui[images]', or set images to half")
    if request.images == "kitty" and _colours(probes) != "true colour":
        value = f"kitty graphics, but the terminal seems to have {_colours(probes)}"
        return problem("slices", value, "if it has true colour, say so: export COLORTERM=truecolor")
    return ok("slices", f"{request.images} graphics through textual-image {version}, if this terminal shows them")


def _tmux(request: DoctorRequest, probes: Probes) -> Check:
    """Say what tmux lets through: it drops graphics and true colour unless it is told."""
    features = _tmux_says(probes, "display-message", "-p", "#{client_termfeatures}")
    version = _tmux_says(probes, "display-message", "-p", "#{version}")
    if version is None:
        return note("tmux", "does not answer", "is TMUX left over from another session? unset TMUX")
    has = set(re.split(r"[,:]", features or ""))
    passes = _tmux_says(probes, "show-options", "-Apqv", "allow-passthrough") in {"on", "all"}
    value = ", ".join(
        [
            version,
            "true colour" if "RGB" in has else "no true colour",
            "Sixel" if "sixel" in has else "no Sixel",
            "Kitty graphics pass" if passes else "no Kitty graphics",
        ]
    )
    if request.images == "sixel" and "sixel" not in has:
        return problem("tmux", value, f"in ~/.tmux.conf: {SIXEL_LINE}   (tmux 3.4 or newer, then attach again)")
    if request.images == "kitty" and not passes:
        return problem("tmux", value, f"in ~/.tmux.conf: {KITTY_LINE}   (tmux 3.3 or newer)")
    if request.images == "kitty" and not passes_tmux(probes.version("textual-image")):
        return problem("tmux", value, NO_TMUX)
    if "RGB" not in has:
        return note("tmux", value, f"in ~/.tmux.conf: {SIXEL_LINE}   (leave :sixel out where the terminal lacks it)")
    return ok("tmux", value)


def passes_tmux(textual_image: str | None) -> bool:
    """Return whether this version of textual-image wraps Kitty graphics as tmux wants them."""
    return textual_image is None or tuple(int(n) for n in re.findall(r"\d+", textual_image)[:2]) >= (0, 13)


def _tmux_says(probes: Probes, *words: str) -> str | None:
    ran = probes.run(["tmux", *words], _TMUX_TIMEOUT_S)
    return ran.out.strip() if ran is not None and ran.code == 0 else None


def leftovers(_request: DoctorRequest, probes: Probes) -> list[Check]:
    """Say whether a detached job outlives the log-out."""
    for variable, scheduler in SCHEDULERS.items():
        if probes.environ.get(variable):
            value = f"inside {scheduler} job {probes.environ[variable]}: detached jobs end with it"
            remedy = (
                "submit long work as a job of its own, with sbatch" if scheduler == "Slurm" else "submit long work"
            )
            return [note("detached jobs", value, remedy)]
    if not _kills_leftovers(probes):
        return [ok("detached jobs", "go on after the log-out")]
    if not _in_session(probes):
        return [ok("detached jobs", "go on: this shell is not part of a log-in session")]
    value = "end at log-out: logind has KillUserProcesses=yes"
    linger = "" if probes.exists(f"/var/lib/systemd/linger/{probes.user}") else "loginctl enable-linger, then "
    remedy = f"{linger}start the app inside: systemd-run --user --scope tmux; on a cluster submit with sbatch"
    return [problem("detached jobs", value, remedy)]


def _kills_leftovers(probes: Probes) -> bool:
    property_words = [
        "busctl", "--no-pager", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
        "org.freedesktop.login1.Manager",
    ]  # fmt: skip
    asked = probes.run([*property_words, "KillUserProcesses"], _TMUX_TIMEOUT_S)
    values = _logind_values(probes)
    if asked is not None and asked.code == 0:
        kills = asked.out.split()[-1:] == ["true"]
    else:
        kills = values.get("KillUserProcesses", "no").lower() in {"yes", "true", "on", "1"}
    only = values.get("KillOnlyUsers", "").split()
    excluded = values.get("KillExcludeUsers", "root").split()
    return kills and probes.user not in excluded and (not only or probes.user in only)


def _logind_values(probes: Probes) -> dict[str, str]:
    values: dict[str, str] = {}
    main = [f"{folder}/logind.conf" for folder in LOGIND_FOLDERS]
    added = {
        name: f"{folder}/logind.conf.d/{name}"
        for folder in LOGIND_FOLDERS
        for name in probes.names_in(f"{folder}/logind.conf.d")
        if name.endswith(".conf")
    }
    for path in [*main, *(added[name] for name in sorted(added))]:
        for line in (probes.read(path) or "").splitlines():
            found = re.match(r"\s*(Kill\w+)\s*=(.*)", line)
            if found:
                values[found[1]] = found[2].strip()
    return values


def _in_session(probes: Probes) -> bool:
    """Return whether this process belongs to a log-in session, which is what logind clears away."""
    return bool(re.search(r"/session-[^/]*\.scope", probes.read("/proc/self/cgroup") or ""))
