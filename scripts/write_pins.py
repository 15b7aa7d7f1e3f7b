"""Write constraints.txt from what is installed in the running environment."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

HEADER = """\
# The exact versions that an installation from this checkout uses (pip install -c constraints.txt).
# The package itself declares ranges in pyproject.toml. Update: make pins
"""
OWN = {"cellmap-tui", "setuptools", "wheel"}


def main() -> None:
    """Replace constraints.txt; local version labels such as ``+cpu`` are left out."""
    pins = {d.name.lower(): f"{d.name}=={d.version.partition('+')[0]}" for d in distributions()}
    lines = [pins[name] for name in sorted(pins) if name not in OWN]
    path = Path(__file__).resolve().parent.parent / "constraints.txt"
    path.write_text(HEADER + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
