"""What the GPUs of a job do, as the NVIDIA driver tells it; every question may go unanswered."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.telemetry_model import GpuFacts, GpuReading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OK = "ok"
_THROTTLE = {
    0x2: "set clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "heat",
    0x40: "heat (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
}
"""Bits of NVML's clock event reasons; 0x1 is an idle GPU and no reason to worry."""
_SM, _MEMORY = 1, 2  # NVML_CLOCK_SM, NVML_CLOCK_MEM
_CORE_TEMPERATURE = 0


@dataclass(frozen=True, slots=True)
class _Device:
    """A GPU or a part of one."""

    facts: GpuFacts
    handle: Any
    """What memory and utilisation are asked of."""
    whole: Any
    """What power, temperature and clocks are asked of."""


class GpuProbe:
    """The GPUs that a job may use.

    Parameters
    ----------
    nvml
        The module ``pynvml``; tests bring their own. None: imports it.
    environ
        Environment variables; ``CUDA_VISIBLE_DEVICES`` says which GPUs are the job's.
    """

    def __init__(self, nvml: Any = None, environ: Mapping[str, str] | None = None) -> None:
        self.state, self.driver = OK, ""
        self._devices: tuple[_Device, ...] = ()
        self._nvml = nvml if nvml is not None else _imported()
        environ = os.environ if environ is None else environ
        if self._nvml is None:
            self.state = "nvidia-ml-py is not installed"
            return
        try:
            self._nvml.nvmlInit()
        except Exception as error:  # noqa: BLE001 - a driver's library may fail in ways of its own
            self.state = _in_words(error)
            return
        self.driver = _text(self._ask(self._nvml.nvmlSystemGetDriverVersion))
        self._devices = tuple(self._found(environ.get("CUDA_VISIBLE_DEVICES")))
        if not self._devices:
            self.state = "no GPU that the job may use"

    @property
    def facts(self) -> tuple[GpuFacts, ...]:
        """The GPUs and what does not change about them."""
        return tuple(device.facts for device in self._devices)

    def read(self) -> tuple[GpuReading, ...]:
        """Return what each GPU does now."""
        return tuple(self._reading(device) for device in self._devices)

    def close(self) -> None:
        """Let go of the driver."""
        if self.state == OK or self._devices:
            with contextlib.suppress(Exception):
                self._nvml.nvmlShutdown()

    def _reading(self, device: _Device) -> GpuReading:
        nvml = self._nvml
        memory, is_lost = self._answer(nvml.nvmlDeviceGetMemoryInfo, device.handle)
        if is_lost:
            return GpuReading(device.facts.index, is_lost=True)
        load = self._ask(nvml.nvmlDeviceGetUtilizationRates, device.handle)
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage, device.whole)
        return GpuReading(
            index=device.facts.index,
            utilisation=None if load is None else load.gpu / 100,
            memory_used_bytes=None if memory is None else int(memory.used),
            power_w=None if milliwatts is None else milliwatts / 1000,
            temperature_c=self._ask(nvml.nvmlDeviceGetTemperature, device.whole, _CORE_TEMPERATURE),
            sm_clock_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, device.whole, _SM),
            memory_clock_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, device.whole, _MEMORY),
            throttle=self._throttle(device.whole),
        )

    def _throttle(self, handle: Any) -> tuple[str, ...]:
        # The first name is that of drivers from 535 on.
        for name in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            reasons = self._ask(getattr(self._nvml, name, None), handle)
            if reasons is not None:
                return tuple(word for bit, word in _THROTTLE.items() if int(reasons) & bit)
        return ()

    def _found(self, visible: str | None) -> list[_Device]:
        count = self._ask(self._nvml.nvmlDeviceGetCount) or 0
        handles = [self._ask(self._nvml.nvmlDeviceGetHandleByIndex, number) for number in range(count)]
        wholes = [handle for handle in handles if handle is not None]
        chosen = wholes if visible is None else _chosen(visible, wholes, self._by_uuid)
        parts = [(part, handle) for handle in chosen for part in self._parts(handle)]
        return [self._device(number, part, handle) for number, (part, handle) in enumerate(parts)]

    def _by_uuid(self, uuid: str) -> Any:
        """Return the GPU or the part with this name, which may be cut short as CUDA allows."""
        exact = self._ask(self._nvml.nvmlDeviceGetHandleByUUID, uuid)
        if exact is not None:
            return exact
        count = self._ask(self._nvml.nvmlDeviceGetCount) or 0
        for number in range(count):
            handle = self._ask(self._nvml.nvmlDeviceGetHandleByIndex, number)
            if handle is not None and _text(self._ask(self._nvml.nvmlDeviceGetUUID, handle)).startswith(uuid):
                return handle
        return None

    def _parts(self, handle: Any) -> list[Any]:
        """Return the parts of a GPU that is split (MIG), else the GPU itself."""
        mode = self._ask(self._nvml.nvmlDeviceGetMigMode, handle)
        if not mode or not mode[0]:
            return [handle]
        most = self._ask(self._nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
        asked = [self._ask(self._nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number) for number in range(most)]
        return [part for part in asked if part is not None] or [handle]

    def _device(self, index: int, handle: Any, found: Any) -> _Device:
        nvml = self._nvml
        is_part = bool(self._ask(nvml.nvmlDeviceIsMigDeviceHandle, handle))
        whole = (self._ask(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle) or found) if is_part else handle
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        limit = self._ask(nvml.nvmlDeviceGetEnforcedPowerLimit, whole)
        facts = GpuFacts(
            index=index,
            name=_text(self._ask(nvml.nvmlDeviceGetName, handle)) or "GPU",
            uuid=_text(self._ask(nvml.nvmlDeviceGetUUID, handle)),
            kind="mig" if is_part else "gpu",
            memory_bytes=None if memory is None else int(memory.total),
            power_limit_w=None if limit is None else limit / 1000,
        )
        return _Device(facts, handle, whole)

    def _ask(self, question: Callable[..., Any] | None, *arguments: Any) -> Any:
        return None if question is None else self._answer(question, *arguments)[0]

    def _answer(self, question: Callable[..., Any], *arguments: Any) -> tuple[Any, bool]:
        """Return an answer, None if there is none, and whether the GPU is lost."""
        try:
            return question(*arguments), False
        except Exception as error:  # noqa: BLE001 - not supported, no permission, lost: all of them no answer
            return None, "GpuIsLost" in type(error).__name__


def _chosen(visible: str, handles: list[Any], by_uuid: Callable[[str], Any]) -> list[Any]:
    """Return the GPUs that ``CUDA_VISIBLE_DEVICES`` names; like CUDA, up to the first that does not exist."""
    chosen: list[Any] = []
    for word in (part.strip() for part in visible.split(",")):
        if word.isdecimal() and int(word) < len(handles):
            chosen.append(handles[int(word)])
        elif word.startswith(("GPU-", "MIG-")) and (handle := by_uuid(word)) is not None:
            chosen.append(handle)
        else:
            break
    return chosen


def _imported() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


def _in_words(error: Exception) -> str:
    kind = type(error).__name__
    if "LibraryNotFound" in kind or "DriverNotLoaded" in kind:
        return "no NVIDIA driver"
    return f"the NVIDIA driver does not answer: {error}"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
