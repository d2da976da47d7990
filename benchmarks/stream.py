"""Many inferences at once: their rate beside that of the slowest part, and beside one at a time.

    OMP_NUM_THREADS=1 python benchmarks/stream.py [MODEL:CUT:LINK ...] [--inferences N] [--singles N] [--in-flight N]

Each network is profiled here on one thread, as both devices, cut as named and run as `plan run --stream` runs it:
edge half and noise in this process, a server process, an emulated link as a third. What each part takes comes from
single inferences before, medians: the edge's own work and its noise, all bytes on the wire over the link's rate, the
cloud. Noise is a stand-in of the real size (`prediction_error.stand_in`). The mark is a rate of 0.9 x the slowest
part's, which is of one inference a message: inputs that wait share one, its headers too, so that the ratio can be
above 1 where these are a good part of the bytes ("a msg": how many shared one, on average).

Three processes, of which the link's waits awake, want three cores to themselves: with fewer they stand in each
other's way, and the processor can be the slowest part, which no single inference shows; with `--pack 1` it is.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from prediction_error import stand_in

from planner.planning import cut
from profiles import link as links
from profiles.device import DeviceProfile
from profiles.profiling import profile
from runtime.connecting import connect
from runtime.local import local_cloud
from runtime.pace import Pace
from runtime.parts import measured_parts
from runtime.record import Streamed
from runtime.serving import planned_edge
from runtime.stream import Stream
from runtime.throughput import streamed

#: LeNet late and early, where the link is slowest, on 18.88 Mbps and 5 ms, on 5.85 Mbps and 50 ms; AlexNet's last
#: layers but one on the edge, which is then the slowest.
CASES = ("lenet:relu4:wifi", "lenet:relu4:lte", "lenet:pool1:wifi", "lenet:pool1:lte", "alexnet:relu7:wifi")
MARK, WARM_UPS = 0.9, 20


def trial(
    device: DeviceProfile,
    at: str,
    link_name: str,
    *,
    inferences: int,
    singles: int,
    in_flight: int | None,
    pack: int | None,
) -> tuple[Pace, float, Streamed]:
    """What each part takes, inferences a second one at a time, and what the stream did."""
    link = links.load(link_name)
    plan = cut(device, device, link, noise="laplace", at=at)
    _, side = planned_edge(plan)
    with (
        local_cloud(plan, link) as url,
        connect(url, plan, side) as client,
        side.half(stand_in(plan, side.agreed), client, timing=True) as edge,
    ):
        alone = [edge.infer(side.example) for _ in range(WARM_UPS + singles)][WARM_UPS:]
        parts = measured_parts(alone, 1.0, 1.0, one_clock=True)
        pace = Pace.measured(parts, link, exchange=alone[-1].exchange)
        rows = [np.broadcast_to(one[:1], (inferences, *one.shape[1:])) for one in side.example]
        together = pace.pack(batch=side.agreed.batch) if pack is None else pack
        most = in_flight or pace.packed(together).in_flight
        with Stream(edge, client, in_flight=most, pack=together) as stream:
            planned = Pace.predicted(plan.predicted, link)
            _, found = streamed(stream, side, rows, pace=pace, predicted=planned)
    took_s = (alone[-1].end_ns - alone[0].start_ns) / 1e9
    return pace, len(alone) / took_s, found


def show(case: Sequence[str], pace: Pace, alone_per_s: float, found: Streamed) -> None:
    ratio = found.per_s / found.slowest_per_s
    model, at, link = case
    print(
        f"{model:8} {at:8} {link:5} {pace.edge:8.3f} {pace.uplink:8.3f} {pace.cloud:8.3f} {pace.downlink:8.3f} "
        f"{found.slowest_part:8} {found.slowest_per_s:8.1f} {alone_per_s:8.1f} {found.per_s:8.1f} {ratio:6.2f} "
        f"{'kept' if ratio >= MARK else 'MISSED':6} {found.per_message:5.1f} {found.in_flight:9} "
        f"{found.latency_ms.p50:8.2f} {found.latency_ms.p95:8.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES, help="MODEL:CUT:LINK")
    parser.add_argument("--inferences", type=int, default=3000, help="streamed, a case")
    parser.add_argument("--singles", type=int, default=200, help="one at a time, a case")
    parser.add_argument("--in-flight", type=int, help="exchanges at one time (default: from the parts)")
    parser.add_argument("--pack", type=int, help="inferences in one message, at most (default: from the parts)")
    chosen = parser.parse_args()
    print(
        "model    cut      link   edge ms    up ms cloud ms  down ms slowest  allows/s  alone/s stream/s  ratio "
        "       a msg in flight   p50 ms   p95 ms"
    )
    devices: dict[str, DeviceProfile] = {}
    for name in chosen.cases:
        model, at, link = name.split(":")
        if model not in devices:
            devices[model] = profile(model, threads=1)
        counts = {
            "inferences": chosen.inferences,
            "singles": chosen.singles,
            "in_flight": chosen.in_flight,
            "pack": chosen.pack,
        }
        show((model, at, link), *trial(devices[model], at, link, **counts))


if __name__ == "__main__":
    main()
