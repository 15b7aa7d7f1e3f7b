"""`doctor`: is this machine fit for the work, and if not, what to do about it.

Each examination runs in a thread of its own with a time limit: one that raises, or that hangs on a
dead network disk, becomes a row of the report and holds up nothing else.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from cellmap_tui.services import doctor_gpu, doctor_machine, doctor_places, doctor_session
from cellmap_tui.services.doctor_model import Check, DoctorReport, DoctorRequest, Examination, note, problem
from cellmap_tui.services.doctor_probes import Probes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.services.report import Reporter

__all__ = ["Check", "DoctorReport", "DoctorRequest", "doctor"]

EXAMINATIONS = (
    Examination("Python", doctor_machine.python),
    Examination("torch", doctor_gpu.gpu, limit_s=doctor_gpu.TORCH_TIMEOUT_S + 25),
    Examination("memory", doctor_machine.memory),
    Examination("processors", doctor_machine.processors),
    Examination("open files", doctor_machine.open_files),
    Examination("data root", doctor_places.data_root),
    Examination("runs root", doctor_places.runs_root),
    Examination("bucket", doctor_places.bucket, limit_s=8, late="note"),
    Examination("terminal", doctor_session.terminal),
    Examination("detached jobs", doctor_session.leftovers),
)
"""What is looked at, in the order of the report."""


def doctor(
    request: DoctorRequest,
    report: Reporter,
    probes: Probes | None = None,
    examinations: Sequence[Examination] = EXAMINATIONS,
) -> DoctorReport:
    """Look at everything that the work needs.

    Parameters
    ----------
    request
        The settings that name places.
    report
        Told how many examinations are done.
    probes
        What is asked; the real machine unless a test says otherwise.
    examinations
        What is looked at.

    Returns
    -------
    DoctorReport
        The checks in a fixed order. Nothing that goes wrong on the way is raised.
    """
    probes = probes or Probes()
    begun = time.monotonic()
    answers = [_begin(examination, request, probes) for examination in examinations]
    checks: list[Check] = []
    for done, (examination, answer) in enumerate(zip(examinations, answers, strict=True)):
        report.progress(done, len(examinations), "checks")
        report.checkpoint()
        checks += _wait(examination, answer, begun)
    report.progress(len(examinations), len(examinations), "checks")
    return DoctorReport(tuple(checks))


def _begin(examination: Examination, request: DoctorRequest, probes: Probes) -> queue.SimpleQueue[list[Check]]:
    answer: queue.SimpleQueue[list[Check]] = queue.SimpleQueue()

    def look() -> None:
        try:
            answer.put(examination.look(request, probes))
        except Exception as error:  # noqa: BLE001 - whatever a machine does, the other checks must be shown
            what = f"could not be looked at: {type(error).__name__}: {error}"
            answer.put([problem(examination.name, what, "please report this together with the other rows")])

    # A thread that hangs in the kernel cannot be ended; as a daemon it does not hold up our own end.
    threading.Thread(target=look, name=f"doctor {examination.name}", daemon=True).start()
    return answer


def _wait(examination: Examination, answer: queue.SimpleQueue[list[Check]], begun: float) -> list[Check]:
    left = examination.limit_s - (time.monotonic() - begun)
    try:
        return answer.get(timeout=max(0.0, left))
    except queue.Empty:
        limit = f"{examination.limit_s:.0f} s"
        remedy = "a network disk or server that hangs is the usual cause; try again, or look at it by hand"
        say = note if examination.late == "note" else problem
        return [say(examination.name, f"no answer within {limit}", remedy)]
