from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.scoring import semantic
from cellmap_tui.scoring.semantic import score_semantic

DTYPES = ("?", "u1", "i1", "i2", "u4", "i8", "u8", "f2", "f4", "f8")


def _volume(rng, shape, dtype):
    values = rng.integers(0, 3, shape)
    if np.dtype(dtype).kind in "if":
        values = values - 1
    return values.astype(dtype)


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.sampled_from(DTYPES),
    st.sampled_from(DTYPES),
    st.booleans(),
    st.integers(1, 50),
)
def test_counts_follow_the_definition(seed, shape, first, second, is_masked, at_once):
    rng = np.random.default_rng(seed)
    truth, prediction = _volume(rng, shape, first), _volume(rng, shape, second)
    mask = rng.integers(0, 2, shape).astype(np.uint8) if is_masked else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(semantic, "BLOCK_VOXELS", at_once)
        patch.setattr(semantic, "CACHED_VOXELS", at_once)
        score = score_semantic(truth, prediction, mask=mask)
    here, there = ((side > 0) & (mask is None or mask > 0) for side in (truth, prediction))
    assert (score.tp, score.fp, score.fn) == ((here & there).sum(), (there & ~here).sum(), (here & ~there).sum())
    assert score.tp + score.fp + score.fn + score.tn == truth.size
    assert score.iou == pytest.approx((here & there).sum() / (here | there).sum() if (here | there).any() else 1.0)
    total = here.sum() + there.sum()
    assert score.dice == pytest.approx(2 * (here & there).sum() / total if total else 1.0)


def test_nan_is_background():
    prediction = np.array([[[np.nan, 0.2, 0.0]]])
    score = score_semantic(np.ones((1, 1, 3), np.uint8), prediction)
    assert (score.tp, score.fp, score.fn) == (1, 0, 2)
