"""A client of the plan's cloud, once it is seen that the plan's half is what is served there. No torch here."""

from collections.abc import Callable

from planner.plan import Plan
from profiles.errors import PeerError, UnansweredError
from runtime.client import CloudClient
from runtime.reach import HERE, Reach
from runtime.sides import EdgeSide


def connect(
    url: str,
    plan: Plan,
    side: EdgeSide,
    reach: Reach = HERE,
    *,
    absent: Callable[[PeerError], None] | None = None,
) -> CloudClient:
    """A client whose server has the plan's cloud half. reach: its security and time.

    absent: told where the server does not answer, which is then no error.
    Raises PeerError where its inputs are not what crosses, or nobody answers.
    """
    sent = {one.facts().described() for one in side.agreed.sent}
    client = CloudClient(url, plan.model.name, security=reach.security, timeout_s=reach.timeout_s)
    try:
        served = {one.described() for one in client.metadata().inputs}
        if served != sent:
            raise PeerError(
                f"{url} takes {', '.join(sorted(served))}; this plan sends {', '.join(sorted(sent))}; "
                "start `plan serve` there with this plan"
            )
    except BaseException as error:
        if absent is None or not isinstance(error, UnansweredError):
            client.close()
            raise
        absent(error)
    return client
