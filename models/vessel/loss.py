"""How far the network's maps are from their targets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid, smooth_l1_loss

from models.vessel.hulls import CORNER_FILL
from models.vessel.network import CHANNELS, STRIDE_PX
from models.vessel.targets import Targets

# Penalty-reduced focal loss, Zhou et al. 2019 (arXiv:1904.07850), equation 1.
ALPHA, BETA = 2.0, 4.0
WEIGHTS = {"heat": 1.0, "offset": 0.1, "log_length": 1.0, "log_length_var": 0.1, "log_width": 0.5, "box": 1.0}
WEIGHTS |= {"axis": 0.5, "direction": 0.2, "kind": 0.2, "hull": 1.0, "land": 0.5}
AXIS_FROM_PX = 4.0  # below this length an axis cannot be seen


def split(maps: Tensor) -> dict[str, Tensor]:
    """Output channels (n, c, h, w) by their names in `CHANNELS`."""
    return dict(zip(CHANNELS, torch.split(maps, list(CHANNELS.values()), dim=1), strict=True))


def vessel_loss(maps: Tensor, targets: Sequence[Targets]) -> dict[str, Tensor]:
    """Losses by name, already weighted; their sum is minimised.

    Args:
        maps: (n, c, h, w) output for n images.
        targets: of those images.
    """
    heads = split(maps.float())
    heat = torch.from_numpy(np.stack([t.heat for t in targets])).to(maps.device)
    counted = torch.from_numpy(np.stack([t.counted for t in targets])).to(maps.device)
    n_hulls = max(float(sum(t.weight.sum() for t in targets)), 1.0)
    losses = {"heat": _focal(heads["heat"][:, 0], heat, counted) / n_hulls}
    dense = torch.from_numpy(np.stack([t.dense for t in targets])).to(maps.device)
    for channel, name in enumerate(("hull", "land")):
        losses[name] = _dense(heads[name][:, 0], dense[:, channel])
    image = np.concatenate([np.full(len(t.cells), i) for i, t in enumerate(targets)])
    if len(image):
        cells = np.concatenate([t.cells for t in targets])
        at = torch.from_numpy(image), torch.from_numpy(cells[:, 0]), torch.from_numpy(cells[:, 1])
        said = {name: head[at[0], :, at[1], at[2]] for name, head in heads.items()}
        truth = torch.from_numpy(np.concatenate([t.hulls for t in targets])).to(maps.device)
        weight = torch.from_numpy(np.concatenate([t.weight for t in targets])).to(maps.device)
        for name, each in _hull_losses(said, truth).items():
            losses[name] = (each * weight).sum() / n_hulls
    return {name: WEIGHTS[name] * value for name, value in losses.items()}


def _focal(logit: Tensor, heat: Tensor, counted: Tensor) -> Tensor:
    probability = torch.sigmoid(logit)
    centre = heat == 1.0
    hit = -((1.0 - probability) ** ALPHA) * logsigmoid(logit)
    miss = -((1.0 - heat) ** BETA) * probability**ALPHA * logsigmoid(-logit)
    return (torch.where(centre, hit, miss) * counted).sum()


def _dense(logit: Tensor, share: Tensor) -> Tensor:
    """Cross entropy and Dice loss (Milletari et al. 2016, arXiv:1606.04797), where the share is known."""
    known = share.isfinite()
    if not known.any():
        return logit.sum() * 0.0
    logit, share = logit[known], share[known]
    said = torch.sigmoid(logit)
    dice = 1.0 - (2.0 * (said * share).sum() + 1.0) / (said.sum() + share.sum() + 1.0)
    return dice + binary_cross_entropy_with_logits(logit, share)


def _hull_losses(said: dict[str, Tensor], truth: Tensor) -> dict[str, Tensor]:
    """Each loss per cell, (k,); 0 where the label does not tell."""
    long, wide, turned, headed = (truth[:, c].isfinite() for c in (2, 3, 4, 6))
    sized = long & wide & turned
    truth = truth.nan_to_num()  # before any arithmetic: a NaN that is masked later still poisons gradients
    offset, log_length, log_width, axis = truth[:, :2], truth[:, 2], truth[:, 3], truth[:, 4:6]
    towards = torch.stack([truth[:, 6].cos(), truth[:, 6].sin()], dim=1)
    mu, width = said["log_length"][:, 0], said["log_width"][:, 0]
    log_var = said["log_length_var"][:, 0].clamp(-6.0, 2.0)
    vector = said["axis"] / said["axis"].norm(dim=1, keepdim=True).clamp(min=1.0)
    centre = STRIDE_PX * said["offset"]
    return {
        "offset": smooth_l1_loss(centre, offset, reduction="none").sum(dim=1),
        "log_length": long * (mu - log_length).abs(),
        "log_length_var": long * (log_var + (mu.detach() - log_length) ** 2 / log_var.exp()) / 2.0,
        "log_width": wide * (width - log_width).abs(),
        "axis": turned * (log_length > math.log(AXIS_FROM_PX)) * ((vector - axis) ** 2).sum(dim=1),
        "direction": headed * ((said["direction"] - towards) ** 2).sum(dim=1),
        "kind": cross_entropy(said["kind"], truth[:, 7].long(), reduction="none", label_smoothing=0.05),
        "box": sized
        * (1.0 - _generalised_iou(_box(centre, mu, width, vector), _box(offset, log_length, log_width, axis))),
    }


def _generalised_iou(said: tuple[Tensor, Tensor], true: tuple[Tensor, Tensor]) -> Tensor:
    """Rezatofighi et al. 2019 (CVPR) of upright boxes, each a low and a high corner (k, 2); (k,)."""
    low, high = torch.maximum(said[0], true[0]), torch.minimum(said[1], true[1])
    both = (high - low).clamp(min=0.0).prod(dim=1)
    union = (said[1] - said[0]).prod(dim=1) + (true[1] - true[0]).prod(dim=1) - both
    around = (torch.maximum(said[1], true[1]) - torch.minimum(said[0], true[0])).prod(dim=1)
    return both / union - (around - union) / around


def _box(centre: Tensor, log_length: Tensor, log_width: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Corners (row, col) of the upright box, as `models.vessel.hulls.half_extents`."""
    length, width = log_length.clamp(max=7.0).exp(), log_width.clamp(max=7.0).exp()
    mean, half = (length**2 + width**2) / 2.0, (length**2 - width**2) / 2.0
    corners = CORNER_FILL * length * width * axis[:, 1].abs()
    squared = torch.stack([mean + half * axis[:, 0] + corners, mean - half * axis[:, 0] + corners], dim=1)
    reach = squared.clamp(min=0.25).sqrt() / 2.0
    return centre - reach, centre + reach
