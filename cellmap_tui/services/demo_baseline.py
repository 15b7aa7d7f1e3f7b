"""The simplest prediction there is, so that the demo has something to score: dark voxels are objects.

Every scored volume of the test crops is predicted from the EM alone, by one threshold on the smoothed
greys. Whatever a network learns has to beat it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.report import Reporter

SMOOTHING_VOXELS = 1.5
DARK_SHARE = 0.25
"""Share of the voxels that are called dark."""


def write_baseline(path: Path, data_root: Path, crops: tuple[Crop, ...], report: Reporter) -> int:
    """Write a submission for these crops and return its number of volumes.

    Instance classes get a number for each connected part, semantic ones 0 and 1.
    """
    from cellmap_tui.challenge.classes import builtin_classes
    from cellmap_tui.volumes.write import write_array

    classes = builtin_classes()
    volumes = 0
    for crop in crops:
        report.checkpoint()
        dark = _dark_voxels(data_root, crop)
        parts = _numbered(dark)
        for name in crop.classes:
            data = parts if classes.get(name).scoring == "instance" else dark
            write_array(path / crop.name / name, data, crop.grid, overwrite=True)
            volumes += 1
    return volumes


def _dark_voxels(data_root: Path, crop: Crop) -> NDArray[np.uint8]:
    import numpy as np
    from scipy.ndimage import gaussian_filter

    from cellmap_tui.challenge.layout import crop_em_path
    from cellmap_tui.volumes.ngff import open_multiscale
    from cellmap_tui.volumes.read import read_region

    em = read_region(open_multiscale(data_root / crop_em_path(crop)), crop.grid, "em").array
    smooth = gaussian_filter(em.astype(np.float32), SMOOTHING_VOXELS)
    dark: NDArray[np.uint8] = (smooth < np.quantile(smooth, DARK_SHARE)).astype(np.uint8)
    return dark


def _numbered(mask: NDArray[np.uint8]) -> NDArray[Any]:
    import numpy as np
    from scipy.ndimage import label

    numbers: NDArray[Any] = label(mask, np.ones((3, 3, 3)))[0]
    return numbers.astype(np.uint16)
