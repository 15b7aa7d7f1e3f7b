"""Make the project's virtual environment: the one thing that both README commands need first.

Standard library only. Installs the exact versions of constraints.txt, torch first: the CUDA build
where an NVIDIA driver answers, the CPU build elsewhere, and says which. Running it again costs
nothing until pyproject.toml, constraints.txt or the choice of torch changes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
CONSTRAINTS = CHECKOUT / "constraints.txt"
OLDEST = (3, 11)


def main() -> int:
    """Create or update the environment; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=CHECKOUT / ".venv", help="where (default: .venv)")
    parser.add_argument("--dev", action="store_true", help="with what the tests need")
    parser.add_argument(
        "--torch",
        choices=("auto", "cpu", "cuda"),
        default=os.environ.get("TORCH", "auto"),
        help="which build of torch (default: what the machine's driver shows; also TORCH=cpu|cuda)",
    )
    args = parser.parse_args()
    if sys.version_info < OLDEST:
        return rerun_with_newer_python()
    build, reason = torch_build(args.torch)
    stamp = args.venv / "cellmap-tui.stamp"
    wanted = fingerprint(build)
    installed = stamp.read_text().split() if stamp.is_file() else []
    if installed[:1] == [wanted] and (not args.dev or "dev" in installed):
        return 0
    try:
        install(args.venv, build=build, reason=reason, dev=args.dev)
    except subprocess.CalledProcessError as error:
        print(
            f"setup: {' '.join(map(str, error.cmd[:6]))} … failed (exit {error.returncode}); "
            "check the network and the disk, then run the same command again",
            file=sys.stderr,
        )
        return 1
    stamp.write_text(f"{wanted} {'dev' if args.dev else ''}\n")
    return 0


def rerun_with_newer_python() -> int:
    """Run this script with the newest suitable Python on the path."""
    for minor in range(15, OLDEST[1] - 1, -1):
        if found := shutil.which(f"python3.{minor}"):
            return subprocess.call([found, __file__, *sys.argv[1:]])
    print(
        f"setup: Python {sys.version.split()[0]} is too old; install Python 3.11 or newer "
        "and run: make PYTHON=python3.11 …",
        file=sys.stderr,
    )
    return 1


def torch_build(choice: str) -> tuple[str, str]:
    """Return ``cpu`` or ``cuda`` and the reason."""
    if choice != "auto":
        return choice, "as asked"
    if platform.system() != "Linux":
        return "cpu", f"{platform.system()} has one build"
    if not shutil.which("nvidia-smi"):
        return "cpu", "no NVIDIA driver on this machine"
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "cpu", "the NVIDIA driver did not answer within 20 s"
    if answer.returncode != 0 or not answer.stdout.strip():
        return "cpu", "the NVIDIA driver shows no GPU"
    return "cuda", f"the driver shows {answer.stdout.strip().splitlines()[0]}"


def fingerprint(build: str) -> str:
    """Return a hash of everything that decides what is installed."""
    parts = [build.encode(), platform.python_version().encode(), str(CHECKOUT).encode()]
    parts += [(CHECKOUT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def install(venv: Path, *, build: str, reason: str, dev: bool) -> None:
    """Create the environment and install torch, then the package (and what its tests need)."""
    python = venv / "bin" / "python"
    if not python.exists():
        print(f"setup: creating {venv}", flush=True)
        result = subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False)
        if result.returncode != 0:
            shutil.rmtree(venv, ignore_errors=True)
            print(
                "setup: this Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv",
                file=sys.stderr,
            )
            raise subprocess.CalledProcessError(result.returncode, [sys.executable, "-m", "venv"])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(CONSTRAINTS), "--upgrade", "pip"], check=True)
    install_torch(python, pip, build, reason)
    print("setup: installing the package and its libraries (about 205 MB)", flush=True)
    subprocess.run([*pip, "-c", str(CONSTRAINTS), "--editable", str(CHECKOUT)], check=True)
    if dev:
        print("setup: installing what the tests need (about 90 MB)", flush=True)
        subprocess.run([*pip, "-c", str(CONSTRAINTS), "--group", f"{CHECKOUT / 'pyproject.toml'}:dev"], check=True)


def install_torch(python: Path, pip: list[str], build: str, reason: str) -> None:
    """Install torch from the first source that has the wanted build.

    A wheel that pip's own configuration points to comes first; then uv, which knows where the
    builds for each CPU and driver are published; then whatever pip finds.
    """
    pin = pinned("torch")
    size = "about 190 MB" if build == "cpu" else "2 to 4 GB"
    print(f"setup: torch {pin.partition('==')[2]}, {build.upper()} build ({reason}), {size}", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
    if build == "cpu" and platform.system() == "Linux":
        at_hand = [*pip, "--no-index", "--no-deps", pin]
        if subprocess.run(at_hand, **quiet).returncode == 0:
            return
    if platform.system() == "Linux" and subprocess.run([*pip, "-c", str(CONSTRAINTS), "uv"], **quiet).returncode == 0:
        backend = "cpu" if build == "cpu" else "auto"
        uv = [str(python), "-m", "uv", "pip", "install", "--python", str(python), f"--torch-backend={backend}", pin]
        if subprocess.run(uv, check=False).returncode == 0:
            return
        print("setup: that build cannot be reached from here; taking what pip finds", flush=True)
    subprocess.run([*pip, "-c", str(CONSTRAINTS), pin], check=True)


def pinned(name: str) -> str:
    """Return the ``name==version`` line of constraints.txt."""
    match = re.search(rf"^{name}==\S+", CONSTRAINTS.read_text(), re.MULTILINE)
    if match is None:
        raise SystemExit(f"setup: {CONSTRAINTS} does not pin {name}")
    return match.group()


if __name__ == "__main__":
    raise SystemExit(main())
