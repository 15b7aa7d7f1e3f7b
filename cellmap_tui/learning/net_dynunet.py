"""MONAI's DynUNet with the scales of deep supervision at their own size."""

from __future__ import annotations

import torch
from monai.networks.nets.dynunet import DynUNet


class ScaledDynUNet(DynUNet):
    """MONAI's blows each scale up to full resolution, which costs as many times the logits' memory."""

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Return logits, or while training with deep supervision those of each scale, finest first."""
        out: torch.Tensor = self.output_block(self.skip_layers(x))
        if not (self.training and self.deep_supervision):
            return out
        scales = [out, *self.heads]
        # Kept tensors would hold the graph, and could not be copied with the network.
        self.heads[:] = [torch.empty(0)] * len(self.heads)
        return scales
