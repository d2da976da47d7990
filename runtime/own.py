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
from planner.plan import Plan
from profiles import artifact
from profiles.engine import batches, set_threads, torch_device
from profiles.errors import DataError
from profiles.link import LinkProfile
from runtime.local import local_cloud
from runtime.trial import BATCH, connect, edge_half


def run(
    plan: Plan,
    noise: Mechanism,
    source: Path,
    target: Path,
    *,
    server: str | None,
    link: LinkProfile | None,
    key: DrawKey | None = None,
) -> int:
    """Inputs [n, ...] of an .npy through the split network, the first output to an .npy; how many they were.

    link: emulated in front of a local cloud, None for plain loopback. key: draws are keyed, else fresh.
    Raises DataError: not an .npy of the shape and type the model takes. PeerError: the server does not answer.
    """
    set_threads(plan.edge.threads)
    cut = CutNetwork.of(plan, device=torch_device(plan.edge.engine))
    example = cut.network.example[0]
    inputs = _load(source, tuple(example.shape[1:]), str(example.dtype).removeprefix("torch."))
    with ExitStack() as stack:
        url = stack.enter_context(local_cloud(plan, link)) if server is None else server
        client = stack.enter_context(connect(url, plan, cut))
        edge = stack.enter_context(edge_half(cut, noise, client, key=key))
        parts = batches(inputs, rows=cut.rows, most=BATCH)
        answers = [edge.infer([part]).outputs[0][:count] for part, count in parts]
    stream = BytesIO()
    np.save(stream, np.concatenate(answers), allow_pickle=False)
    artifact.write_bytes(target, stream.getvalue())
    return len(inputs)


def _load(path: Path, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    data = artifact.read_bytes(path, what="an .npy file of inputs")
    try:
        found = np.load(BytesIO(data), allow_pickle=False)
    except Exception as error:  # a header can ask for anything: memory, names, an endless number
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: not an .npy file ({reason[:200]}); save it with numpy.save") from error
    if (
        not isinstance(found, np.ndarray)
        or found.shape[1:] != shape
        or found.ndim != len(shape) + 1
        or not len(found)
    ):
        raise DataError(
            f"{path}: shape {list(getattr(found, 'shape', []))}, the model takes [n, {', '.join(map(str, shape))}]"
        )
    if str(found.dtype) != dtype:
        raise DataError(f"{path}: {found.dtype}, the model takes {dtype}; convert it with .astype('{dtype}')")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise DataError(f"{path}: holds NaN or infinity, expected finite numbers")
    return found
