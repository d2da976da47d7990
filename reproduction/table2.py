"""Table 2: where to cut, and how well the networks do before anything is added."""

from collections.abc import Mapping, Sequence
from typing import Any

from profiles.link import presets
from profiles.zoo.catalog import ZOO
from reproduction import table2_steps
from reproduction.networks import EDGES
from reproduction.part import Found, Pictures, Verdict
from reproduction.printed import TABLE_2
from reproduction.prose import listed, paragraph
from reproduction.step import Provenance, Step, of_network
from reproduction.table import table
from reproduction.table2_reasons import EDGE_NAMES, differences, vgg16

NAME, TITLE = "table2", "Table 2: cuts and pre-trained accuracy"
#: Networks with data, and what to call an accuracy there.
WITH_DATA: dict[str, Provenance] = {
    "lenet": "measured",
    "cifar10": "measured",
    "svhn": "stand-in",
    "newsgroups": "measured",
}
Figures = dict[str, Any]


def steps(*, quick: bool) -> Sequence[Step]:
    """quick: accuracies of the networks alone whose weights come with the tool."""
    made = [
        Step(f"table2-cuts-{name}", of_network(table2_steps.cuts, name), "modelled", {"links": table2_steps.LINKS})
        for name in TABLE_2
    ]
    for name, provenance in WITH_DATA.items():
        if not quick or ZOO[name].weights is not None:
            made.append(Step(f"table2-accuracy-{name}", of_network(table2_steps.accuracy, name), provenance))
    return made


def verdict(found: Found) -> Verdict:
    agreed, of, apart = agreement(_cuts(found), "wifi")
    counted = f"of the {of} cuts that are legible {agreed} are the best after a convolution on Wi-Fi, modelled"
    others = f", not so {listed(apart)}" if apart else ""
    accuracies = f"; accuracies of {len(_accuracies(found))} networks"
    return Verdict("reproduced in part" if apart or not of else "reproduced", counted + others + accuracies)


def section(found: Found, pictures: Pictures, *, quick: bool) -> str:
    made, accuracies = _cuts(found), _accuracies(found)
    return "\n\n".join(
        [
            paragraph(
                "Where the partitioner cuts the six networks for a Jetson TX2 (its CPU or its GPU) and a Titan Xp.",
                "The devices are *modelled* (`plan profile NAME --as tx2-gpu`); the links are the presets `wifi` and",
                f"`lte` (*imported*: {_link('wifi')}; {_link('lte')}). A cut has the number of the last convolution",
                "on the edge, as the paper counts; F1 and F2 are after a linear layer, which it does not number.",
                "As in the paper, noise is not priced.",
            ),
            "**Legal cuts** (*exact*), in graph order, by the tensor that crosses.",
            _legal(made),
            _chains(made),
            paragraph(
                "**Chosen cuts** (*modelled*; the paper's *imported*), on Wi-Fi / on LTE. After a convolution: the",
                "best of those cuts alone that the paper numbers. Range: the uplinks from 0.1 to 1000 Mbps at which",
                "the paper's cut is that.",
            ),
            _chosen(made),
            _agreement_text(made),
            *(vgg16(made["vgg16"], pictures) if "vgg16" in made else ()),
            "**Pre-trained accuracy**, percent of the test set, with half the width of its 95 % interval.",
            _accuracy(found, accuracies),
            "### Where Table 2 differs",
            differences(made),
        ]
    )


def _cuts(found: Found) -> dict[str, Figures]:
    return {name: found[key].figures for name in TABLE_2 if (key := f"table2-cuts-{name}") in found}


def _accuracies(found: Found) -> dict[str, Figures]:
    return {name: found[key].figures for name in WITH_DATA if (key := f"table2-accuracy-{name}") in found}


def _link(name: str) -> str:
    one = presets()[name]
    return f"{one.uplink_mbps:g} Mbps up, {one.rtt_ms:g} ms of round trip"


def _legal(made: Mapping[str, Figures]) -> str:
    rows = []
    for name, one in made.items():
        names = ", ".join(f"{row['number']} `{row['name']}`" for row in one["cuts"])
        layers = f"{one['convolutions']}/{one['linears']}"
        rows.append([TABLE_2[name].title, names, layers, f"{len(one['cuts'])}"])
    return table(["network", "cuts", "conv/FC", "legal cuts"], rows, left=2)


def _chains(made: Mapping[str, Figures]) -> str:
    if all(one["chain"] for one in made.values()):
        return "All are chains: every legal cut sends one tensor, and there are no others."
    return "Not all are chains; shown are the cuts that send one tensor."


def _chosen(made: Mapping[str, Figures]) -> str:
    rows = []
    for name, one in made.items():
        printed = TABLE_2[name]
        for edge in EDGES:
            on, number = one["edges"][edge], str(printed.cut(edge))
            any_cut, after = (
                " / ".join(on["links"][link][kind]["number"] for link in ("wifi", "lte"))
                for kind in ("any", "convolution")
            )
            shown = number if printed.legible else f"{number}?"
            rows.append([printed.title, EDGE_NAMES[edge], shown, any_cut, after, _range(on, number)])
    return table(["network", "edge", "paper", "here", "after a convolution", "range, Mbps"], rows, left=2)


def _range(on: Figures, number: str) -> str:
    for one in on["convolution_segments"]:
        if one["number"] == number:
            return (
                f"{one['from']:.1f} to {one['to']:.0f}"
                if one["to"] >= 100
                else f"{one['from']:.1f} to {one['to']:.1f}"
            )
    return "none"


def agreement(made: Mapping[str, Figures], link: str) -> tuple[int, int, list[str]]:
    """How many legible cuts are the best after a convolution on a link, of how many, and which are not."""
    agreed, of, apart = 0, 0, []
    for name, one in made.items():
        printed = TABLE_2[name]
        for edge in EDGES if printed.legible else ():
            of += 1
            if one["edges"][edge]["links"][link]["convolution"]["number"] == str(printed.cut(edge)):
                agreed += 1
            else:
                apart.append(f"{printed.title}'s {printed.cut(edge)} on the {EDGE_NAMES[edge]}")
    return agreed, of, apart


def _agreement_text(made: Mapping[str, Figures]) -> str:
    agreed, of, apart = agreement(made, "wifi")
    at_paper, _, others = agreement(made, "wifi-paper")
    return paragraph(
        f"Of the {of} legible cuts {agreed} are the best after a convolution on Wi-Fi"
        + (f", but not {listed(apart)}." if apart else "."),
        f"At the preset `wifi-paper`, one reading of Figure 6 ({presets()['wifi-paper'].uplink_mbps:g} Mbps, no",
        f"round trip), {at_paper} are"
        + (f", without {', '.join(one for one in others if one not in apart)}." if at_paper < agreed else "."),
        "A round trip is the same for every cut, so that it changes no choice; with int8 on the wire every",
        "bandwidth of the ranges is a quarter (*exact*: a cut's time is its bytes over the bandwidth, and a "
        "constant).",
    )


def _accuracy(found: Found, accuracies: Mapping[str, Figures]) -> str:
    rows = []
    for name, printed in TABLE_2.items():
        if (one := accuracies.get(name)) is not None:
            ours = f"{one['percent']:.2f} ± {one['margin']:.2f}"
            how = f"{found[f'table2-accuracy-{name}'].provenance}, {one['inputs']:,} inputs of {one['data']}"
        else:
            ours, how = "none", "not made" if name in WITH_DATA else "no data, random weights"
        rows.append([printed.title, how, f"{printed.accuracy:.1f}", ours])
    return table(["network", "here", "paper", "ours"], rows, left=2)
