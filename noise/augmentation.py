"""Training inputs changed at random in ways that leave their class. Draws come from torch's generator."""

import torch
from torch import Tensor
from torch.nn import functional

from noise.recipes import Recipe


def augmented(batch: Tensor, recipe: Recipe) -> Tensor:
    """A changed batch, as the recipe says; the one given is left alone."""
    if recipe.shift or recipe.mirror or recipe.turn:
        batch = moved(batch, shift=recipe.shift, mirror=recipe.mirror, turn=recipe.turn)
    if recipe.window:
        batch = windows(batch, size=recipe.window)
    if recipe.forget:
        batch = forgotten(batch, share=recipe.forget)
    return batch


def moved(pictures: Tensor, *, shift: int, mirror: bool, turn: bool = False) -> Tensor:
    """Each picture [n, c, h, w] moved by up to `shift` pixels, mirrored and turned over at random; black comes in."""
    n, _, height, width = pictures.shape
    padded = functional.pad(pictures, (shift,) * 4)
    rows = _placed(height, n, shift=shift, reverse=turn)
    columns = _placed(width, n, shift=shift, reverse=mirror)
    taken = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # [n, h, w, c]
    return taken.permute(0, 3, 1, 2)


def _placed(size: int, n: int, *, shift: int, reverse: bool) -> Tensor:
    """For each of n pictures the rows or columns of the padded picture that it takes: [n, size]."""
    places = torch.arange(size).expand(n, size)
    if reverse:
        places = torch.where(torch.rand(n, 1) < 0.5, places.flip(1), places)
    return places + torch.randint(2 * shift + 1, (n, 1))


def windows(tokens: Tensor, *, size: int) -> Tensor:
    """Token ids [n, t], padded with 0 at the end → [n, size]: of a longer text a stretch from anywhere in it."""
    size = min(size, tokens.shape[1])
    places = torch.arange(1, tokens.shape[1] + 1)
    lengths = ((tokens > 0) * places).amax(dim=1)
    starts = (torch.rand(len(tokens)) * (lengths - size + 1).clamp(min=1)).long()
    return tokens.gather(1, starts[:, None] + torch.arange(size))


def forgotten(tokens: Tensor, *, share: float) -> Tensor:
    """Token ids [n, t] of which a share is 0, the unknown word."""
    return tokens.masked_fill(torch.rand(tokens.shape) < share, 0)
