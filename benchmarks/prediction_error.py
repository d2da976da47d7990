"""Does the prediction hold? Every legal cut of the paper's six networks on two emulated links, against its plan.

    OMP_NUM_THREADS=1 python benchmarks/prediction_error.py [MODEL ...] [--links wifi lte] [--cuts NAME ...]
        [--engine E] [--seconds S] [--budget S] [--out DIR]

Each network is profiled here, on one thread, as both devices, and planned at every legal cut of a chain; then both
halves run as `plan run` runs them: edge half and noise in this process, a server process, an emulated link as a
third. The predicted total stands beside the median of single inferences. Noise: a Laplace of one fixed scale for
every element, a stand-in for learned noise, since most of these networks are not trained and noise is learned for
one cut at a time; drawing and adding it is the real thing, and it is priced as `plan cut --noise laplace` prices it.

Prints a table and the errors' median and largest; with --out also prediction_error.json and prediction_error.png.
Printed, not asserted: run it on an idle machine.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from planner.plan import Plan
from planner.planning import cut
from profiles import artifact
from profiles.device import DeviceProfile
from profiles.link import load
from profiles.profiling import PAUSE_MS, profile
from reproduction.stand_in import stand_in
from runtime.connecting import connect
from runtime.edge import Inference
from runtime.emulation import Order
from runtime.local import emulated_link, local_cloud
from runtime.parts import measured_parts
from runtime.record import MeasuredParts
from runtime.serving import planned_edge

MODELS = ("lenet", "cifar10", "svhn", "newsgroups", "alexnet", "vgg16")
#: 18.88 Mbps and 5 ms; 5.85 Mbps and 50 ms.
LINKS = ("wifi", "lte")
#: An inference that takes so long is the link's alone, which does not scatter: three will do.
LONG_S = 3.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One cut on one link: medians and interquartile range over the inferences, milliseconds."""

    network: str
    link: str
    cut: str
    upload_bytes: int
    bytes_up: int
    predicted_ms: dict[str, float]
    measured_ms: dict[str, float | None]
    iqr_ms: float
    inferences: int
    engine: str

    @property
    def error(self) -> float:
        """Of the predicted total, relative to the measured one."""
        return self.predicted_ms["total"] / float(self.measured_ms["total"] or np.nan) - 1


class Repeats(msgspec.Struct, frozen=True):
    """How often a cut is run: as the budget allows between these, after some that do not count."""

    budget_s: float = 4.0
    least: int = 5
    most: int = 30
    warm_ups: int = 3

    def count(self, once_s: float) -> int:
        least = self.least if once_s < LONG_S else min(self.least, 3)
        return int(min(self.most, max(least, self.budget_s / (once_s + PAUSE_MS / 1000))))


PARTS = ("edge", "noise", "uplink", "cloud", "downlink", "total")


def plans(device: DeviceProfile, link: str, names: Sequence[str] | None = None) -> Iterator[Plan]:
    """One for every legal cut: of a chain these are the linear ones, which a plan carries. names: these alone."""
    every = cut(device, device, load(link), noise="laplace")
    for name in (one.name for one in every.candidates):
        if names is None or name in names:
            yield cut(device, device, load(link), noise="laplace", at=name)


def measure_cut(plan: Plan, repeats: Repeats, *, pause_ms: float = PAUSE_MS) -> list[Inference]:
    """Single inferences of a plan over its emulated link, each after a pause: that of profiles, if no other."""
    return next(measure_links([plan], repeats, pause_ms=pause_ms))


def measure_links(
    plans: Sequence[Plan], repeats: Repeats, *, pause_ms: float = PAUSE_MS
) -> Iterator[list[Inference]]:
    """As `measure_cut`, of one cut over several links in turn: one cloud serves them all."""
    _, side = planned_edge(plans[0])
    noise = stand_in(plans[0], side.agreed)
    with (
        local_cloud(plans[0], None) as bare,
        emulated_link(plans[0].link, bare) as (url, order),
        connect(url, plans[0], side) as client,
        side.half(noise, client, timing=True) as edge,
    ):
        for plan in plans:
            order(Order(link=plan.link))
            once_s, found = 0.0, []
            # Long inferences are warm after one.
            for _ in range(repeats.warm_ups if plan.predicted.total_ms < 1000 else 1):
                once_s = edge.infer(side.example).total_ms / 1000
            for _ in range(repeats.count(once_s)):
                time.sleep(pause_ms / 1000)
                found.append(edge.infer(side.example))
            yield found


def finding(plan: Plan, singles: Sequence[Inference]) -> Finding:
    predicted = plan.predicted
    parts: MeasuredParts = measured_parts(singles, predicted.uplink_ms, predicted.downlink_ms, one_clock=True)
    totals = [one.total_ms for one in singles]
    low, high = np.percentile(totals, [25, 75])
    measured = {name: getattr(parts, name) for name in PARTS}
    return Finding(
        network=plan.model.name,
        link=plan.link.name,
        cut=plan.cut.name,
        upload_bytes=predicted.upload_bytes,
        bytes_up=singles[-1].exchange.bytes_up,
        predicted_ms={name: getattr(predicted, f"{name}_ms") for name in PARTS},
        measured_ms={name: one.p50 if one else None for name, one in measured.items()},
        iqr_ms=float(high - low),
        inferences=len(singles),
        engine=plan.edge.engine,
    )


def show(one: Finding, *, parts: bool) -> None:
    measured = one.measured_ms["total"]
    print(
        f"{one.network:11} {one.link:5} {one.cut:12.12} {one.upload_bytes:10,} {one.predicted_ms['total']:10.2f} "
        f"{measured:10.2f} {one.iqr_ms:7.2f} {one.inferences:4} {100 * one.error:+7.1f} %",
        flush=True,
    )
    if parts:
        cells = (f"{name} {one.predicted_ms[name]:.2f}/{one.measured_ms[name]:.2f}" for name in PARTS[:-1])
        headers = one.bytes_up - one.upload_bytes
        print(f"            {', '.join(cells)}; {headers} bytes of headers", flush=True)


def summary(found: Sequence[Finding]) -> str:
    errors = np.abs([one.error for one in found])
    worst = found[int(errors.argmax())]
    return (
        f"{len(found)} cuts: median error {100 * np.median(errors):.1f} %, largest {100 * errors.max():.1f} % "
        f"({worst.network}, {worst.link}, {worst.cut})"
    )


def scatter(found: Sequence[Finding], path: Path) -> None:
    """Predicted over measured, both links, with the identity and bands of ±5 and ±10 %."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 5.5), layout="constrained")
    measured = np.array([one.measured_ms["total"] for one in found], dtype=float)
    line = np.array([measured.min() / 1.3, measured.max() * 1.3])
    axes.fill_between(line, 0.9 * line, 1.1 * line, color="0.92", label="±10 %")
    axes.fill_between(line, 0.95 * line, 1.05 * line, color="0.8", label="±5 %")
    axes.plot(line, line, color="0.4", linewidth=0.8)
    for link, mark in zip(dict.fromkeys(one.link for one in found), "o^sv", strict=False):
        here = [one for one in found if one.link == link]
        axes.plot(
            [one.measured_ms["total"] for one in here],
            [one.predicted_ms["total"] for one in here],
            mark,
            markersize=5,
            markerfacecolor="none",
            label=load(link).label.replace("imported", "emulated"),
        )
    axes.set(xscale="log", yscale="log", xlabel="measured total, ms (median)", ylabel="predicted total, ms")
    axes.legend(loc="upper left", fontsize=8)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--links", nargs="+", default=LINKS, help="presets or files")
    parser.add_argument("--cuts", nargs="+", help="these alone (default: every legal one)")
    parser.add_argument("--engine", help="torch, onnxruntime or auto, as `plan profile` takes it")
    parser.add_argument("--seconds", type=float, default=10.0, help="of profiling, a network")
    parser.add_argument("--budget", type=float, default=4.0, help="seconds of inferences, a cut and link")
    parser.add_argument("--parts", action="store_true", help="every part, predicted/measured")
    parser.add_argument("--out", type=Path, help="folder for the figures as JSON and the scatter plot")
    chosen = parser.parse_args()
    engine = {"engine": chosen.engine} if chosen.engine else {}
    print(
        f"{'network':11} {'link':5} {'cut after':12} {'bytes':>10} {'predicted':>10} {'measured':>10} {'iqr ms':>7}"
    )
    found: list[Finding] = []
    for name in chosen.models:
        device = profile(name, threads=1, name="here", seconds=chosen.seconds, **engine)
        print(f"{name}: {device.device.label}, whole {device.whole_ms:.2f} ms. {device.doubt or ''}")
        for of_cut in zip(*(plans(device, link, chosen.cuts) for link in chosen.links), strict=True):
            assert len({plan.cut.name for plan in of_cut}) == 1
            for plan, singles in zip(of_cut, measure_links(of_cut, Repeats(chosen.budget)), strict=True):
                found.append(finding(plan, singles))
                show(found[-1], parts=chosen.parts)
    if not found:
        raise SystemExit(f"no such cut: {', '.join(chosen.cuts or ())}")
    print(summary(found))
    if chosen.out is not None:
        chosen.out.mkdir(parents=True, exist_ok=True)
        artifact.write_bytes(
            chosen.out / "prediction_error.json", msgspec.json.format(msgspec.json.encode(found), indent=1)
        )
        scatter(found, chosen.out / "prediction_error.png")


if __name__ == "__main__":
    main()
