"""Which cut is best on which link, and within limits, for devices that are not here: files alone, no torch.

    python examples/choose_a_cut.py

AlexNet on a Jetson TX2 and a Titan Xp, both modelled from published constants (examples/devices/, written by
`plan profile alexnet --as tx2-gpu`). No figure is measured; they are the same on every machine, without spread.
"""

from pathlib import Path

from planner import Constraints, cut
from profiles import DeviceProfile, PlanError, presets

DEVICES = Path(__file__).parent / "devices"


def main() -> None:
    edge, cloud = (DeviceProfile.read(DEVICES / f"alexnet-{name}.json") for name in ("tx2-gpu", "titan-xp"))
    wifi = presets()["wifi"]
    plan = cut(edge, cloud, wifi)
    print(f"on {wifi.label}")
    for segment in plan.breakpoints:
        print(f"{segment.uplink_mbps_from:8.2f} to {segment.uplink_mbps_to:7.2f} Mbps: cut after {segment.cut}")
    for limits in (Constraints(), Constraints(max_upload=10_000), Constraints(deadline=20), Constraints(deadline=5)):
        wanted = f"upload <= {limits.max_upload}, ms <= {limits.deadline}"
        try:
            made = cut(edge, cloud, wifi, wire="int8", constraints=limits)
            print(f"{wanted}: {made.cut.name}, {made.predicted.upload_bytes} B, {made.predicted.total_ms:.2f} ms")
        except PlanError as error:
            print(f"{wanted}: {error}")


if __name__ == "__main__":
    main()
