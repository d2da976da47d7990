"""Table 3: information before and after, accuracy, epochs, parameters and footprint, beside what the paper prints."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, log2
from statistics import mean
from typing import Any

from profiles.zoo.catalog import ZOO
from reproduction.benchmark_networks import CALLED
from reproduction.part import Found, Pictures, Verdict
from reproduction.printed_table3 import PRINTED, Printed
from reproduction.prose import bullets, listed, paragraph
from reproduction.shredded import BUDGET_POINTS, COUNT, noise_step
from reproduction.step import Result, Step
from reproduction.table import table

NAME, TITLE = "table3", "Table 3: information, accuracy, footprint"
KINDS = ("laplace", "channel")
#: Runs of each network: what is quick to learn is learned twice, for the spread.
SEEDS = {"lenet": 2, "cifar10": 1, "svhn": 1, "newsgroups": 1}


def steps(*, quick: bool) -> Sequence[Step]:
    networks = {"lenet": 1} if quick else SEEDS
    return [
        noise_step(network, kind, seed, quick=quick)
        for network, seeds in networks.items()
        for kind in KINDS
        for seed in range(seeds)
    ]


def footprint_kilobytes(elements: int, *, distributions: int = COUNT) -> float:
    """Orders of n elements at ⌈log2 n⌉ bits each, in KB of 1024 bytes; two numbers a distribution are not counted."""
    return distributions * elements * ceil(log2(elements)) / 8 / 1024


def share_percent(network: str) -> float:
    """A noise tensor's elements over all parameters of the network, which DPFE learns anew."""
    entry = ZOO[network]
    return 100 * (entry.paper_elements or 0) / entry.parameters


def lost_percent(before: float, after: float) -> float:
    return 100 * (1 - after / before)


def learned_point(one: Result) -> Mapping[str, Any]:
    """The noise as it was learned, neither weaker nor stronger."""
    return next(point for point in one.figures["points"] if point["gain"] == 1.0)


def _lost(one: Result) -> float:
    """Percent of the estimate, by the noise as it was learned."""
    return lost_percent(one.figures["clean"]["bits"], learned_point(one)["bits"])


def proven_bits(one: Result) -> float:
    """The smaller of two upper bounds on what the noise lets through."""
    return float(min(bound["bits"] for bound in one.figures["bounds"]))


def runs(found: Found, network: str, kind: str) -> list[Result]:
    """By seed."""
    made = [found[name] for seed in range(9) if (name := f"noise-{network}-{kind}-{seed}") in found]
    return [one for one in made if one.figures["points"]]


def networks_of(found: Found) -> list[str]:
    return [one for one in PRINTED if any(runs(found, one, kind) for kind in KINDS)]


def verdict(found: Found) -> Verdict:
    """Footprints are arithmetic; what counts is whether the paper's own noise loses as much information."""
    apart = []
    for network in networks_of(found):
        if made := runs(found, network, "laplace"):
            ours = mean(_lost(one) for one in made)
            apart.append((network, PRINTED[network].lost_percent - ours))
    less = [CALLED[name] for name, gap in apart if gap > 5]
    reached = [CALLED[name] for name, gap in apart if gap <= 5]
    exact = "footprints to the digit where the element count is known"
    if not apart:
        return Verdict("reproduced in part", f"{exact}; no run of the paper's noise is there")
    if not less:
        return Verdict("reproduced", f"{exact}; the paper's noise loses as much of the estimate as printed")
    also = f", for {listed(reached)} as much" if reached else ""
    return Verdict(
        "reproduced in part",
        f"{exact}; at {BUDGET_POINTS:g} points the paper's noise loses less of the estimate than printed for "
        f"{listed(less)}{also}, once accuracy is that under noise drawn afresh",
    )


def section(found: Found, pictures: Pictures, *, quick: bool) -> str:
    without_data = paragraph(
        """Without data (*exact*): the footprint of 20 orders, 20 · n · ⌈log2 n⌉ bits, and a noise tensor's n
        numbers over the network's parameters, all of which DPFE learns anew. Printed: *imported*."""
    )
    blocks = [_introduction(found), _information(found), _accuracy(found), without_data, _exact()]
    return "\n\n".join(one for one in [*blocks, _differences(found), _varied(found)] if one)


def _introduction(found: Found) -> str:
    seeds = ", ".join(f"{CALLED[one]} {len(runs(found, one, 'laplace'))}" for one in networks_of(found))
    return paragraph(
        f"""Each network is cut where the paper cuts it and learns noise at a budget of {BUDGET_POINTS:g} points of
        hold-out accuracy: `laplace` is the paper's ({COUNT} distributions with their orders, Equation 4),
        `channel` ours. Runs of `laplace`: {seeds}; of several the mean is shown, with the least and the most.
        *Before*, *after*: the paper's estimate of I(x; a') in bits, by k nearest neighbours (ITE's Shannon mutual
        information with KL divergence, k = 3), of images in [0, 1] and tensors as they are, nothing scaled. It
        exceeds what so few samples can support (log2 of their number), so only figures of equal k, samples,
        dimensions and scaling compare: those of one row, not the printed ones beside them. It is no guarantee;
        *proven* is: an upper bound in bits, of which `laplace` has only one that is too large to promise anything
        ([privacy](privacy.md))."""
    )


def _made(found: Found) -> Iterator[tuple[str, Printed, str, list[Result]]]:
    """What there is: network, what is printed of it, kind of noise, its runs."""
    for network in networks_of(found):
        for kind in KINDS:
            if made := runs(found, network, kind):
                yield network, PRINTED[network], kind, made


def _information(found: Found) -> str:
    rows = []
    for network, printed, kind, made in _made(found):
        clean = made[0].figures["clean"]
        before = [one.figures["clean"]["bits"] for one in made]
        after = [learned_point(one)["bits"] for one in made]
        lost = [lost_percent(*pair) for pair in zip(before, after, strict=True)]
        proven = [proven_bits(one) for one in made if one.figures["bounds"]]
        rows.append(
            [
                f"{CALLED[network]}, `{kind}`",
                f"{clean['samples']:,} × {clean['dimensions']:,}",
                f"{spread(before)} → {spread(after)}",
                f"{spread(lost)}",
                f"{printed.before_bits:g} → {printed.after_bits:g}" if kind == "laplace" else "",
                f"{printed.lost_percent:g}" if kind == "laplace" else "",
                spread(proven) if proven else "–",
            ]
        )
    columns = [
        "network, noise",
        "samples × dimensions",
        "before → after",
        "lost, %",
        "printed",
        "printed, %",
        "proven ≤",
    ]
    return table(columns, rows)


def _accuracy(found: Found) -> str:
    rows = []
    for network, printed, kind, made in _made(found):
        each = [one.figures["accuracy"] for one in made]
        low, high = each[0]["interval_points"]
        rows.append(
            [
                f"{CALLED[network]}, `{kind}`",
                f"{each[0]['clean']:.2f}",
                f"{spread([one['loss_points'] for one in each], 2)} [{low:.2f}, {high:.2f}]",
                f"{printed.loss_points:.2f} ± {printed.margin:.2f}" if kind == "laplace" else "",
                f"{made[0].figures['epochs']:.1f}",
                f"{printed.epochs:g}" if kind == "laplace" else "",
                f"{made[0].figures['footprint_bytes'] / 1024:.2f}",
            ]
        )
    columns = ["network, noise", "clean, %", "loss, points", "printed", "epochs", "printed", "on disk, KB"]
    words = paragraph(
        """Accuracy of all test inputs, noise drawn afresh for each; in brackets the paired 95 % interval of the
        first run. On disk: the orders; of `channel` its map and noise."""
    )
    return f"{words}\n\n{table(columns, rows)}"


def _exact() -> str:
    rows = []
    for network, printed in PRINTED.items():
        elements = ZOO[network].paper_elements or 0
        kilobytes = footprint_kilobytes(elements)
        rows.append(
            [
                CALLED[network].removesuffix(" (stand-in data)"),
                f"{elements:,}",
                f"{kilobytes:.2f}",
                f"{printed.footprint:.2f}",
                f"{share_percent(network):.3f}",
                f"{printed.share_percent:.2f}",
            ]
        )
    return table(["network", "n", "footprint, KB", "printed", "parameters over DPFE's, %", "printed"], rows)


def _differences(found: Found) -> str:
    newsgroups = [one for kind in KINDS for one in runs(found, "newsgroups", kind)]
    return "### Where Table 3 differs\n\n" + bullets(
        f"""*Footprint*: to every printed digit for LeNet, SVHN, AlexNet and VGG-16. CIFAR-10's printed 8.70 fits n
        = 396 ({footprint_kilobytes(396):.2f}), while Figure 6's times fit the 400 elements used here; 20
        Newsgroups' network is not the paper's (118 elements fit best).""",
        """*Parameters*: the first four agree without the auto-encoder's own; VGG-16's agrees cut off, not
        rounded; 20 Newsgroups' network has a larger embedding here.""",
        """*Before*: other k, sample counts and scalings of the same tensors give other bits (below, LeNet); the
        paper names none of them. The networks' weights differ too, and for SVHN the data: a generated stand-in,
        which says nothing of SVHN.""",
        _fixed_tensor(found),
        _hard_problem(found),
        _misranked(found),
        """*20 Newsgroups*: the input is token ids, up to 20,000 in size, beside tensors of size 1: distances see
        the ids alone, so the estimate hardly falls whatever the noise. What the paper took for x it does not say."""
        if all(_lost(one) < 10 for one in newsgroups) and newsgroups
        else "",
        """*Epochs*: of one run of learning over the training data; here all tensors of the collection are learned
        as one batch, in 300 steps.""",
        """*Loss*: the budget is kept on the hold-out; MNIST's test digits are a little harder, 20 Newsgroups'
        test postings are newer.""",
        "The printed average of the loss of information, 74.70 %, is VGG-16's own; the six columns' mean is 72.12 %.",
        """**The estimate promises nothing.** From LeNet's `laplace` an informed adversary reads picture and slant
        almost as if there were no noise ([attacks](privacy.md)), whatever share of the estimate was lost.""",
    )


def _fixed_tensor(found: Found) -> str:
    """What Figure 5's run says of the printed loss: the noise of the α that the paper gives, on LeNet."""
    known = [one for one in found.values() if one.step == "figure5-lenet-0.01"]
    if not known:
        return ""
    figures = known[0].figures
    before, after = figures["clean_estimate"]["bits"], figures["drawn_estimate"]["bits"]
    kept = figures["clean_percent"] - mean(figures["tensor_percent"])
    drawn = figures["clean_percent"] - figures["drawn_percent"]
    printed, ours = PRINTED["lenet"], runs(found, "lenet", "laplace")
    less = """less than printed for LeNet, because here the accuracy under noise *drawn afresh* keeps the budget."""
    lost = lost_percent(before, after)
    near = abs(lost - printed.lost_percent) <= 5
    at_once = """Both printed figures are met at once only by the accuracy of the one and the information of the
        other. Whether that is what was measured is not known."""
    within = printed.loss_points + printed.margin
    is_less = bool(ours) and mean(map(_lost, ours)) < printed.lost_percent - 5
    return f"""*Lost*: {less * is_less} At Table 2's α = 0.01 (Figure 5's run,
        {figures["clean_estimate"]["samples"]:,} samples) the *learned* tensors cost {kept:.1f} points, and
        noise drawn from their fits loses {lost:.0f} % of the estimate ({before:.0f} → {after:.0f} bits), where
        {printed.lost_percent} is printed; drawn so, it costs {drawn:.0f} points.
        {at_once * (near and kept <= within < drawn)}"""


def _hard_problem(found: Found) -> str:
    made, other = (runs(found, one, "laplace") for one in ("cifar10", "lenet"))
    if not made or not other or made[0].figures["snr_inverse"] > 0.5 * other[0].figures["snr_inverse"]:
        return ""
    ours, lenet = (one[0].figures["snr_inverse"] for one in (made, other))
    return f"""*CIFAR-10* bears little noise at this cut: σ²(n) is {ours:.2f} of E[a²] where LeNet's is
        {lenet:.2f}, for many of its test inputs are near a mistake already
        ({100 - made[0].figures["accuracy"]["clean"]:.0f} % are one). A deeper cut is what helps there (Figure 8)."""


def _misranked(found: Found) -> str:
    """Where the estimate says that more is left than is proven to cross at most."""
    wrong = []
    for network in networks_of(found):
        for one in runs(found, network, "channel")[:1]:
            left, most = learned_point(one)["bits"], proven_bits(one)
            if left > most:
                wrong.append(f"{CALLED[network]} {left:.0f} bits where at most {most:.1f} cross")
    if not wrong:
        return ""
    return f"*The estimate misranks*: of `channel` it says, {'; '.join(wrong)} (proven, for any adversary)."


def _varied(found: Found) -> str:
    made = [one for one in runs(found, "lenet", "laplace") if one.figures["variations"]]
    if not made:
        return ""
    rows = [
        [
            f"{one['k']}",
            f"{one['samples']:,}",
            f"{one['scale']:g}",
            f"{one['before']:.0f} → {one['after']:.0f}",
            f"{lost_percent(one['before'], one['after']):.0f}",
        ]
        for one in made[0].figures["variations"]
    ]
    words = "The same noise and the same 904 dimensions (LeNet, `laplace`, first run), estimated in other ways:"
    return f"{words}\n\n{table(['k', 'samples', 'images ×', 'before → after, bits', 'lost, %'], rows, left=0)}"


def spread(values: Sequence[float], digits: int | None = None) -> str:
    """The mean; of several with the least and the most."""
    middle = mean(values)
    if digits is None:
        digits = 0 if abs(middle) >= 100 else 1
    shown = f"{middle:.{digits}f}"
    return shown if len(values) == 1 else f"{shown} ({min(values):.{digits}f} to {max(values):.{digits}f})"
