"""PyTorch, the NVIDIA driver, and whether the two fit together.

torch is not imported here: that costs seconds and hundreds of megabytes. Its version and the CUDA
it was built for stand in a file; what it really sees is asked in a process of its own, and only
where there is a GPU to see.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.services.doctor_model import Check, DoctorRequest, note, ok, problem
from cellmap_tui.text import size

if TYPE_CHECKING:
    from cellmap_tui.services.doctor_probes import Probes

_SMI_TIMEOUT_S = 10.0
TORCH_TIMEOUT_S = 60.0  # a cold import of a CUDA build from a network disk takes tens of seconds
_GUIDE = "https://pytorch.org/get-started"

_ASK_TORCH = """
import torch
print(torch.cuda.is_available())
for i in range(torch.cuda.device_count()):
    print(torch.cuda.get_device_name(i))
"""


@dataclass(frozen=True, slots=True)
class Torch:
    """The installed torch."""

    version: str
    """Its version."""
    cuda: str | None
    """CUDA version that it was built for; None for a CPU build."""
    other: str | None
    """Another accelerator that it was built for, such as ``ROCm 6.2``."""


@dataclass(frozen=True, slots=True)
class Driver:
    """The NVIDIA driver and its devices."""

    version: str
    """Version of the driver; empty if not known."""
    cuda: str | None
    """Newest CUDA version that it runs; None if not known."""
    devices: tuple[str, ...] | None
    """Name and memory of each GPU; None if not known."""
    complaint: str = ""
    """What the driver's own tool complains about."""


def gpu(_request: DoctorRequest, probes: Probes) -> list[Check]:
    """Look at torch, the driver and how they fit."""
    torch = _torch(probes)
    driver = _driver(probes)
    return [_torch_check(torch), _driver_check(driver, probes), _fit(torch, driver, probes)]


def _torch(probes: Probes) -> Torch | None:
    version = probes.version("torch")
    if version is None:
        return None
    text = probes.package_file("torch", "torch/version.py") or ""
    rocm = _assigned(text, "hip")
    xpu = _assigned(text, "xpu")
    other = f"ROCm {rocm}" if rocm else f"XPU {xpu}" if xpu else None
    return Torch(_assigned(text, "__version__") or version, _assigned(text, "cuda"), other)


def _assigned(text: str, name: str) -> str | None:
    found = re.search(rf"^{name}\s*(?::[^=]+)?=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return found[1] if found else None


def _torch_check(torch: Torch | None) -> Check:
    if torch is None:
        return note("torch", "not installed", "browsing does without; for training: pip install torch")
    build = (
        f"built for CUDA {torch.cuda}" if torch.cuda else f"built for {torch.other}" if torch.other else "CPU build"
    )
    return ok("torch", f"{torch.version}, {build}")


def _driver(probes: Probes) -> Driver | None:
    listed = probes.run(
        ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"], _SMI_TIMEOUT_S
    )
    module = re.search(r"Kernel Module\D*([\d.]+)", probes.read("/proc/driver/nvidia/version") or "")
    if listed is None and module is None:
        return None
    version = module[1] if module else ""
    if listed is None:
        return Driver(version, None, None)
    if listed.code != 0:
        answer = "nvidia-smi does not answer" if listed.code is None else (listed.out + listed.error).strip()
        return Driver(version, None, (), answer.partition("\n")[0] or f"nvidia-smi ends with code {listed.code}")
    overview = probes.run(["nvidia-smi"], _SMI_TIMEOUT_S)
    text = overview.out if overview else ""
    # From 2025 on some drivers write "CUDA UMD Version".
    cuda = re.search(r"CUDA (?:UMD )?Version:\s*(\d+\.\d+)", text)
    shown = re.search(r"Driver Version:\s*([\d.]+)", text)
    devices = tuple(_device(line) for line in listed.out.splitlines() if line.strip())
    return Driver(shown[1] if shown else version, cuda[1] if cuda else None, devices)


def _device(line: str) -> str:
    name, _, megabytes = line.rpartition(",")
    memory = megabytes.strip()
    return f"{name.strip()} {size(int(memory) * 2**20)}" if memory.isdecimal() else name.strip() or line.strip()


def _driver_check(driver: Driver | None, probes: Probes) -> Check:
    if driver is None and probes.system == "Darwin":
        return ok("GPU", "none of NVIDIA; on Apple silicon torch uses the built-in one (device mps)")
    if driver is None:
        return note(
            "GPU", "no NVIDIA driver: training and prediction run on the CPU", "fine for browsing and the demo"
        )
    named = f"driver {driver.version or 'of unknown version'}"
    if driver.complaint:
        return problem(
            "GPU", f"{named}: {driver.complaint}", "restart the machine, or ask who looks after its driver"
        )
    if driver.devices is None:
        return note("GPU", f"{named}; nvidia-smi is not there to list devices", "install it with the driver's tools")
    if not driver.devices:
        return note("GPU", f"{named}, no device", "ask the scheduler for one, for example: srun --gres=gpu:1")
    devices = ", ".join(f"{n} × {name}" if n > 1 else name for name, n in Counter(driver.devices).items())
    return ok("GPU", f"{devices}, {named}" + (f", CUDA up to {driver.cuda}" if driver.cuda else ""))


def _fit(torch: Torch | None, driver: Driver | None, probes: Probes) -> Check:
    """Say whether torch can use the GPU, and if not, which of the two is to blame."""
    has_gpu = driver is not None and driver.devices != ()
    if torch is None or (not has_gpu and not torch.cuda):
        return ok("CUDA", "not used")
    if driver is None or not has_gpu:
        return note(
            "CUDA", f"torch is built for CUDA {torch.cuda}, but there is no GPU", "nothing to do: it runs on the CPU"
        )
    if torch.other:
        return problem("CUDA", f"torch is built for {torch.other}, the GPU is NVIDIA's", _install_for(driver))
    if torch.cuda is None:
        return problem("CUDA", "the GPU lies idle: torch is a CPU build", _install_for(driver))
    if driver.cuda is not None and _major(torch.cuda) > _major(driver.cuda):
        value = f"torch needs CUDA {torch.cuda}, driver {driver.version} runs up to {driver.cuda}"
        return problem("CUDA", value, f"update the driver, or: {_install_for(driver)}")
    return _seen_by_torch(driver, probes)


def _seen_by_torch(driver: Driver, probes: Probes) -> Check:
    visible = probes.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        return note("CUDA", "CUDA_VISIBLE_DEVICES hides every GPU", "unset CUDA_VISIBLE_DEVICES to use them")
    ran = probes.run([probes.python_path, "-c", _ASK_TORCH], TORCH_TIMEOUT_S)
    if ran is None or ran.code is None:
        return note(
            "CUDA", f"torch did not answer within {TORCH_TIMEOUT_S:.0f} s", "try again; a slow disk can be the cause"
        )
    lines = ran.out.split("\n")
    if ran.code != 0:
        reason = (ran.error.strip().splitlines() or ["no reason given"])[-1]
        return problem("CUDA", f"torch cannot be loaded: {reason}", "pip install --force-reinstall torch")
    if lines[0] != "True":
        return problem("CUDA", "torch sees no GPU, although the driver does", _install_for(driver))
    names = [line for line in lines[1:] if line.strip()]
    return ok("CUDA", f"torch sees {len(names)}: {', '.join(names)}")


def _install_for(driver: Driver) -> str:
    upto = f" up to {driver.cuda}" if driver.cuda else ""
    return f"install a torch that is built for CUDA{upto}; {_GUIDE} has the line"


def _major(version: str) -> int:
    return int(version.partition(".")[0])
