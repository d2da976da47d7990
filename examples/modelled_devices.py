"""Where AlexNet and VGG-16 are cut between a Jetson TX2 and a Titan Xp, from files alone: nothing is run, no torch.

    python examples/modelled_devices.py examples/devices

The profiles there were written by `plan profile alexnet --as tx2-gpu`, likewise vgg16 and titan-xp. Both devices are
modelled from published constants, the links are published ones: no figure here is measured, and all are the same on
every machine, without spread.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from planner import cut
from planner.plan import Plan
from profiles import device, presets
from profiles.terminal import Row, Terminal, ms, size

NETWORKS, LINKS, WIRES = ("alexnet", "vgg16"), ("wifi", "lte", "3g"), ("float32", "int8")


def plans(folder: Path) -> Iterator[Plan]:
    for network in NETWORKS:
        edge, cloud = (device.read(folder / f"{network}-{board}.json") for board in ("tx2-gpu", "titan-xp"))
        for link in LINKS:
            for wire in WIRES:
                yield cut(edge, cloud, presets()[link], wire=wire)


def row(plan: Plan) -> Row:
    cloud_only, edge_only = plan.references.cloud_only.total_ms, plan.references.edge_only.total_ms
    here = plan.predicted
    cells = (plan.model.name, plan.link.name, plan.settings.wire, plan.cut.name, size(here.upload_bytes))
    times = (here.total_ms, cloud_only, edge_only)
    return Row((*cells, *map(ms, times), f"{cloud_only / here.total_ms:.2f}×"))


def main() -> None:
    terminal = Terminal(json=False)
    columns = ("network", "link", "wire", "cut after", "sends", "ms", "cloud", "edge", "speed-up")
    made = list(plans(Path(sys.argv[1])))
    devices = f"{made[0].edge.name} → {made[0].cloud.name}, both modelled; links imported"
    terminal.table(columns, [row(plan) for plan in made], title=devices, left=4, tight=True)
    terminal.say(
        "ms: predicted for the best legal cut; cloud, edge: everything there; speed-up: over cloud-only. "
        "Modelled, never measured: nobody here owns these boards."
    )


if __name__ == "__main__":
    main()
