"""Compare an evaluator's result with a golden file.

    python check_golden.py golden/perfect-s1.json result.json result_extended.json

or from a test::

    from check_golden import differences
    assert not differences(golden, public, extended)
"""
# ruff: noqa: B905, C901, E731, PTH123, SIM115

import json
import math
import sys

REL = 1e-6
REL_VOXEL_SIZE = 1e-9
DROP = ("git_version",)


def _walk(want, got, path, out):
    if isinstance(want, dict):
        if not isinstance(got, dict):
            out.append(f"{path}: expected an object, got {got!r}")
            return
        for k in sorted(set(want) | set(got)):
            p = f"{path}/{k}"
            if k in DROP:
                continue
            if k not in got:
                out.append(f"{p}: missing")
            elif k not in want:
                out.append(f"{p}: not expected")
            else:
                _walk(want[k], got[k], p, out)
    elif isinstance(want, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(want) != len(got):
            out.append(f"{path}: {got!r}, expected {want!r}")
            return
        for i, (a, b) in enumerate(zip(want, got)):
            _walk(a, b, f"{path}[{i}]", out)
    elif isinstance(want, bool) or want is None or isinstance(want, str):
        if got is not want and got != want:
            out.append(f"{path}: {got!r}, expected {want!r}")
    else:
        exact = isinstance(want, int) and not path.split("/")[-1].startswith(
            ("overall", "voxel_size", "iou", "f1", "normalized", "combined", "hausdorff")
        )
        rel = REL_VOXEL_SIZE if "/voxel_size" in path else REL
        ok = (
            (not isinstance(got, bool))
            and isinstance(got, (int, float))
            and (got == want if exact else math.isclose(got, want, rel_tol=rel, abs_tol=1e-12))
        )
        if not ok:
            out.append(f"{path}: {got!r}, expected {want!r}")


def differences(golden, public=None, extended=None, direct=None):
    """List of differences; empty when the result agrees.

    For a golden file with an error there is nothing to compare: the evaluator
    has to raise, and must not return a result.
    """
    out = []
    if "error" in golden:
        if public is not None or extended is not None:
            out.append(f"a result was given, expected an error ({golden['error']})")
    else:
        if public is not None:
            _walk(golden["public"], public, "public", out)
        if extended is not None:
            _walk(golden["extended"], extended, "extended", out)
        if public is None and extended is None and direct is None:
            out.append("no result")
    for key, got in (direct or {}).items():
        want = golden["direct"][key]
        if "error" in want:
            out.append(f"direct/{key}: a result was given, expected an error")
        else:
            _walk(want, got, f"direct/{key}", out)
    return out


def main(argv):
    if len(argv) not in (2, 3):
        print(__doc__)
        return 2
    load = lambda p: json.load(open(p))
    d = differences(load(argv[0]), load(argv[1]), load(argv[2]) if len(argv) == 3 else None)
    print("\n".join(d) if d else "agrees")
    return 1 if d else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
