"""The attacks of an audit on one thing that crosses, as stages."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from noise.activations import Activations
from noise.audit.attribute import train_attribute_classifier
from noise.audit.decoder import train_decoder
from noise.audit.elimination import FLOAT32_ROUNDING, possible
from noise.audit.image_quality import quality
from noise.audit.naming import naming_quality
from noise.audit.reidentification import nearest
from noise.audit.training import Observe, Strength
from noise.audit_effort import Effort
from noise.audit_grounds import Array, Images, Subject, side_by_side
from noise.audit_stages import Result, Stage
from noise.gaussian import OfNormals

#: Images of each attack that are kept for the page of pictures.
PICTURES = 10
#: Images that are scored beyond what a float32 picture can be off by count as this good.
LARGEST_DB = 150.0
#: Inferences that elimination is tried on.
ELIMINATIONS = 100
#: float16 rounds to so much of a number.
FLOAT16_ROUNDING = 2.0**-11
DECODER, NAMED, WHITE_BOX = "decoder", "decoder after naming", "white box"


@dataclass(frozen=True)
class Attacks:
    """Stages that attack a subject."""

    subject: Subject
    effort: Effort
    seed: int

    def stages(self) -> Iterator[Stage]:
        seeds = range(self.seed, self.seed + self.effort.seeds)
        several = self.effort.several if self.subject.noise is not None else ()
        for seed in seeds:
            yield from self._once(seed)
        for queries in several:
            yield from self._several(queries)
        if self.subject.laplace is not None:
            yield self._stage("elimination", self.seed, self.elimination)
            yield self._stage("naming", self.seed, self.naming)

    def _once(self, seed: int) -> Iterator[Stage]:
        images = self.subject.grounds.images
        if images is not None:
            yield self._stage(DECODER, seed, lambda: self.reconstruction(images, seed))
            if self.subject.laplace is not None:
                yield self._stage(NAMED, seed, lambda: self.reconstruction(images, seed, named=True))
        yield from self._others(seed, 1)

    def _several(self, queries: int) -> Iterator[Stage]:
        images, named = self.subject.grounds.images, self.subject.laplace is not None
        if images is not None:
            work = f"{NAMED if named else DECODER} of {queries}"
            yield self._stage(
                work, self.seed, lambda: self.reconstruction(images, self.seed, queries=queries, named=named)
            )
        yield from self._others(self.seed, queries)

    def _others(self, seed: int, queries: int) -> Iterator[Stage]:
        of = "" if queries == 1 else f" of {queries}"
        yield self._stage(f"reidentification{of}", seed, lambda: self.reidentification(seed, queries))
        for name in self.subject.grounds.attributes:
            yield self._stage(f"attribute {name}{of}", seed, self._attribute(name, seed, queries))

    def _stage(self, work: str, seed: int, run: Callable[[], Result]) -> Stage:
        return Stage(self.subject.name, work, seed, run)

    def _attribute(self, name: str, seed: int, queries: int) -> Callable[[], Result]:
        return lambda: self.attribute(name, seed, queries)

    def reconstruction(self, images: Images, seed: int, *, queries: int = 1, named: bool = False) -> Result:
        """A decoder, trained on the attacker's rows, on the judged ones."""
        strength = self.effort.decoder
        decoder = train_decoder(
            self._observed(seed, queries, named=named), images.known, seed=seed, strength=strength
        )
        found = decoder(self._seen(seed, queries, named=named))
        score = quality(found, images.judged)
        return Result(
            {
                "psnr_db": min(score.psnr_db, LARGEST_DB),
                "ssim": score.ssim,
                "images": score.n,
                "stopped_improving": decoder.training.stopped_improving,
                "strength": described(strength, decoder.training.epochs, len(images.known)),
            },
            {"pictures": found[picture_rows(len(found))].numpy()},
        )

    def attribute(self, name: str, seed: int, queries: int) -> Result:
        """A private label, read by a trained classifier."""
        known, judged = self.subject.grounds.attributes[name]
        strength = self.effort.classifier
        named = queries > 1 and self.subject.laplace is not None
        reader = train_attribute_classifier(
            self._observed(seed, queries, named=named), known, seed=seed, strength=strength
        )
        right = reader.accuracy_percent(self._seen(seed, queries, named=named), judged)
        return Result(
            {
                "accuracy": right,
                "stopped_improving": reader.training.stopped_improving,
                "strength": described(strength, reader.training.epochs, len(known)),
            }
        )

    def reidentification(self, seed: int, queries: int) -> Result:
        """Which of the candidates was it: the likeliest under the noise."""
        subject = self.subject
        judged = subject.grounds.judged
        count = min(len(judged), self.effort.candidates)
        some = judged.take(slice(0, count))
        named = subject.laplace is not None
        seen = subject.adversary(some, seed=1000 + seed, queries=queries, named=named).everything().numpy()
        sent = list(some.tensors) if subject.noise is None else subject.noise.carried(some.tensors)
        candidates = side_by_side(sent)
        rows = nearest(self._white(seen), self._white(candidates), np.random.default_rng(seed))
        return Result({"top1": 100 * float((rows == np.arange(count)).mean()), "n": count})

    def _white(self, tensors: Array) -> Array:
        """Where what is random of the noise has the same strength in every direction."""
        noise = self.subject.noise
        if isinstance(noise, OfNormals):
            parts = np.split(tensors, np.cumsum([one.elements for one in noise.normals.values()])[:-1], axis=1)
            return side_by_side([one.whitened(part) for one, part in zip(noise.normals.values(), parts, strict=True)])
        if noise is None:
            return tensors
        by = self.subject.residual_whitening
        white: Array = tensors * by if by.ndim == 1 else tensors @ by
        return white

    def elimination(self) -> Result:
        """Which candidates remain possible by the order of the remainder."""
        subject, noise = self.subject, self.subject.laplace
        assert noise is not None
        judged = subject.grounds.judged
        count = min(len(judged), self.effort.candidates)
        some = judged.take(slice(0, count))
        tried = min(count, ELIMINATIONS)
        seen = subject.adversary(some, seed=2000 + self.seed).observe(torch.arange(tried)).numpy()
        sizes = np.cumsum([one.elements for one in noise.tensors.values()])[:-1]
        remaining, true = list[int](), list[bool]()
        for row, sent in enumerate(seen):
            left: Array = np.ones((noise.distributions, count), dtype=np.bool_)
            parts = zip(noise.tensors.items(), np.split(sent, sizes), some.tensors, strict=True)
            for (node, one), part, candidates in parts:
                rounding, uncertainty = self._rounding(node)
                left = left & possible(part, candidates, one.order, rounding=rounding, uncertainty=uncertainty)
            remain = np.asarray(left.any(axis=0))
            remaining.append(int(remain.sum()))
            true.append(bool(remain[row]))
        identified = [0.0 if not hit else 1 / many for hit, many in zip(true, remaining, strict=True)]
        return Result(
            {
                "remaining": float(np.mean(remaining)),
                "candidates": count,
                "true_remains": 100 * float(np.mean(true)),
                "top1": 100 * float(np.mean(identified)),
            }
        )

    def _rounding(self, node: str) -> tuple[float, float]:
        """How far off what crossed may be: relative, absolute."""
        wire = self.subject.grounds.cut.wire
        if wire == "int8":
            return FLOAT32_ROUNDING, self.subject.levels[node].scale / 2
        return (FLOAT16_ROUNDING if wire == "float16" else FLOAT32_ROUNDING), 0.0

    def naming(self) -> Result:
        """Which distribution was it, and what is left of the noise without what is expected of it."""
        subject, noise, namer = self.subject, self.subject.laplace, self.subject.namer
        assert noise is not None
        assert namer is not None
        clean = torch.from_numpy(side_by_side(subject.grounds.judged.tensors))
        found = naming_quality(namer, noise, clean, seed=self.seed)
        return Result({"right": found.right_percent, "variance_left": found.variance_left_percent})

    def _observed(self, seed: int, queries: int, *, named: bool) -> Observe:
        return self.subject.adversary(self.subject.grounds.known, seed=seed, queries=queries, named=named).observe

    def _seen(self, seed: int, queries: int, *, named: bool) -> torch.Tensor:
        judged: Activations = self.subject.grounds.judged
        return self.subject.adversary(judged, seed=3000 + seed, queries=queries, named=named).everything()


def picture_rows(count: int) -> Array:
    rows: Array = np.linspace(0, count - 1, min(count, PICTURES)).astype(np.int64)
    return rows


def described(strength: Strength, epochs: int, rows: int) -> str:
    """An attack's strength in words."""
    return f"{strength.hidden_layers} layers of {strength.width}, {epochs} epochs of {rows} rows"
