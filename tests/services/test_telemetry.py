"""Telemetry tells what the machine does, says what it cannot tell, and never disturbs the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from cellmap_tui.services.telemetry import Telemetry
from cellmap_tui.services.telemetry_gpu import GpuProbe
from cellmap_tui.services.telemetry_host import HostProbe, group_usage, memory_group
from cellmap_tui.services.telemetry_model import (
    NAME,
    GpuFacts,
    GpuReading,
    Machine,
    Reading,
    last_machine,
    last_reading,
    last_rows,
    parse_line,
    read_telemetry,
    to_line,
)


class NVMLError(Exception):
    pass


class NVMLError_LibraryNotFound(NVMLError):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


class NVMLError_GpuIsLost(NVMLError):
    pass


class FakeNvml:
    """A driver with GPUs, some of which are split, and answers that can be withheld."""

    def __init__(self, gpus=2, split=(), failing=(), lost=()):
        self.gpus, self.split, self.failing, self.lost = gpus, set(split), set(failing), set(lost)
        self.closed = False

    def __getattribute__(self, name):
        if name.startswith("nvml") and name in object.__getattribute__(self, "failing"):

            def fails(*_):
                raise NVMLError_NotSupported(name)

            return fails
        return object.__getattribute__(self, name)

    def nvmlInit(self): ...

    def nvmlShutdown(self):
        self.closed = True

    def nvmlSystemGetDriverVersion(self):
        return b"550.54.15"

    def nvmlDeviceGetCount(self):
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index):
        return ("gpu", index)

    def nvmlDeviceGetHandleByUUID(self, uuid):
        for index in range(self.gpus):
            for handle in [("gpu", index), *[("mig", index, part) for part in range(2)]]:
                if self.nvmlDeviceGetUUID(handle) == uuid:
                    return handle
        raise NVMLError("not found")

    def nvmlDeviceGetUUID(self, handle):
        return f"GPU-{handle[1]}-abcdef" if handle[0] == "gpu" else f"MIG-{handle[1]}-{handle[2]}"

    def nvmlDeviceGetName(self, handle):
        return "H100" if handle[0] == "gpu" else "H100 MIG 3g.40gb"

    def nvmlDeviceGetMigMode(self, handle):
        if not self.split:
            raise NVMLError_NotSupported
        return (int(handle[1] in self.split), 0)

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, number):
        if number > 1:
            raise NVMLError("not found")
        return ("mig", handle[1], number)

    def nvmlDeviceIsMigDeviceHandle(self, handle):
        return handle[0] == "mig"

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):
        return ("gpu", handle[1])

    def nvmlDeviceGetMemoryInfo(self, handle):
        if handle[1] in self.lost:
            raise NVMLError_GpuIsLost
        whole = handle[0] == "gpu"
        return SimpleNamespace(total=80 * 2**30 if whole else 40 * 2**30, used=(handle[1] + 1) * 2**30)

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle[0] == "mig":
            raise NVMLError_NotSupported
        return SimpleNamespace(gpu=75, memory=30)

    def nvmlDeviceGetPowerUsage(self, handle):
        return 350_500

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return 700_000

    def nvmlDeviceGetTemperature(self, handle, sensor):
        return 61

    def nvmlDeviceGetClockInfo(self, handle, kind):
        return {1: 1980, 2: 2619}[kind]

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        return 0x1 | 0x4 | 0x40


def test_each_gpu_is_read():
    probe = GpuProbe(FakeNvml(8), {})
    assert (probe.state, probe.driver) == ("ok", "550.54.15")
    assert probe.facts[3] == GpuFacts(3, "H100", "GPU-3-abcdef", "gpu", 80 * 2**30, 700.0)
    readings = probe.read()
    assert len(readings) == 8
    assert readings[3] == GpuReading(3, 0.75, 4 * 2**30, 350.5, 61, 1980, 2619, ("power cap", "heat (hardware)"))
    probe.close()


def test_the_parts_of_a_split_gpu_are_read_and_what_only_the_whole_tells_is_the_wholes():
    probe = GpuProbe(FakeNvml(2, split={1}), {})
    assert [(gpu.index, gpu.kind, gpu.uuid) for gpu in probe.facts] == [
        (0, "gpu", "GPU-0-abcdef"), (1, "mig", "MIG-1-0"), (2, "mig", "MIG-1-1"),
    ]  # fmt: skip
    part = probe.read()[1]
    assert part.utilisation is None
    assert (part.memory_used_bytes, part.power_w, part.temperature_c) == (2 * 2**30, 350.5, 61)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("1", ["GPU-1-abcdef"]),
        ("2,0", ["GPU-2-abcdef", "GPU-0-abcdef"]),
        ("GPU-1-abcdef", ["GPU-1-abcdef"]),
        ("GPU-1", ["GPU-1-abcdef"]),
        ("MIG-0-1", ["MIG-0-1"]),
        ("0,9,1", ["GPU-0-abcdef"]),
        ("", []),
        ("-1", []),
    ],
)
def test_only_the_jobs_gpus_are_read(visible, expected):
    probe = GpuProbe(FakeNvml(3), {"CUDA_VISIBLE_DEVICES": visible})
    assert [gpu.uuid for gpu in probe.facts] == expected
    if not expected:
        assert probe.state == "no GPU that the job may use"


def test_without_a_driver_there_is_a_reason_and_no_gpu():
    nvml = FakeNvml()

    def missing():
        raise NVMLError_LibraryNotFound

    nvml.nvmlInit = missing
    probe = GpuProbe(nvml, {})
    assert probe.state == "no NVIDIA driver"
    assert probe.facts == probe.read() == ()
    probe.close()
    assert not nvml.closed


def test_what_a_driver_does_not_tell_is_not_known():
    failing = [name for name in dir(FakeNvml) if name.startswith("nvmlDeviceGet") and "Handle" not in name]
    failing = [name for name in failing if name != "nvmlDeviceGetCount"]
    probe = GpuProbe(FakeNvml(1, failing=failing), {})
    assert probe.facts == (GpuFacts(0, "GPU", ""),)
    assert probe.read() == (GpuReading(0),)


def test_a_gpu_that_vanishes_is_said_to_be_lost():
    nvml = FakeNvml(2)
    probe = GpuProbe(nvml, {})
    nvml.lost = {1}
    first, second = probe.read()
    assert not first.is_lost
    assert second == GpuReading(1, is_lost=True)


SECOND = {
    "/proc/self/cgroup": "0::/slurm/job7/step0\n",
    "/sys/fs/cgroup/slurm/job7/step0/memory.max": "max\n",
    "/sys/fs/cgroup/slurm/job7/memory.max": "8000000000\n",
    "/sys/fs/cgroup/slurm/job7/memory.current": "6000000000\n",
    "/sys/fs/cgroup/slurm/job7/memory.peak": "7500000000\n",
    "/sys/fs/cgroup/slurm/job7/memory.stat": "anon 3000000000\ninactive_file 2500000000\n",
    "/sys/fs/cgroup/slurm/job7/memory.events": "low 0\noom 3\noom_kill 2\n",
    "/sys/fs/cgroup/slurm/memory.max": "64000000000\n",
}
FIRST = {
    "/proc/self/cgroup": "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
    "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "9223372036854771712\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "4000000000\n",
    "/sys/fs/cgroup/memory/memory.usage_in_bytes": "3000000000\n",
    "/sys/fs/cgroup/memory/memory.max_usage_in_bytes": "3900000000\n",
    "/sys/fs/cgroup/memory/memory.stat": "cache 5\ntotal_inactive_file 1000000000\n",
    "/sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
}


def test_the_tightest_memory_limit_around_the_job_is_found():
    group = memory_group(SECOND.get)
    assert group.limit_bytes == 8_000_000_000
    assert group_usage(group, SECOND.get) == {
        "container_used_bytes": 3_500_000_000, "container_peak_bytes": 7_500_000_000, "oom_kills": 2,
    }  # fmt: skip


def test_control_groups_of_the_first_version_are_read_too():
    group = memory_group(FIRST.get)
    assert group.limit_bytes == 4_000_000_000
    assert group_usage(group, FIRST.get) == {
        "container_used_bytes": 2_000_000_000, "container_peak_bytes": 3_900_000_000, "oom_kills": 1,
    }  # fmt: skip


def test_without_a_limit_there_is_no_container():
    assert memory_group({"/proc/self/cgroup": "0::/\n"}.get) is None
    assert memory_group({}.get) is None


def test_this_machine_is_read(tmp_path):
    probe = HostProbe(tmp_path)
    assert probe.facts()["memory_bytes"] > 0
    probe.read()
    held = bytearray(64 * 2**20)
    held[::4096] = b"x" * len(held[::4096])
    told = probe.read()
    assert told["process_bytes"] > 64 * 2**20
    assert 0 <= told["cpu"] <= 1
    assert told["process_cpu"] >= 0
    assert told["disk_free_bytes"] > 0
    assert told["threads"] >= 1


def test_rows_survive_being_written_and_read():
    machine = Machine(1.5, "node", 7, 8, 10, 0, None, "ok", "550", (GpuFacts(0, "H100", "GPU-0", "mig", 80, 700.0),))
    reading = Reading(2.25, cpu=0.5, gpus=(GpuReading(0, 0.5, 3, 1.5, 60, 1980, 2619, ("heat",)), GpuReading(1)))
    assert parse_line(to_line(machine)) == machine
    assert parse_line(to_line(reading)) == reading


def test_numbers_that_are_none_are_null():
    told = json.loads(to_line(Reading(1.0, cpu=float("nan"), process_cpu=float("inf"))))
    assert (told["cpu"], told["process_cpu"], told["v"], told["kind"], told["time"]) == (
        None,
        None,
        1,
        "reading",
        1.0,
    )


@pytest.mark.parametrize(
    "line",
    ["", "{", '{"v":1,"kind":"reading","time":1.0,"cpu":0.', "[]", "7", '{"v":1,"kind":"other","time":1}', "\x00\x00",
     '{"kind":"machine","time":3}', '{"kind":"reading"}'],
)  # fmt: skip
def test_lines_that_are_no_rows_are_passed_over(line):
    assert parse_line(line) is None


def test_rows_of_newer_versions_are_read_as_far_as_they_are_known():
    line = '{"v":1,"kind":"reading","time":3.0,"cpu":0.5,"colour":"red","gpus":[{"index":0,"fan":3},{"fan":1},7]}'
    assert parse_line(line) == Reading(3.0, cpu=0.5, gpus=(GpuReading(0),))


def test_the_last_reading_is_found_before_a_torn_end(tmp_path):
    path = tmp_path / NAME
    assert last_reading(path) is None
    assert last_machine(path) is None
    rows = [Machine(0.0, "node", 1), *[Reading(float(n)) for n in range(1, 2000)]]
    path.write_text("\n".join(map(to_line, rows)) + '\n{"v":1,"kind":"read')
    assert last_reading(path) == Reading(1999.0)
    assert last_machine(path) == rows[0]
    assert len(list(read_telemetry(path))) == 2000
    assert last_rows(path, 4096)[-1] == Reading(1999.0)


def wait_for(condition: threading.Event) -> None:
    assert condition.wait(300)


def test_readings_are_written_while_the_work_goes_on(tmp_path):
    several, heard = threading.Event(), []

    def hear(reading):
        heard.append(reading)
        if len(heard) == 3:
            several.set()

    gpu = GpuProbe(FakeNvml(1), {})
    with Telemetry(tmp_path, interval_s=0.01, gpu=gpu, on_reading=hear) as telemetry:
        wait_for(several)
    rows = list(read_telemetry(tmp_path / NAME))
    assert isinstance(rows[0], Machine)
    assert rows[0].gpu_state == "ok"
    assert rows[0].pid == os.getpid()
    assert [row.time_s for row in rows[1:]] == [pytest.approx(row.time_s, abs=1e-3) for row in heard]
    assert telemetry.latest == heard[-1]
    assert rows[-1].gpus[0].utilisation == 0.75
    assert telemetry.failure is None


def test_a_second_attempt_goes_on_after_a_torn_line(tmp_path):
    path = tmp_path / NAME
    path.write_text(to_line(Machine(0.0, "node", 1)) + '\n{"v":1,"kind":"rea')
    with Telemetry(tmp_path):
        pass
    kinds = [type(row) for row in read_telemetry(path)]
    assert kinds[:3] == [Machine, Machine, Reading]
    assert set(kinds[3:]) <= {Reading}  # a slow machine has time for another


def test_a_probe_that_fails_does_not_end_the_work_nor_the_telemetry(tmp_path):
    again = threading.Event()

    class Failing(HostProbe):
        calls = 0

        def read(self):
            Failing.calls += 1
            if Failing.calls == 1:
                raise ValueError("first one fails")
            again.set()
            return super().read()

    with Telemetry(tmp_path, interval_s=0.01, host=Failing(tmp_path)) as telemetry:
        wait_for(again)
    assert "first one fails" in telemetry.failure
    assert any(isinstance(row, Reading) for row in read_telemetry(tmp_path / NAME))


def test_a_folder_that_is_gone_does_not_end_the_work(tmp_path):
    with Telemetry(tmp_path / "gone") as telemetry:
        pass
    assert telemetry.failure


def test_a_killed_job_leaves_its_last_reading(tmp_path):
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom cellmap_tui.services.telemetry import Telemetry\n"
        "with Telemetry(Path(sys.argv[1]), interval_s=0.01, on_reading=lambda r: print('read', flush=True)):\n"
        "    time.sleep(600)\n"
    )
    job = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    with job:
        for _ in range(3):
            assert job.stdout.readline() == b"read\n"
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
    assert last_reading(tmp_path / NAME).memory_available_bytes > 0
    assert last_machine(tmp_path / NAME).pid == job.pid
