"""MP, MP2 and FIDO as plain loops with PyTorch's autograd; as in the papers, masks keep."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def log_odds(images, weights):
    """Return the log-odds (N,) of class 1 of the net `tests.helpers.nets.curved`."""
    return torch.sin(torch.einsum("nhwc,hwck->nk", images, weights)).sum(dim=1)


def mp(image, fill, weights, rng, *, steps, grid, jitter, l1, tv, beta, lr, binary=False):
    """Minimise Fong & Vedaldi's eq. 3 and 4, as Agarwal & Nguyen's program does."""
    size = image.shape[:2]
    keep = torch.tensor(rng.random((grid, grid)), requires_grad=True)
    optimiser = torch.optim.Adam([keep], lr=lr)

    def enlarge(picture):
        batch = picture.permute(2, 0, 1)[None]
        enlarged = [side + jitter for side in size]
        out = F.interpolate(batch, size=enlarged, mode="bilinear", align_corners=False)
        return out[0].permute(1, 2, 0)

    image, fill = enlarge(image), enlarge(fill)
    for _ in range(steps):
        dy, dx = rng.integers(0, jitter, 2)
        x, f = (p[dy : dy + size[0], dx : dx + size[1]] for p in (image, fill))
        shown = keep
        if binary:  # a step forward, straight through backward
            threshold = max(0.5, 0.5 * float((keep.max() + keep.min()).detach()))
            shown = keep + ((keep > threshold).double() - keep).detach()
        m = F.interpolate(shown[None, None], size=size, mode="nearest-exact")[0, 0, :, :, None]
        score = torch.sigmoid(log_odds((x * m + f * (1 - m))[None], weights))[0]
        rows, columns = keep[1:] - keep[:-1], keep[:, 1:] - keep[:, :-1]
        loss = l1 * (1 - keep).abs().sum() + score
        loss = loss + tv * ((rows.abs() ** beta).sum() + (columns.abs() ** beta).sum())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            keep.clamp_(0, 1)
    return 1 - keep.detach().numpy()


def mp2(image, fill, weights, *, steps, grid):
    """Remove two cells per step by the derivative of the log-odds (Agarwal & Nguyen, sec. 3.3)."""
    size, keep, order, gains = image.shape[:2], torch.ones((grid, grid)).double(), [], []
    for _ in range(steps):
        mask = keep.clone().requires_grad_()
        m = F.interpolate(mask[None, None], size=size, mode="nearest-exact")[0, 0, :, :, None]
        log_odds((image * m + fill * (1 - m))[None], weights)[0].backward()
        gain = torch.where(keep > 0, mask.grad, -torch.inf).flatten()
        best = torch.argsort(-gain, stable=True)[:2]
        order += best.tolist()
        gains += gain[best].tolist()
        keep.view(-1)[best] = 0
    return order, gains


def fido(image, fill, weights, rng, *, steps, grid, samples, lr, reg, warm_up, temperature, keep):
    """Optimise Chang et al.'s preservation (`keep`) or deletion objective by relaxed masks.

    As in their program, probabilities are enlarged while the mask is learned, and log-odds for
    the map that is shown. Returns the values of the cells, and that map.
    """

    def enlarge(cells):
        return F.interpolate(cells[None, None], size=size, mode="bilinear", align_corners=False)

    size = image.shape[:2]
    logits = torch.zeros((grid, grid), dtype=torch.float64, requires_grad=True)  # of dropping
    optimiser = torch.optim.Adam([logits], lr=lr)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * (1 - step / steps)
        p = enlarge(torch.sigmoid(logits))[0, 0]
        u = torch.tensor(rng.uniform(1e-6, 1 - 1e-6, (samples, *size)))
        kept = 1 - torch.sigmoid((torch.log(p / (1 - p)) + torch.log(u / (1 - u))) / temperature)
        x = image * kept[..., None] + fill * (1 - kept[..., None])
        odds = log_odds(x, weights).mean()
        weight = reg * min(step / warm_up, 1)
        loss = -odds + weight * (1 - p).sum() if keep else odds + weight * p.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    sign = 1 if keep else -1
    shown = (sign * (torch.sigmoid(-x) - 0.5) for x in (logits, enlarge(logits)[0, 0]))
    return tuple(values.detach().numpy() for values in shown)


def tensor(array):
    """Turn an array into a tensor of float64."""
    return torch.from_numpy(np.asarray(array, np.float64))
