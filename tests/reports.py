"""Folders of results made by hand, as small as they can be: nothing is trained, no model is run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from noise import collection
from noise.audit import record
from noise.audit.record import Audit
from noise.auditing import pictures
from noise.auditing.pictures import PictureLine
from noise.collection import Accuracy, BoundFacts, Crossing, NoiseFacts, TradeOff
from noise.gaussian import GaussianNoise, LowRankNormal
from planner import explored as explorations
from planner.explored import Attacked, Explored, ExploredCut, LeftOut
from planner.plan import Plan
from planner.planning import cut
from profiles import artifact
from profiles.device import DeviceProfile
from profiles.link import presets
from runtime.record import RunRecord

#: 2026-01-02 03:04 UTC: files are dated, so that a page made twice is the same.
DATE = 1767323040

PARTS = ("edge", "noise", "uplink", "cloud", "downlink", "total")


def named(profile: DeviceProfile, model: str = "tiny", node: str = "conv", device: str = "my-edge") -> DeviceProfile:
    """The design's example under other names."""
    text = artifact.encode(profile).replace(b'"conv"', msgspec.json.encode(node))
    found = artifact.decode(text, DeviceProfile, origin="example")
    return msgspec.structs.replace(
        found,
        model=msgspec.structs.replace(found.model, name=model),
        device=msgspec.structs.replace(found.device, name=device),
    )


def planned(profile: DeviceProfile, link: str = "wifi") -> Plan:
    made = cut(profile, profile, presets()[link], noise="gaussian")
    digest = artifact.digest(artifact.encode(profile))
    both = (msgspec.structs.replace(one, profile=digest) for one in (made.edge, made.cloud))
    edge, cloud = both
    return msgspec.structs.replace(made, edge=edge, cloud=cloud)


def facts_of(plan: Plan, data: str = "digits", kind: str = "gaussian") -> NoiseFacts:
    bound = BoundFacts(7.5, (7.4, 7.6), "covariance", (100, 50), {"1": 7.5, "10": 12.0})
    return NoiseFacts(
        kind=kind,
        architecture=plan.model.architecture,
        weights="sha256:weights",
        crossing=tuple(Crossing(one.node, one.row_shape(1)) for one in plan.cut.crossing),
        wire=plan.settings.wire,
        data=data,
        budget_points=1.5,
        accuracy=Accuracy(98.0, 97.0, 1.0, (0.7, 1.3), 1000),
        snr_inverse=0.5,
        bound=bound,
        settings={"seed": 7, "steps": 100},
        curve=(TradeOff(0.5, 0.2, 9.0), TradeOff(1.0, 0.5, 7.5), TradeOff(3.0, 1.1, 5.0)),
    )


def noise_of(plan: Plan) -> GaussianNoise:
    sizes = {one.node: int(np.prod(one.row_shape(1))) for one in plan.cut.crossing}
    return GaussianNoise(
        {
            node: LowRankNormal(np.ones(size, np.float32), np.zeros((size, 0), np.float32), np.zeros(0, np.float32))
            for node, size in sizes.items()
        }
    )


def run_of(plan: Plan, noise: str = "gaussian") -> RunRecord:
    predicted = {name: getattr(plan.predicted, f"{name}_ms") for name in PARTS}
    return RunRecord(
        model=plan.model.name,
        cut=plan.cut.name,
        link=plan.link.label,
        emulated=True,
        server="local process",
        samples=300,
        accuracy=Accuracy(98.0, 96.8, 1.2, (0.9, 1.5), 1000),
        latency_ms=msgspec.convert(
            {name: {"p50": 1.1 * ms, "p95": 1.3 * ms} for name, ms in predicted.items()},
            RunRecord.__annotations__["latency_ms"],
        ),
        predicted_ms=msgspec.convert(predicted, RunRecord.__annotations__["predicted_ms"]),
        limit_ms=None,
        bytes_up=900,
        bytes_down=300,
        upload_bytes=plan.predicted.upload_bytes,
        input_bytes=192,
        cloud_only_ms=9.0,
        cloud_only_provenance="measured",
        speedup_vs_cloud_only=1.1,
        equal_to_whole=True,
        largest_difference=1e-7,
        engine="torch",
        wire="float32",
        noise=noise,
        errors=0,
        retries=0,
    )


def _audited(db: float, top1: float, bound: float | None) -> dict[str, Any]:
    attempt = {
        "attack": record.DECODER,
        "psnr_db": db,
        "ssim": 0.5,
        "psnr_interval_db": [db - 0.2, db + 0.2],
        "images": 90,
    }
    several = {"attack": record.DECODER, "psnr_db": db + 1, "ssim": 0.6, "images": 90, "queries": 10}
    nothing = dict.fromkeys(("ite_nats", "ksg_nats", "infonce_nats", "mixture_bound_nats", "k", "n", "dimensions"))
    return {
        "reconstruction": {"psnr_db": db, "ssim": 0.5, "attack": record.DECODER, "attempts": [attempt, several]},
        "reidentification": {"top1": top1, "n": 100, "attack": "nearest", "bound_top1": top1 + 5},
        "attributes": {"slant": 60.0},
        "attribute_details": {"slant": {"accuracy": 60.0, "label_alone": 59.0}},
        "information": nothing | {"bound_nats": bound, "remarks": ["contradiction: <b>none</b>"]},
    }


def audit_of(plan: Plan, data: str = "digits") -> Audit:
    floors = _audited(12.0, 2.0, 2.3)
    floors["reconstruction"]["attempts"] = [{"attack": "mean image", "psnr_db": 12.0, "ssim": 0.3, "images": 90}]
    return msgspec.convert(
        {
            "schema": "plan.audit/1",
            "model": plan.model.name,
            "cut": plan.cut.name,
            "data": data,
            "accuracy_loss_points": 1.0,
            "clean": _audited(20.0, 99.0, None),
            "gaussian": _audited(13.0, 20.0, 5.2),
            "floors": floors,
            "architecture": plan.model.architecture,
            "quick": True,
        },
        Audit,
    )


def lines() -> list[tuple[PictureLine, np.ndarray[Any, Any]]]:
    """Of four pictures, of which the white box attacked three."""
    images = np.random.default_rng(0).random((4, 1, 6, 5))
    return [
        (PictureLine(subject=pictures.ORIGINALS, images=4), images),
        (PictureLine(subject="clean", images=3, attack=record.WHITE_BOX, psnr_db=20.0), images[:3]),
        (PictureLine(subject="gaussian", images=4, attack=record.DECODER, psnr_db=13.0, queries=10), images / 2),
        (PictureLine(subject=pictures.FLOOR, images=4, attack="mean image", psnr_db=12.0), images / 3),
    ]


def explored_of(plan: Plan) -> Explored:
    attacked = Attacked(psnr_db=13.0, ssim=0.4, top1=20.0, candidates=100, clean_psnr_db=20.0, floor_psnr_db=12.0)
    one = ExploredCut(
        name=plan.cut.name,
        edge_nodes=plan.cut.edge_nodes,
        crossing=plan.cut.crossing,
        predicted=plan.predicted,
        noise="gaussian",
        accuracy_loss_points=1.0,
        bound_bits=7.5,
        attacked=attacked,
        folder="1-relu",
        noise_file="noise.safetensors",
        unbeaten=True,
    )
    left = LeftOut(name="fc", folder="2-fc", noise="gaussian", reason="no noise keeps <1> point")
    return Explored(
        model=plan.model,
        data="digits",
        budget_points=1.5,
        edge=plan.edge,
        cloud=plan.cloud,
        link=plan.link,
        cuts=(one,),
        left_out=(left,),
    )


def whole(folder: Path, profile: DeviceProfile, names: Callable[[str], str] = str, data: str = "digits") -> Plan:
    """One of every kind. names: what each file is called instead."""
    plan = planned(profile)
    artifact.write(folder / names("edge.json"), profile)
    artifact.write(folder / names("wifi.json"), plan.link)
    artifact.write(folder / names("plan.json"), plan)
    collection.write(folder / names("noise.safetensors"), noise_of(plan), facts_of(plan, data))
    artifact.write(folder / names("run.json"), run_of(plan))
    audit = audit_of(plan, data)
    record.write(folder / names("audit.json"), audit)
    pictures.write(folder / names("audit.pictures.safetensors"), audit, lines())
    explorations.write(folder, explored_of(plan))
    dated(folder)
    return plan


def dated(folder: Path) -> None:
    for file in folder.rglob("*"):
        os.utime(file, (DATE, DATE))
