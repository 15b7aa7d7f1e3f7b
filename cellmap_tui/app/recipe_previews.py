"""Previews in a thread: only the newest wish counts, and a quick answer comes before the whole one."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.services.preview_session import PreviewSession
    from cellmap_tui.services.process_model import Preview, PreviewRequest


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An answer."""

    request: PreviewRequest
    """What was asked."""
    preview: Preview | None
    """The slice; None where it cannot be shown."""
    voxel_nm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Voxel size of the prediction."""
    em: NDArray[np.uint8] | None = None
    """The EM of the slice, on the same voxels; None where it is not on this disk."""
    error: CellmapError | None = None
    """Why it cannot be shown."""
    is_quick: bool = False
    """Whether a better one follows."""


class Previews:
    """What is wished and who works on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: PreviewRequest | None = None
        self._is_busy = False
        self._session: PreviewSession | None = None

    def wish(self, request: PreviewRequest) -> bool:
        """Take a wish; return whether somebody has to begin to work."""
        with self._lock:
            self._wanted = request
            begins, self._is_busy = not self._is_busy, True
            return begins

    def work(self, tell: Callable[[Shown], object], is_cancelled: Callable[[], bool]) -> None:
        """Answer wishes until there is none; called in a thread."""
        while (request := self._next(is_cancelled)) is not None:
            try:
                self._answer(request, tell, lambda: self._wanted is not None or is_cancelled())
            except Stopped:
                continue
            except CellmapError as error:
                tell(Shown(request, None, error=error))
            except BaseException:
                with self._lock:
                    self._is_busy = False
                raise

    def _answer(self, request: PreviewRequest, tell: Callable[[Shown], object], is_stale: Callable[[], bool]) -> None:
        from cellmap_tui.services.preview_session import QUICK_CONTEXT, PreviewSession

        session = self._session = self._session or PreviewSession()
        quick = replace(request, context=min(QUICK_CONTEXT, request.context))
        preview = session.show(quick, is_stale)
        is_enough = preview.is_whole or quick.context == request.context
        voxel_nm, em = session.voxel_nm_of(quick), session.em(quick)
        tell(Shown(request, preview, voxel_nm, em, is_quick=not is_enough))
        if not is_enough and not is_stale():
            tell(Shown(request, session.show(request, is_stale), voxel_nm, em))

    def _next(self, is_cancelled: Callable[[], bool]) -> PreviewRequest | None:
        with self._lock:
            wanted, self._wanted = self._wanted, None
            if wanted is None or is_cancelled():
                self._is_busy = False
                return None
            return wanted
