#!/usr/bin/env bash
# Builds the wheel, installs it into an empty environment and uses it from an empty folder.
# Usage: scripts/check_wheel.sh VENV   (an environment that has the `build` and `hatchling` packages)
set -euo pipefail
checkout=$(cd "$(dirname "$0")/.." && pwd)
venv=$(cd "${1:-$checkout/.venv}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$venv/bin/python" -m build --wheel --no-isolation --outdir "$work/dist" "$checkout" >"$work/build.log" 2>&1 ||
  { cat "$work/build.log"; exit 1; }
"$venv/bin/python" -m venv "$work/env"
pip=("$work/env/bin/python" -m pip install --quiet --disable-pip-version-check -c "$checkout/constraints.txt")
"${pip[@]}" "$(grep '^torch==' "$checkout/constraints.txt")"
"${pip[@]}" "$work"/dist/*.whl

cd "$work"
export CELLMAP_TUI_STATE_DIR=$work/state CELLMAP_TUI_CONFIG_DIR=$work/config
run=$work/env/bin/cellmap-tui
"$run" --version
"$run" --help >/dev/null
"$run" crops --json "mito dataset:hela voxel<=4" | "$work/env/bin/python" -c 'import json, sys; assert len(json.load(sys.stdin)) > 10'
"$run" classes --json | "$work/env/bin/python" -c 'import json, sys; assert len(json.load(sys.stdin)) == 77'
"$work/env/bin/python" "$checkout/scripts/first_paint.py" cellmap-dark cellmap-light cellmap-contrast cellmap-terminal
echo "wheel: installs, lists, and opens the app with its themes"
