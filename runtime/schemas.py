"""The JSON Schema of every file, made from the records: `python -m runtime.schemas docs/schemas`."""

import sys
from pathlib import Path

import msgspec

from noise.audit.record import Audit
from noise.auditing.pictures import PictureFacts
from noise.collection import NoiseFacts
from planner.explored import Explored
from planner.plan import Plan
from profiles import artifact
from profiles.device import DeviceProfile
from profiles.link import LinkProfile
from profiles.predictor import Predictor
from runtime.folders import HalfFacts
from runtime.record import RunRecord

RECORDS: tuple[type[msgspec.Struct], ...] = (
    DeviceProfile,
    LinkProfile,
    Predictor,
    Plan,
    Explored,
    NoiseFacts,
    Audit,
    PictureFacts,
    HalfFacts,
    RunRecord,
)


def file_name(record: type[msgspec.Struct]) -> str:
    """`plan.link/1` → `plan.link-1.json`."""
    return artifact.schema_of(record).replace("/", "-") + ".json"


def schema_bytes(record: type[msgspec.Struct]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(artifact.json_schema(record)), indent=2) + b"\n"


def main() -> None:
    folder = Path(sys.argv[1])
    for record in RECORDS:
        artifact.write_bytes(folder / file_name(record), schema_bytes(record))


if __name__ == "__main__":
    main()
