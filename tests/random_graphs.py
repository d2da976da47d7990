"""Random small profiles for laws about cuts: DAGs with joins, skips, glued chains and up to two inputs."""

from hypothesis import strategies as st

from profiles.device import DeviceFacts, DeviceProfile, MessageHandling, ModelFacts, TimedNode
from profiles.graph import Kind
from profiles.link import LinkProfile

KINDS: tuple[Kind, ...] = ("convolution", "linear", "activation", "pooling", "reshape", "join", "embedding", "other")
TIMES = st.floats(0, 5, allow_nan=False, width=32)


messages = st.none() | st.builds(
    MessageHandling,
    request_sent_ms=TIMES,
    request_received_ms=TIMES,
    reply_sent_ms=TIMES,
    reply_received_ms=TIMES,
    request_bytes=st.integers(0, 1000),
    reply_bytes=st.integers(0, 1000),
    tensor_bytes=st.integers(0, 200),
    noise_ms=TIMES,
)


@st.composite
def profiles(draw: st.DrawFn, most_nodes: int = 10, *, dead_ends: bool = True) -> tuple[DeviceProfile, DeviceProfile]:
    """One random network on two devices."""
    inputs = draw(st.integers(1, 2))
    count = draw(st.integers(1, most_nodes - 2 * inputs - 2))
    edge: list[TimedNode] = []
    cloud: list[TimedNode] = []

    def add(name: str, kind: Kind, sources: list[str]) -> None:
        size = 4 * draw(st.integers(1, 5000))
        encoded = size // 4 if kind == "input" else None
        for side in (edge, cloud):
            time_ms = 0.0 if kind in ("input", "output") else draw(TIMES)
            side.append(
                TimedNode(
                    id=name,
                    kind=kind,
                    inputs=tuple(sources),
                    shape=(1, size // 4),
                    dtype="float32",
                    bytes=size,
                    encoded_bytes=encoded,
                    time_ms=time_ms,
                    receive_ms=draw(TIMES) / 8,
                )
            )

    names: list[str] = []
    for index in range(inputs):
        add(f"x{index}", "input", [])
    # Mostly a layer behind every input, so that there are cuts; now and then not, so that there are none.
    layers_first = draw(st.integers(0, 4)) > 0
    for index in range(inputs):
        if layers_first:
            add(f"l{index}", "convolution", [f"x{index}"])
        names.append(f"l{index}" if layers_first else f"x{index}")
    for index in range(count):
        sources = draw(st.lists(st.sampled_from(names[-5:]), min_size=1, max_size=2, unique=True))
        kind = draw(st.sampled_from(KINDS)) if len(sources) == 1 else draw(st.sampled_from(("join", "linear")))
        add(f"n{index}", kind, sources)
        names.append(f"n{index}")
    used = {name for node in edge for name in node.inputs}
    leaves = [name for name in names if name not in used]
    add("last", "linear", names[-1:] if dead_ends else leaves)
    add("out", "output", ["last"])

    start_ms = draw(TIMES)

    def profile(nodes: list[TimedNode], name: str) -> DeviceProfile:
        return DeviceProfile(
            model=ModelFacts(name="random", architecture="sha256:random"),
            batch=1,
            device=DeviceFacts(name=name, provenance="imported", engine="torch", message=draw(messages)),
            whole_ms=1.0,
            start_ms=start_ms,
            nodes=tuple(nodes),
        )

    return profile(edge, "edge"), profile(cloud, "cloud")


links = st.builds(
    lambda up, down, rtt: LinkProfile(
        name="random", provenance="imported", uplink_mbps=up, downlink_mbps=down, rtt_ms=rtt
    ),
    st.floats(0.1, 1000),
    st.floats(0.1, 1000),
    st.floats(0, 100),
)
