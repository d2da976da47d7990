"""LinkProfile: the network between edge and cloud, as the edge sees it (`plan.link/1`), and the presets."""

import importlib.resources
from pathlib import Path
from typing import Literal

import msgspec

from profiles import artifact
from profiles.artifact import NonNegative, Positive
from profiles.errors import LinkError


class RadioPower(msgspec.Struct, frozen=True):
    """Power of a radio while it transfers: slope × Mbps + base, milliwatts (Huang et al., MobiSys 2012)."""

    uplink_per_mbps: NonNegative
    downlink_per_mbps: NonNegative
    base: NonNegative


class Spread(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Interquartile ranges over the repeats of a measurement."""

    uplink_mbps: NonNegative | None = None
    downlink_mbps: NonNegative | None = None
    rtt_ms: NonNegative | None = None
    repeats: int | None = None


class LinkProfile(
    artifact.Artifact, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="plan.link/1"
):
    """A link.

    uplink_mbps, downlink_mbps: sustained rates, 10^6 bits per second. rtt_ms: round trip of an empty message.
    overhead_ms: what every message costs beside its bytes and half a round trip.
    """

    name: str
    provenance: Literal["measured", "modelled", "imported"]
    uplink_mbps: Positive
    downlink_mbps: Positive
    rtt_ms: NonNegative
    overhead_ms: NonNegative = 0.0
    radio_power_mw: RadioPower | None = None
    source: str | None = None
    spread: Spread | None = None

    def uplink_ms(self, *, size_bytes: float) -> float:
        """Time from the first byte sent to the last byte received at the cloud."""
        return self.rtt_ms / 2 + self.overhead_ms + 8 * size_bytes / (1000 * self.uplink_mbps)

    def downlink_ms(self, *, size_bytes: float) -> float:
        """Time from the first byte sent by the cloud to the last byte received."""
        return self.rtt_ms / 2 + self.overhead_ms + 8 * size_bytes / (1000 * self.downlink_mbps)

    @property
    def label(self) -> str:
        """Name, provenance and figures, for people."""
        return (
            f"{self.name} ({self.provenance}): {self.uplink_mbps:g} Mbps up, {self.downlink_mbps:g} down, "
            f"round trip {self.rtt_ms:g} ms"
        )


def presets() -> dict[str, LinkProfile]:
    """Published links by name, each with its provenance and source."""
    text = importlib.resources.files("profiles").joinpath("presets", "links.json").read_bytes()
    return {link.name: link for link in msgspec.json.decode(text, type=list[LinkProfile])}


def load(name_or_path: str) -> LinkProfile:
    """A preset's name or a file's path. Raises LinkError for neither, ArtifactError for a bad file."""
    known = presets()
    if name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path)
    if not path.exists() or path.is_dir():
        raise LinkError(f"{name_or_path!r} is neither a preset ({', '.join(known)}) nor a file")
    return artifact.read(path, LinkProfile)
