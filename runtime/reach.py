"""Where the cloud is, and how it is reached. No torch here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from planner.plan import Plan
from profiles.link import LinkProfile
from runtime.guard import ClientSecurity
from runtime.local import local_cloud


@dataclass(frozen=True)
class Reach:
    """server: URL of a cloud that runs; None: a local process is started, behind an emulated link.

    security: TLS and token for a server. timeout_s: of one exchange, with all that is sent again. link: emulated
    instead of the plan's. emulate: False for a local process on plain loopback.
    """

    server: str | None = None
    security: ClientSecurity | None = None
    timeout_s: float = 30.0
    link: LinkProfile | None = None
    emulate: bool = True

    @property
    def local(self) -> bool:
        """Whether the cloud is a process here, whose clock is this one's."""
        return self.server is None

    @property
    def emulated(self) -> bool:
        """Whether the link is emulated."""
        return self.local and self.emulate

    def link_of(self, plan: Plan) -> LinkProfile:
        """The link that a run of the plan is taken to go over."""
        return self.link or plan.link

    @contextmanager
    def cloud(self, plan: Plan, *, prepared: Path | None = None) -> Iterator[str]:
        """Its URL. prepared: a folder of prepared cuts, all of which a local process serves.

        Raises PeerError where a local process does not come up.
        """
        if self.server is not None:
            yield self.server
            return
        with local_cloud(plan, self.link_of(plan) if self.emulate else None, prepared=prepared) as url:
            yield url


#: A local process behind the plan's own link.
HERE = Reach()
