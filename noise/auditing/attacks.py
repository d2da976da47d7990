"""The attacks of an audit on one thing that crosses, as stages."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from noise.activations import Activations
from noise.audit.adversary import Adversary
from noise.audit.attribute import train_attribute_classifier
from noise.audit.decoder import Decoder, train_decoder
from noise.audit.elimination import eliminate
from noise.audit.image_quality import quality
from noise.audit.naming import naming_quality
from noise.audit.record import DECODER, NAMED, WHITE_BOX
from noise.audit.reidentification import reidentify
from noise.audit.training import Strength
from noise.audit.white_box import prepare, whitening_of
from noise.auditing.effort import Effort
from noise.auditing.grounds import Array, Images, Subject, side_by_side
from noise.auditing.stage import Result, Stage
from noise.differentiable import sent_torch

#: Images of each attack that are kept for the page of pictures.
PICTURES = 10
#: Images that are scored beyond what a float32 picture can be off by count as this good.
LARGEST_DB = 150.0
#: Inferences that elimination is tried on.
ELIMINATIONS = 100


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
            named = self.subject.laplace is not None
            if named:
                yield self._stage(DECODER, seed, lambda: self.reconstruction(images, seed))
            through = seed < self.seed + self.effort.white_box_seeds and self.subject.grounds.is_differentiable
            yield self._stage(
                self.informed, seed, lambda: self.reconstruction(images, seed, named=named, through=through)
            )
        yield from self._others(seed, 1)

    @property
    def informed(self) -> str:
        """The decoder of one who knows the noise."""
        return DECODER if self.subject.laplace is None else NAMED

    def _several(self, queries: int) -> Iterator[Stage]:
        images, named = self.subject.grounds.images, self.subject.laplace is not None
        if images is not None:
            work = f"{self.informed} of {queries}"
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

    def reconstruction(
        self, images: Images, seed: int, *, queries: int = 1, named: bool = False, through: bool = False
    ) -> Result:
        """A decoder, trained on the attacker's rows, on the judged ones. through: and by the known edge half, from
        where the decoder left it."""
        strength = self.effort.decoder
        near = self._near(seed, queries, named=named)
        decoder = train_decoder(near.observe, images.known, seed=seed, strength=strength)
        seen = self._seen(seed, queries, named=named)
        found = decoder(seen)
        facts = _scored(found, images.judged) | {
            "stopped_improving": decoder.training.stopped_improving,
            "strength": described(strength, decoder.training.epochs, len(images.known)),
        }
        arrays = {"pictures": found[picture_rows(len(found))].numpy()}
        if through:
            facts[WHITE_BOX], arrays[WHITE_BOX] = self._through(images, near, decoder, seen, facts)
        return Result(facts, arrays)

    def _through(
        self, images: Images, near: Adversary, decoder: Decoder, seen: torch.Tensor, decoded: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Array]:
        """The white box on some of the judged rows, and pictures of theirs.

        Scored as the decoder on all rows (`decoded`) and what is gained on these: of few rows alone a mean would say
        more of the rows than of the attack.
        """
        sent = sent_torch(self.subject.grounds.cut, self.subject.noise)
        span = (images.high - images.low) or 1.0
        box = prepare(
            lambda scaled: sent(images.low + span * scaled),
            near.observe,
            images.known,
            whiten=whitening_of(near),
            decoder=decoder,
            steps=self.effort.white_box_steps,
        )
        pictures = picture_rows(len(seen))
        rest = np.setdiff1d(np.linspace(0, len(seen) - 1, self.effort.white_box_images).astype(np.int64), pictures)
        rows = np.concatenate([pictures, rest])
        found = box(seen[rows])
        here, before = (_scored(one, images.judged[rows]) for one in (found, decoder(seen[rows])))
        facts: dict[str, Any] = {"images": here["images"], "strength": box.words}
        for name in ("psnr_db", "ssim"):
            facts[name] = None if here[name] is None else decoded[name] + here[name] - before[name]
        return facts, found[: len(pictures)].numpy()

    def attribute(self, name: str, seed: int, queries: int) -> Result:
        """A private label, read by a trained classifier."""
        known, judged = self.subject.grounds.attributes[name]
        strength = self.effort.classifier
        named = queries > 1 and self.subject.laplace is not None
        reader = train_attribute_classifier(
            self._near(seed, queries, named=named).observe, known, seed=seed, strength=strength
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
        """Which of the candidates was it."""
        subject, on = self.subject, self.subject.grounds
        found = reidentify(
            subject.noise,
            on.judged,
            seeds=[seed],
            queries=queries,
            candidates=self.effort.candidates,
            namer=subject.namer,
            cut=on.cut,
            levels=subject.levels,
        )
        return Result(
            {
                "top1": found.top1_percent,
                "n": found.candidates,
                "attack": found.attack,
                "bound": found.bound_percent,
            }
        )

    def elimination(self) -> Result:
        """Which candidates remain possible by the order of the remainder."""
        subject, noise = self.subject, self.subject.laplace
        assert noise is not None
        some = subject.grounds.judged.take(slice(0, self.effort.candidates))
        near = subject.adversary(some, seed=2000 + self.seed)
        true = np.arange(min(len(some), ELIMINATIONS))
        seen = near.observe(torch.from_numpy(true)).numpy()
        wire = subject.grounds.cut.wire
        found = eliminate(noise, [seen], near.carried, true, wire=wire, levels=subject.levels)
        return Result(
            {
                "remaining": found.remaining,
                "candidates": found.candidates,
                "true_remains": found.true_percent,
            }
        )

    def naming(self) -> Result:
        """Which distribution was it, and what is left of the noise without what is expected of it."""
        subject, noise, namer = self.subject, self.subject.laplace, self.subject.namer
        assert noise is not None
        assert namer is not None
        clean = torch.from_numpy(side_by_side(subject.grounds.judged.tensors))
        found = naming_quality(namer, noise, clean, seed=self.seed)
        return Result({"right": found.right_percent, "variance_left": found.variance_left_percent})

    def _near(self, seed: int, queries: int, *, named: bool) -> Adversary:
        return self.subject.adversary(self.subject.grounds.known, seed=seed, queries=queries, named=named)

    def _seen(self, seed: int, queries: int, *, named: bool) -> torch.Tensor:
        judged: Activations = self.subject.grounds.judged
        return self.subject.adversary(judged, seed=3000 + seed, queries=queries, named=named).everything()


def _scored(found: torch.Tensor, images: Array) -> dict[str, Any]:
    score = quality(found, images)
    return {"psnr_db": min(score.psnr_db, LARGEST_DB), "ssim": score.ssim, "images": score.n}


def picture_rows(count: int) -> Array:
    rows: Array = np.linspace(0, count - 1, min(count, PICTURES)).astype(np.int64)
    return rows


def described(strength: Strength, epochs: int, rows: int) -> str:
    """An attack's strength in words."""
    return f"{strength.hidden_layers} layers of {strength.width}, {epochs} epochs of {rows} rows"
