"""Averaged weights."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn


class Average:
    """Exponential moving average of a network's weights and buffers (Polyak averaging), warmed up."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    def update(self, network: nn.Module) -> None:
        """Move a little towards ``network``."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            for mine, theirs in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
                if mine.is_floating_point():
                    mine.lerp_(theirs, 1 - decay)
                else:
                    mine.copy_(theirs)
