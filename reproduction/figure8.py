"""Figure 8: the best privacy at under 5 points of accuracy lost, against the edge's compute, a point for each cut."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.picture import BLUE, GREEN, ORANGE
from planner.planning import cut
from profiles.link import presets
from profiles.profiling import profile
from reproduction.benchmark_networks import CALLED, EDGE, LINK, planned
from reproduction.deeper_cut import Deeper, deeper_step
from reproduction.networks import CLOUD
from reproduction.part import Found, Pictures, Verdict
from reproduction.picture import drawn, legend_below
from reproduction.prose import bullets, paragraph
from reproduction.step import Result, Step
from reproduction.table import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME, TITLE = "figure8", "Figure 8: privacy for edge compute, by cut"
#: Behind each convolution, with the activation and pooling that follow it. SVHN's first is left out: an estimate on
#: its 32,768 elements takes more memory than the rest of this page together.
CUTS = {
    "lenet": ("pool1", "pool2", "flatten"),
    "cifar10": ("pool1", "pool2", "flatten"),
    "svhn": ("pool1", "relu3", "pool2", "relu5", "pool3", "flatten"),
}
#: Learned where that takes minutes; one scale for all elements is not learned, and so is to be had everywhere.
KINDS = {
    "lenet": ("one-scale", "laplace", "channel"),
    "cifar10": ("one-scale", "laplace"),
    "svhn": ("one-scale",),
}
QUICK = {"lenet": ("one-scale",)}
STYLES: dict[str, dict[str, Any]] = {
    "laplace": {"color": BLUE, "marker": "o", "label": "laplace, the paper's noise"},
    "one-scale": {"color": ORANGE, "marker": "^", "label": "Gaussian of one scale"},
    "channel": {"color": GREEN, "marker": "s", "label": "channel"},
}
#: Normalised privacy that the last cut adds, below which it is a plateau; and the share by which the proven bits fall
#: there, above which it is one of the estimate alone.
PLATEAU, STILL_FALLS = 0.1, 0.25


def steps(*, quick: bool) -> Sequence[Step]:
    made = []
    for network, kinds in (QUICK if quick else KINDS).items():
        made.append(_edge_step(network))
        made += [deeper_step(Deeper(network, at, kind)) for kind in kinds for at in CUTS[network]]
    return made


def _edge_step(network: str) -> Step:
    settings = {"network": network, "cuts": list(CUTS[network]), "edge": EDGE, "cloud": CLOUD, "threads": 1}
    command = f"plan profile {network} --threads 1; plan profile {network} --as {EDGE}"
    return Step(f"figure8-edge-{network}", partial(_edge_times, network), "measured", settings, command)


def _edge_times(network: str, scratch: Path) -> Mapping[str, Any]:
    """Milliseconds of the edge half at each cut: modelled for the paper's board, measured on one thread here."""
    here = profile(network, threads=1, seconds=1.0)
    return {
        "modelled": {at: planned(network, at=at).predicted.edge_ms for at in CUTS[network]},
        "measured": {at: cut(here, here, presets()[LINK], at=at).predicted.edge_ms for at in CUTS[network]},
    }


def cuts_of(found: Found, network: str, kind: str) -> dict[str, Result]:
    """From shallow to deep."""
    names = {at: Deeper(network, at, kind).name for at in CUTS[network]}
    return {at: found[name] for at, name in names.items() if name in found}


def normalised(bits: Sequence[float], *, first: float) -> list[float]:
    """Privacy of each cut over that of the last: bits lost of what the first cut's tensor carries without noise."""
    return [(first - one) / (first - bits[-1]) for one in bits]


def plateaus(values: Sequence[float]) -> bool | None:
    """Whether the last cut adds little; None of fewer than three. values: over the last one's."""
    return None if len(values) < 3 else values[-1] - values[-2] < PLATEAU


def last_fall(made: Mapping[str, Result]) -> float | None:
    """The share by which the last cut lowers the proven bits; None where nothing is proven."""
    bounds = [one.figures["covariance_bits"] for one in made.values()]
    if any(bits is None for bits in bounds):
        return None
    return float((bounds[-2] - bounds[-1]) / bounds[-2])


def privacy(made: Mapping[str, Result]) -> list[float]:
    first = next(iter(made.values())).figures["clean"]["bits"]
    return normalised([one.figures["noisy"]["bits"] for one in made.values()], first=first)


def _series(found: Found) -> dict[str, dict[str, dict[str, Result]]]:
    every = {
        network: {kind: made for kind in kinds if len(made := cuts_of(found, network, kind)) > 1}
        for network, kinds in KINDS.items()
        if f"figure8-edge-{network}" in found
    }
    return {network: kinds for network, kinds in every.items() if kinds}


def verdict(found: Found) -> Verdict:
    series = _series(found)
    if not series:
        return Verdict("not made", "the edge's times or the cuts are missing")
    every = [(network, kind, made) for network, kinds in series.items() for kind, made in kinds.items()]
    shapes = [(f"{CALLED[network]} ({kind})", plateaus(privacy(made))) for network, kind, made in every]
    flat, rising = ([name for name, shape in shapes if shape is wanted] for wanted in (True, False))
    if not flat and not rising:
        return Verdict("not reproduced", "fewer than three cuts of any network are there")
    if not flat:
        return Verdict("differs", f"no plateau by the last convolution for {', '.join(rising)}")
    falls = [share for _, _, made in every if (share := last_fall(made)) is not None and share > STILL_FALLS]
    but = f"; what is proven to cross still falls by {100 * max(falls):.0f} % at the last cut" if falls else ""
    rest = f"; none for {', '.join(rising)}" if rising else ""
    return Verdict("on a stand-in", f"by the estimate a plateau for {', '.join(flat)}{rest}{but}")


def section(found: Found, pictures: Pictures, *, quick: bool) -> str:
    series = _series(found)
    text = (
        "Above, normalised privacy by the estimate against the edge's modelled compute, a point for each cut; below, "
        "the bits that are proven to cross at most"
    )
    picture = pictures.svg("figure8", picture_of(series, found), text=text)
    return "\n\n".join([_introduction(series), picture, _table(series, found), _differences(series)])


def picture_of(series: Mapping[str, Mapping[str, Mapping[str, Result]]], found: Found) -> bytes:
    def draw(figure: "Figure", panels: list["Axes"]) -> None:
        for column, (network, kinds) in enumerate(series.items()):
            upper, lower = panels[column], panels[len(series) + column]
            for kind, made in kinds.items():
                times = [found[f"figure8-edge-{network}"].figures["modelled"][at] for at in made]
                upper.plot(times, privacy(made), **STYLES[kind])
                bounds = [one.figures["covariance_bits"] for one in made.values()]
                if all(bits is not None for bits in bounds):
                    lower.plot(times, bounds, **STYLES[kind])
            upper.set(title=CALLED[network], ylabel="normalised privacy" if not column else None)
            lower.set(xlabel=f"edge compute, ms ({EDGE}, modelled)", ylabel="proven ≤, bits" if not column else None)
            upper.set_ylim(0, 1.1)
            lower.set_ylim(bottom=0)
            for axes in (upper, lower):
                axes.set_xlim(left=0)
        legend_below(figure, panels, columns=3)

    return drawn(2, len(series), draw, height=2.2)


def _introduction(series: Mapping[str, Mapping[str, Mapping[str, Result]]]) -> str:
    one = next(iter(next(iter(next(iter(series.values())).values())).values())).figures["noisy"]
    return paragraph(
        f"""The paper shows AlexNet and VGG-16, whose data cannot be had. Here (*stand-in*) smaller networks, a
        point behind each convolution, each with the strongest noise that loses no more than 5 points. *Normalised
        privacy*: the bits of the paper's estimate that are lost of what the first cut's tensor carries without
        noise, over those lost at the last cut (the paper does not say what it divides). k = {one["k"]},
        {one["samples"]:,} samples, images of the data set and the tensor as they are. *Gaussian of one scale* is
        not learned, so it is there at every cut. Edge compute is *modelled* for the paper's board ({EDGE}); the
        table has this machine's beside it."""
    )


def _table(series: Mapping[str, Mapping[str, Mapping[str, Result]]], found: Found) -> str:
    rows = []
    for network, kinds in series.items():
        edge = found[f"figure8-edge-{network}"].figures
        for kind, made in kinds.items():
            for (at, one), value in zip(made.items(), privacy(made), strict=True):
                figures = one.figures
                bound = figures["covariance_bits"]
                rows.append(
                    [
                        f"{CALLED[network]}, {at}, {kind}",
                        f"{figures['elements']:,}",
                        f"{edge['modelled'][at]:.2f}; {edge['measured'][at]:.2f}",
                        f"{figures['loss_points']:.1f}",
                        f"{figures['clean']['bits']:.0f} → {figures['noisy']['bits']:.0f}",
                        f"{value:.2f}",
                        "–" if bound is None else f"{bound:.1f}",
                    ]
                )
    columns = [
        "cut behind, noise",
        "n",
        "edge ms: modelled; here",
        "loss",
        "estimate",
        "normalised",
        "proven ≤, bits",
    ]
    return table(columns, rows)


def _differences(series: Mapping[str, Mapping[str, Mapping[str, Result]]]) -> str:
    return "### Where Figure 8 differs\n\n" + bullets(
        _proven(series),
        """*Estimates of different cuts have different dimensions*, so strictly they do not compare: a tensor of
        more elements weighs more in the distances. The normalised figure leans on that comparison, as the paper's
        does; the proven one does not.""",
        """Three convolutions leave little room for a plateau; the network of seven is the nearer stand-in for
        AlexNet's five and VGG-16's thirteen, on generated data."""
        if "svhn" in series
        else "",
        """The 5 points are of the rows that judge: 2,000 test rows for the noise of one scale (± 1 point or
        more, by the share of answers that change), the hold-out for what is learned, which loses a little more or
        less on the test set; one seed.""",
    )


def _proven(series: Mapping[str, Mapping[str, Mapping[str, Result]]]) -> str:
    """What the bound says of depth."""
    said = []
    for network, kinds in series.items():
        for kind, made in kinds.items():
            if (share := last_fall(made)) is not None:
                bounds = [one.figures["covariance_bits"] for one in made.values()]
                fall = f"{bounds[0]:.0f} → {bounds[-1]:.0f} bits, by {100 * share:.0f} % at the last cut"
                said.append(f"{CALLED[network]}, {kind}: {fall}")
    if not said:
        return ""
    return f"""*Proven*, from the first cut to the last: {"; ".join(said)}. Where the last cut still lowers it much,
        the deepest cut pays, plateau of the estimate or not."""
