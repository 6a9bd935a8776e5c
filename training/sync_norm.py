"""Batch norms whose statistics are those of all processes, on any backend: torch's own needs a GPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; every process's loss depends on it, so gradients are summed as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class _Synchronised:
    """Replaces the forward of a batch norm; parameters, buffers and their names stay."""

    def forward(self, x: Tensor) -> Tensor:
        norm: nn.modules.batchnorm._BatchNorm = self  # type: ignore[assignment]
        if not norm.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(x)  # type: ignore[misc]
        values = x.float()
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        count = torch.full((1,), values.numel() / values.shape[1], device=x.device)
        total = _SumOverProcesses.apply(torch.cat((values.sum(axes), count)))
        mean = total[:-1] / total[-1]
        centred = values - mean.view(shape)
        variance = _SumOverProcesses.apply(centred.square().sum(axes)) / total[-1]
        if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
            with torch.no_grad():
                norm.num_batches_tracked.add_(1)
                share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
                norm.running_mean.lerp_(mean.detach(), share)
                norm.running_var.lerp_(variance.detach() * total[-1] / (total[-1] - 1).clamp(min=1), share)
        result = centred * torch.rsqrt(variance + norm.eps).view(shape)
        if norm.affine:
            result = result * norm.weight.view(shape) + norm.bias.view(shape)
        return result.to(x.dtype)


class SyncBatchNorm1d(_Synchronised, nn.BatchNorm1d):
    """``BatchNorm1d`` over all processes."""


class SyncBatchNorm2d(_Synchronised, nn.BatchNorm2d):
    """``BatchNorm2d`` over all processes."""


def synchronise_norms(network: nn.Module) -> None:
    """Make every batch norm of ``network`` count the points of all processes, in place."""
    for module in network.modules():
        if type(module) is nn.BatchNorm1d:
            module.__class__ = SyncBatchNorm1d
        elif type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNorm2d
