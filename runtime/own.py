"""The user's own inputs, from a file to a file."""

from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.cut_network import CutNetwork
from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from noise.network_inputs import in_order
from planner.plan import Plan
from profiles import artifact
from profiles.engine import batches, set_threads, torch_device
from profiles.errors import DataError
from profiles.link import LinkProfile
from profiles.trace import TracedNetwork
from runtime.guard import ClientSecurity
from runtime.local import local_cloud
from runtime.trial import BATCH, connect, edge_half

Array = NDArray[Any]


def run(
    plan: Plan,
    noise: Mechanism,
    source: Path,
    target: Path,
    *,
    server: str | None,
    link: LinkProfile | None,
    security: ClientSecurity | None = None,
    key: DrawKey | None = None,
) -> int:
    """Inputs from a file through the split network, the first output to an .npy; how many they were.

    source: an .npy [n, ...]; of a network with several inputs an .npz with one such array for each, by its name.

    link: emulated in front of a local cloud, None for plain loopback. security: TLS and token for the server. key:
    draws are keyed, else fresh.
    Raises DataError: not arrays of the shapes and types the model takes. PeerError: the server does not answer.
    """
    set_threads(plan.edge.threads)
    cut = CutNetwork.of(plan, device=torch_device(plan.edge.engine))
    inputs = _load(source, cut.network)
    with ExitStack() as stack:
        url = stack.enter_context(local_cloud(plan, link)) if server is None else server
        client = stack.enter_context(connect(url, plan, cut, security))
        edge = stack.enter_context(edge_half(cut, noise, client, key=key))
        parts = batches(inputs, rows=cut.rows, most=BATCH)
        answers = [edge.infer(part).outputs[0][:count] for part, count in parts]
    stream = BytesIO()
    np.save(stream, np.concatenate(answers), allow_pickle=False)
    artifact.write_bytes(target, stream.getvalue())
    return len(inputs[0])


def _load(path: Path, network: TracedNetwork) -> tuple[Array, ...]:
    """An array for each input, in the graph's order."""
    found = _arrays(path)
    columns = in_order(network, found, origin=str(path))
    for name, one, example in zip(network.input_names, columns, network.example, strict=True):
        origin = f"{path}: {name}" if isinstance(found, dict) else str(path)
        _require_fit(one, tuple(example.shape[1:]), str(example.dtype).removeprefix("torch."), origin=origin)
    counts = [len(one) for one in columns]
    if len(set(counts)) > 1:
        each = ", ".join(f"{count} of {name}" for name, count in zip(network.input_names, counts, strict=True))
        raise DataError(f"{path}: {each}, expected as many of each")
    return columns


def _arrays(path: Path) -> Array | dict[str, Array]:
    data = artifact.read_bytes(path, what="a file of inputs, .npy or .npz")
    try:
        found = np.load(BytesIO(data), allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            return {name: np.asarray(found[name]) for name in found.files}
    except Exception as error:  # a header can ask for anything: memory, names, an endless number
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: not an .npy file, nor .npz ({reason[:200]}); save it with numpy.save or savez"
        ) from error
    return np.asarray(found)


def _require_fit(found: Array, shape: tuple[int, ...], dtype: str, *, origin: str) -> None:
    if found.shape[1:] != shape or found.ndim != len(shape) + 1 or not len(found):
        takes = ", ".join(map(str, ("n", *shape)))
        raise DataError(f"{origin}: shape {list(found.shape)}, the model takes [{takes}]")
    if str(found.dtype) != dtype:
        raise DataError(f"{origin}: {found.dtype}, the model takes {dtype}; convert it with .astype('{dtype}')")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise DataError(f"{origin}: holds NaN or infinity, expected finite numbers")
