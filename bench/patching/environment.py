"""The peer's environment: torch first, so that nothing pulls another one in, then cellmap-data with zarr 2."""

import subprocess
import sys
import venv
from pathlib import Path

TORCH = "torch==2.13.0"
TORCHVISION = "torchvision<0.29"  # the one of that torch
PEER = ("cellmap-data==2026.3.20.1935", "zarr<3")


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "bin" / "python"


def make(folder: Path) -> Path:
    """Make the environment, 2 GB at most, and return its interpreter."""
    python = python_of(folder)
    if python.exists():
        return python
    print(f"making the peer's environment in {folder} …", file=sys.stderr)
    venv.create(folder, with_pip=True)
    constraints = folder / "constraints.txt"
    constraints.write_text(TORCH + "\n")
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, TORCH], check=True)
    subprocess.run([*pip, "--no-deps", TORCHVISION], check=True)
    subprocess.run([*pip, "-c", str(constraints), *PEER], check=True)
    return python
