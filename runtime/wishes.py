"""What `plan run` was asked for, and what of it does not go together. Light: every help loads it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.guard import ClientSecurity
    from runtime.stream import Streaming

MOST_TIMEOUT_S = 86_400


class Draw(StrEnum):
    FRESH = "fresh"
    KEYED = "keyed"


class Fallback(StrEnum):
    EDGE = "edge"


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What was asked for, by the options' names."""

    plan: Path
    noise: Path | None
    server: str | None
    data: str | None
    samples: int | None
    link: str | None
    no_emulation: bool
    out: Path | None
    input: Path | None
    output: Path | None
    draw: Draw
    stream: bool
    in_flight: int | None
    adapt: Path | None
    timeline: Path | None
    ca: Path | None
    client_cert: Path | None
    client_key: Path | None
    token_file: Path | None
    insecure: bool
    timeout: float
    fallback: Fallback | None
    json: bool

    def require_possible(self) -> None:
        """Raises PlanError for what does not go together."""
        from profiles.errors import PlanError

        own, secured = self.input is not None, (self.ca, self.client_cert, self.client_key, self.token_file)
        one_by_one, stands_by = not self.stream and self.timeline is None, self.fallback is not None
        refusals = (
            (own != (self.output is not None), "--input and --output go together; give both or neither"),
            (
                self.server is not None and (self.link is not None or self.no_emulation),
                "--link and --no-emulation are for a local cloud; leave them out with --server",
            ),
            (
                own and any(one is not None for one in (self.data, self.out, self.samples)),
                "--data, --samples and --out are for a test set; leave them out with --input",
            ),
            (
                own and self.timeline is not None,
                "--timeline is of timed inferences on a test set; leave it out with --input",
            ),
            (
                self.in_flight is not None and not self.stream,
                "--in-flight is for many inferences at once; give --stream too",
            ),
            (
                self.adapt is not None and (stands_by or not one_by_one),
                "--stream, --timeline and --fallback are of one cut; leave them out with --adapt",
            ),
            (
                self.stream and stands_by,
                "--fallback stands by for one inference at a time; leave it or --stream out",
            ),
            (
                not 0 < self.timeout <= MOST_TIMEOUT_S,
                f"--timeout {self.timeout:g}, expected seconds, more than 0 and at most a day",
            ),
            (
                self.server is None and (self.insecure or any(secured)),
                "--ca, --client-cert, --client-key, --token-file and --insecure need --server",
            ),
        )
        for impossible, why in refusals:
            if impossible:
                raise PlanError(f"plan run: {why}")

    def security(self) -> "ClientSecurity | None":
        """Raises SecurityError as `guard.client_security`."""
        from runtime import guard

        if self.server is None:
            return None
        return guard.client_security(
            self.server,
            ca=self.ca,
            certificate=self.client_cert,
            key=self.client_key,
            token_file=self.token_file,
            insecure=self.insecure,
        )

    def streaming(self) -> "Streaming | None":
        from runtime.stream import Streaming

        return Streaming(self.in_flight) if self.stream else None
