"""The doctor, on machines that the tests make up."""

from __future__ import annotations

import datetime
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest

from cellmap_tui.services.doctor import EXAMINATIONS, DoctorRequest, doctor
from cellmap_tui.services.doctor_model import Examination, ok, without_secrets
from cellmap_tui.services.doctor_probes import Answer, Memory, Probes, Ran
from cellmap_tui.services.models import to_builtins, to_json
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.settings import load_settings

GIGA = 10**9
NOW = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)
SMI_LIST = "NVIDIA H100 80GB HBM3, 81559\n"
SMI_12_4 = "| NVIDIA-SMI 550.54  Driver Version: 550.54.14   CUDA Version: 12.4 |"
TORCH_CUDA = "__version__ = '2.6.0+cu124'\ncuda: Optional[str] = '12.4'\nhip: Optional[str] = None\n"
TORCH_CPU = "__version__ = '2.6.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n"
TMUX_SAYS = {"#{version}": "3.4", "#{client_termfeatures}": "RGB,clipboard,title", "allow-passthrough": "off"}


class Machine(Probes):
    """A healthy Linux machine without a GPU; keywords change it."""

    python = (3, 12, 1)
    python_path = "/env/bin/python"
    system = "Linux"
    machine = "x86_64"
    user = "ana"
    environ: dict[str, str] = {}  # noqa: RUF012 - replaced, never changed

    def __init__(self, **changes):
        self.programs = {}
        self.files = {}
        self.versions = {}
        self.torch_file = TORCH_CPU
        self.missing = set()
        self.environ = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.memory_found = Memory(64 * GIGA, 60 * GIGA, 0)
        self.limits = {"address": None, "files": (4096, 65536), "cpus": (16, 16)}
        self.size = (160, 50)
        self.locale = "UTF-8"
        self.space = 900 * GIGA
        self.fstype = "ext4"
        self.write_error = self.lock_error = ""
        self.answer = Answer(200, NOW.strftime("%a, %d %b %Y %H:%M:%S GMT"), 0.21)
        self.asked = []
        self.now = NOW.timestamp()
        self.__dict__.update(changes)

    def now_s(self):
        return self.now

    def read(self, path):
        return self.files.get(path)

    def names_in(self, folder):
        return [path.rpartition("/")[2] for path in self.files if path.rpartition("/")[0] == folder]

    def exists(self, path):
        return path in self.files or super().exists(path)

    def run(self, words, timeout_s):
        answer = self.programs.get(tuple(words), self.programs.get(words[0]))
        return answer(words) if callable(answer) else answer

    def version(self, distribution):
        return None if distribution in self.missing else self.versions.get(distribution, "1.2.3")

    def package_file(self, distribution, file):
        return self.torch_file

    def memory(self):
        return self.memory_found

    def address_space_bytes(self):
        return self.limits["address"]

    def open_files(self):
        return self.limits["files"]

    def cpus(self):
        return self.limits["cpus"]

    def free_bytes(self, folder):
        return self.space

    def file_system(self, folder):
        return self.fstype

    def can_write(self, folder):
        return self.write_error

    def can_lock(self, folder):
        return self.lock_error

    def ask(self, url, timeout_s):
        self.asked.append((url, timeout_s))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def terminal_size(self):
        return self.size

    def encoding(self):
        return self.locale


@pytest.fixture
def request_here(tmp_path: Path):
    return DoctorRequest(tmp_path / "data", tmp_path / "runs", "janelia-cosem-datasets")


def look(request, machine):
    report = doctor(request, SilentReporter(), machine)
    return {check.name: check for check in report.checks}


def gpu_machine(**changes):
    answer = Ran(0, "True\nNVIDIA H100 80GB HBM3\n", "")
    programs = {
        "nvidia-smi": lambda words: Ran(0, SMI_LIST if len(words) > 1 else SMI_12_4, ""),
        "/env/bin/python": answer,
        **changes.pop("programs", {}),
    }
    return Machine(**{"torch_file": TORCH_CUDA, "programs": programs, **changes})


def test_a_healthy_machine_has_no_problem(request_here):
    checks = look(request_here, Machine())
    assert {check.status for name, check in checks.items() if name != "GPU"} == {"ok"}
    assert list(checks) == [
        "Python", "cellmap-tui", "torch", "GPU", "CUDA", "memory", "processors", "open files", "data root",
        "runs root", "bucket", "clock", "terminal", "slices", "detached jobs",
    ]  # fmt: skip


def test_the_report_is_json(request_here):
    report = doctor(request_here, SilentReporter(), Machine())
    assert to_builtins(report)["checks"][0].keys() == {"name", "status", "value", "remedy"}
    assert to_json(report)


def test_the_real_machine_is_looked_at_without_importing_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from cellmap_tui.services.doctor import DoctorRequest, doctor\n"
        "from cellmap_tui.services.report import SilentReporter\n"
        "root = Path(sys.argv[1])\n"
        "request = DoctorRequest(root, root, 'bucket', endpoint_url='http://127.0.0.1:9')\n"
        "report = doctor(request, SilentReporter())\n"
        "assert not {'torch', 'numpy', 'zarr', 'textual'} & set(sys.modules)\n"
        "print({check.name: check.status for check in report.checks}['Python'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2], timeout=600,
    )  # fmt: skip
    assert done.stdout == "ok\n", done.stderr


def test_the_settings_name_the_places(tmp_path):
    settings = load_settings(flags={"data_root": tmp_path, "endpoint_url": "http://127.0.0.1:9000"}, environ={})
    request = DoctorRequest.of(settings)
    assert (request.data_root, request.endpoint_url) == (tmp_path, "http://127.0.0.1:9000")


def test_a_check_that_fails_becomes_a_row_and_hides_no_other(request_here):
    class Broken(Machine):
        def memory(self):
            raise RuntimeError("no /proc here")

        def cpus(self):
            raise OSError("no sysfs")

    checks = look(request_here, Broken())
    assert checks["memory"].status == checks["processors"].status == "problem"
    assert "no /proc here" in checks["memory"].value
    assert checks["clock"].status == "ok"


def test_a_check_that_hangs_becomes_a_row(request_here):
    let_go = threading.Event()

    def hang(_request, _probes):
        let_go.wait()
        return [ok("disk", "never")]

    examinations = (Examination("disk", hang, limit_s=0.05), replace(EXAMINATIONS[2], limit_s=60))
    report = doctor(request_here, SilentReporter(), Machine(), examinations)
    let_go.set()
    assert [check.name for check in report.checks] == ["disk", "memory"]
    assert "no answer within" in report.checks[0].value


def test_an_old_python_and_missing_packages_are_problems(request_here):
    machine = Machine(missing={"zarr", "h5py"})
    machine.python = (3, 10, 2)
    checks = look(request_here, machine)
    assert checks["Python"].status == "problem"
    assert checks["cellmap-tui"].remedy == "pip install zarr h5py"


# --- torch, driver, CUDA


def test_torch_is_not_needed_for_browsing(request_here):
    checks = look(request_here, Machine(missing={"torch"}))
    assert checks["torch"].status == "note"
    assert checks["CUDA"].status == "ok"


def test_a_gpu_that_torch_sees_is_fine(request_here):
    checks = look(request_here, gpu_machine())
    assert checks["GPU"].value == "NVIDIA H100 80GB HBM3 85.5 G, driver 550.54.14, CUDA up to 12.4"
    assert checks["torch"].value == "2.6.0+cu124, built for CUDA 12.4"
    assert checks["CUDA"].value == "torch sees 1: NVIDIA H100 80GB HBM3"


def test_a_cpu_build_beside_a_gpu_is_a_problem(request_here):
    check = look(request_here, gpu_machine(torch_file=TORCH_CPU))["CUDA"]
    assert check.status == "problem"
    assert "CPU build" in check.value
    assert "up to 12.4" in check.remedy


def test_a_torch_that_is_too_new_for_the_driver_is_explained(request_here):
    check = look(request_here, gpu_machine(torch_file=TORCH_CUDA.replace("12.4", "13.0")))["CUDA"]
    assert check.status == "problem"
    assert check.value == "torch needs CUDA 13.0, driver 550.54.14 runs up to 12.4"


def test_a_newer_minor_version_of_cuda_is_no_problem(request_here):
    assert look(request_here, gpu_machine(torch_file=TORCH_CUDA.replace("12.4", "12.8")))["CUDA"].status == "ok"


@pytest.mark.parametrize(
    ("ran", "words"),
    [
        (Ran(0, "False\n", ""), "sees no GPU"),
        (Ran(1, "", "Traceback\nImportError: libcudart.so.12: cannot open"), "libcudart.so.12"),
        (Ran(None, "", ""), "did not answer"),
    ],
)
def test_what_torch_itself_says_of_the_gpu_counts(request_here, ran, words):
    check = look(request_here, gpu_machine(programs={"/env/bin/python": ran}))["CUDA"]
    assert check.status in {"problem", "note"}
    assert words in check.value


def test_hidden_gpus_are_pointed_out(request_here):
    machine = gpu_machine()
    machine.environ = {**machine.environ, "CUDA_VISIBLE_DEVICES": ""}
    assert "CUDA_VISIBLE_DEVICES" in look(request_here, machine)["CUDA"].value


def test_a_driver_that_does_not_answer_is_a_problem(request_here):
    complaint = Ran(9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nmore", "")
    check = look(request_here, gpu_machine(programs={"nvidia-smi": complaint}))["GPU"]
    assert check.status == "problem"
    assert "couldn't communicate" in check.value


def test_a_driver_without_its_tool_is_found_in_proc(request_here):
    proc = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19"
    check = look(request_here, Machine(files={"/proc/driver/nvidia/version": proc}))["GPU"]
    assert "535.104.05" in check.value
    assert check.status == "note"


def test_torch_is_asked_where_nothing_else_lists_the_devices(request_here):
    proc = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19"
    machine = gpu_machine(files={"/proc/driver/nvidia/version": proc}, programs={"nvidia-smi": None})
    assert look(request_here, machine)["CUDA"].value == "torch sees 1: NVIDIA H100 80GB HBM3"


def test_equal_gpus_are_counted(request_here):
    programs = {"nvidia-smi": lambda words: Ran(0, SMI_LIST * 8 if len(words) > 1 else SMI_12_4, "")}
    assert look(request_here, gpu_machine(programs=programs))["GPU"].value.startswith(
        "8 × NVIDIA H100 80GB HBM3 85.5 G"
    )


# --- memory, processors, files


@pytest.mark.parametrize(
    "files",
    [
        {"/proc/self/cgroup": "0::/user/job\n", "/sys/fs/cgroup/user/memory.max": "4000000000\n"},
        {"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "4000000000\n"},
        {
            "/proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/slurm/job_7\n0::/\n",
            "/sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": "4000000000",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
    ],
)
def test_a_container_s_memory_limit_counts(request_here, files):
    check = look(request_here, Machine(files=files))["memory"]
    assert check.status == "note"
    assert "container limit 4.0 G" in check.value


def test_no_limit_is_not_shown_as_one(request_here):
    files = {
        "/proc/self/cgroup": "0::/\n",
        "/sys/fs/cgroup/memory.max": "max\n",
        "/sys/fs/cgroup/cpu.max": "max 100000",
    }
    checks = look(request_here, Machine(files=files))
    assert checks["memory"].value == "64.0 G, 60.0 G available, no swap"
    assert checks["processors"].value == "16"


def test_an_address_space_limit_counts(request_here):
    machine = Machine(limits={"address": 2 * GIGA, "files": (4096, None), "cpus": (16, 16)})
    assert "address space limit 2.0 G" in look(request_here, machine)["memory"].value


@pytest.mark.parametrize(
    ("files", "cpus", "words"),
    [
        ({}, (64, 8), "64, 8 allowed by affinity"),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "250000 100000"}, (64, 64), "container limit 2.5"),
        (
            {
                "/proc/self/cgroup": "3:cpu,cpuacct:/\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            (64, 64),
            "container limit 4",
        ),
    ],
)
def test_processors_that_may_not_be_used_do_not_count(request_here, files, cpus, words):
    machine = Machine(files=files, limits={"address": None, "files": (4096, None), "cpus": cpus})
    check = look(request_here, machine)["processors"]
    assert check.status == "note"
    assert words in check.value


def test_a_low_limit_of_open_files_is_worth_a_word(request_here):
    machine = Machine(limits={"address": None, "files": (256, 65536), "cpus": (16, 16)})
    assert look(request_here, machine)["open files"].remedy.endswith("ulimit -n 65536")


# --- places


def test_a_root_that_is_a_file_is_a_problem(request_here):
    request_here.data_root.touch()
    check = look(request_here, Machine())["data root"]
    assert check.status == "problem"
    assert "--data-root" in check.remedy


def test_a_root_that_cannot_be_written_is_a_problem(request_here):
    check = look(request_here, Machine(write_error="Permission denied"))["runs root"]
    assert check.status == "problem"
    assert "Permission denied" in check.value


def test_a_runs_root_without_locks_is_a_problem(request_here):
    checks = look(request_here, Machine(lock_error="No locks available"))
    assert checks["runs root"].status == "problem"
    assert checks["data root"].status == "ok"


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"space": GIGA}, "note", "1.0 G free"),
        ({"fstype": "tmpfs"}, "note", "in memory (tmpfs)"),
        ({"fstype": "nfs4"}, "ok", "on a network (nfs4)"),
    ],
)
def test_what_kind_of_disk_it_is_is_told(request_here, changes, status, words):
    check = look(request_here, Machine(**changes))["data root"]
    assert check.status == status
    assert words in check.value


def test_the_public_bucket_is_asked_for_one_name(request_here):
    machine = Machine()
    assert "answers in 210 ms" in look(request_here, machine)["bucket"].value
    assert machine.asked == [("https://janelia-cosem-datasets.s3.amazonaws.com/?list-type=2&max-keys=1", 3.0)]


def test_being_offline_is_a_note_but_a_missing_endpoint_a_problem(request_here):
    machine = Machine(answer=URLError("Name or service not known"))
    check = look(request_here, machine)["bucket"]
    assert check.status == "note"
    assert "Name or service not known" in check.value
    check = look(replace(request_here, endpoint_url="http://127.0.0.1:9000"), machine)["bucket"]
    assert check.status == "problem"
    assert machine.asked[1][0] == "http://127.0.0.1:9000/janelia-cosem-datasets?list-type=2&max-keys=1"


@pytest.mark.parametrize(
    ("status", "words"), [(403, "name and password"), (404, "no such bucket"), (503, "HTTP 503")]
)
def test_an_answer_that_refuses_is_a_problem(request_here, status, words):
    check = look(request_here, Machine(answer=Answer(status, "", 0.1)))["bucket"]
    assert check.status == "problem"
    assert words in check.value


def test_passwords_in_addresses_are_never_shown(request_here):
    machine = Machine(answer=OSError("cannot reach http://ana:geheim@proxy:3128"))
    machine.environ = {
        "HTTPS_PROXY": "http://ana:geheim@proxy:3128",
        "AWS_SECRET_ACCESS_KEY": "geheim",
        "TERM": "xterm",
    }
    request = replace(request_here, endpoint_url="https://ana:geheim@s3.example.org/x?key=geheim")
    report = doctor(request, SilentReporter(), machine)
    assert b"geheim" not in to_json(report)
    assert "geheim" not in machine.asked[0][0]
    assert without_secrets("https://ana:geheim@s3.example.org/x?key=geheim") == "https://s3.example.org/x"


def test_a_clock_that_differs_from_the_server_s_is_pointed_out(request_here):
    check = look(request_here, Machine(now=NOW.timestamp() + 900))["clock"]
    assert check.status == "note"
    assert "15 min 00 s ahead of the server" in check.value
    assert look(request_here, Machine(now=0.0))["clock"].status == "problem"


# --- session


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, "ok", "xterm-256color, 160×50, true colour, UTF-8"),
        ({"environ": {"TERM": "xterm-256color"}}, "note", "256 colours"),
        ({"environ": {"TERM": "linux", "SSH_TTY": "/dev/pts/1"}}, "ok", "16 colours, UTF-8, over SSH"),
        ({"environ": {"TERM": "xterm-256color", "NO_COLOR": "1"}}, "ok", "no colour (NO_COLOR)"),
        ({"environ": {"TERM": "dumb"}}, "problem", "dumb"),
        ({"environ": {}}, "problem", "TERM not set"),
        ({"locale": "ANSI_X3.4-1968"}, "problem", "ANSI_X3.4-1968"),
        ({"size": (60, 20)}, "note", "60×20"),
        ({"size": None}, "note", "none"),
    ],
)
def test_the_terminal_is_described(request_here, changes, status, words):
    check = look(request_here, Machine(**changes))["terminal"]
    assert check.status == status
    assert words in check.value


def tmux_machine(**says):
    answers = {**TMUX_SAYS, **says}
    environ = {"TERM": "tmux-256color", "COLORTERM": "truecolor", "TMUX": "/tmp/tmux-1/default,1,0"}
    return Machine(programs={"tmux": lambda words: Ran(0, answers[words[-1]] + "\n", "")}, environ=environ)


@pytest.mark.parametrize(
    ("images", "says", "status", "remedy"),
    [
        ("half", {}, "ok", ""),
        ("sixel", {}, "problem", "set -as terminal-features ',*:RGB:sixel'"),
        ("sixel", {"#{client_termfeatures}": "RGB,sixel"}, "ok", ""),
        ("kitty", {}, "problem", "set -g allow-passthrough on"),
        ("kitty", {"allow-passthrough": "on"}, "ok", ""),
        ("half", {"#{client_termfeatures}": "title"}, "note", "terminal-features"),
    ],
)
def test_what_tmux_needs_for_images_is_named(request_here, images, says, status, remedy):
    check = look(replace(request_here, images=images), tmux_machine(**says))["tmux"]
    assert check.status == status
    assert remedy in check.remedy


def test_a_tmux_that_does_not_answer_is_a_note(request_here):
    assert look(request_here, Machine(environ={"TERM": "xterm", "TMUX": "x"}))["tmux"].status == "note"


def test_images_need_their_package(request_here):
    check = look(replace(request_here, images="kitty"), Machine(missing={"textual-image"}))["slices"]
    assert check.status == "problem"
    assert "cellmap-tui[images]" in check.remedy


def test_an_old_textual_image_cannot_pass_kitty_graphics_through_tmux(request_here):
    machine = tmux_machine(**{"allow-passthrough": "on"})
    machine.versions = {"textual-image": "0.12.0"}
    check = look(replace(request_here, images="kitty"), machine)["tmux"]
    assert check.status == "problem"
    assert "0.13" in check.remedy


def test_kitty_graphics_need_true_colour(request_here):
    machine = Machine(environ={"TERM": "xterm-kitty"})
    assert "COLORTERM" in look(replace(request_here, images="kitty"), machine)["slices"].remedy
    assert look(replace(request_here, images="sixel"), machine)["slices"].status == "ok"


SESSION = {"/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n"}
KILLS = {"/etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n"}


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        (SESSION, False),
        ({**SESSION, **KILLS}, True),
        ({**KILLS, "/proc/self/cgroup": "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope"}, False),
        ({**SESSION, "/usr/lib/systemd/logind.conf.d/50.conf": "KillUserProcesses=yes"}, True),
        ({**SESSION, **KILLS, "/run/systemd/logind.conf.d/90.conf": "KillUserProcesses=no"}, False),
        ({**SESSION, "/etc/systemd/logind.conf": "KillUserProcesses=yes\nKillExcludeUsers=root ana"}, False),
        ({**SESSION, "/etc/systemd/logind.conf": "KillUserProcesses=yes\nKillOnlyUsers=guest"}, False),
    ],
)
def test_a_machine_that_kills_leftovers_is_told_with_the_remedy(request_here, files, ends):
    check = look(request_here, Machine(files=files))["detached jobs"]
    assert (check.status == "problem") == ends
    if ends:
        assert "KillUserProcesses=yes" in check.value
        assert "loginctl enable-linger" in check.remedy
        assert "tmux" in check.remedy
        assert "sbatch" in check.remedy


@pytest.mark.parametrize(("says", "ends"), [("b true\n", True), ("b false\n", False)])
def test_what_logind_says_counts_more_than_its_files(request_here, says, ends):
    files = SESSION if ends else {**SESSION, **KILLS}
    machine = Machine(files=files, programs={"busctl": Ran(0, says, "")})
    assert (look(request_here, machine)["detached jobs"].status == "problem") == ends


def test_a_lingering_user_only_needs_the_scope(request_here):
    files = {**SESSION, **KILLS, "/var/lib/systemd/linger/ana": ""}
    check = look(request_here, Machine(files=files))["detached jobs"]
    assert "enable-linger" not in check.remedy
    assert "systemd-run --user --scope tmux" in check.remedy


def test_inside_slurm_jobs_end_with_the_allocation(request_here):
    check = look(request_here, Machine(environ={"TERM": "xterm", "SLURM_JOB_ID": "71"}))["detached jobs"]
    assert "Slurm job 71" in check.value
    assert "sbatch" in check.remedy
