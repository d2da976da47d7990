"""Model → DeviceProfile in ONNX Runtime: a kit in a temporary folder, timed as the script on a board would."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from profiles import artifact, board
from profiles.device import DeviceProfile
from profiles.errors import ProfileError
from profiles.kit import write_kit
from profiles.trace import TracedNetwork


def measure_network(
    network: TracedNetwork,
    *,
    threads: int,
    name: str | None,
    seconds: float,
    pause_ms: float,
    progress: Callable[[int, int], None],
) -> DeviceProfile:
    """Time a traced network. Raises ModelError where it has no form as ONNX."""
    with tempfile.TemporaryDirectory(prefix="plan-kit-") as folder:
        place = Path(folder, "kit")
        write_kit(network, place, pause_ms=pause_ms)
        try:
            made = board.measure(
                board.Kit(str(place)), threads=threads, seconds=seconds, name=name, progress=progress
            )
        except board.KitError as error:
            raise ProfileError(str(error)) from error
    return artifact.decode(msgspec.json.encode(made), DeviceProfile, origin="measured with ONNX Runtime")
