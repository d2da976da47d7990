"""python -m reproduction [--quick] [--only NAME ...]: run what is missing, then write docs/reproduction.md."""

import argparse
import sys
import time
import traceback
from pathlib import Path

from profiles import artifact
from profiles.errors import PlanError
from reproduction import page
from reproduction.part import Pictures
from reproduction.parts import PARTS
from reproduction.step import Result, Store

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    asked = _asked()
    store = Store(asked.store / ("quick" if asked.quick else "full"))
    found: dict[str, Result] = {}
    failed: dict[str, str] = {}
    for part in PARTS:
        for step in part.steps(quick=asked.quick):
            try:
                wanted = not asked.page_only and (not asked.only or part.NAME in asked.only)
                known = store.found(step)
                if known is None and wanted:
                    print(f"{time.strftime('%H:%M:%S')} {part.TITLE}: {step.name} ...", flush=True)
                    known = store.done(step)
                    print(f"{time.strftime('%H:%M:%S')} {part.TITLE}: {step.name}, {known.seconds:.0f} s", flush=True)
                if known is not None:
                    found[step.name] = known
            except PlanError as error:
                failed[step.name] = str(error)
                print(f"{part.TITLE}: {step.name}: {error}", file=sys.stderr, flush=True)
            except Exception as error:  # hours of other steps do not wait for a fault in one
                failed[step.name] = f"{type(error).__name__}: {error}"
                traceback.print_exc()
    pictures = Pictures(asked.page.parent / "pictures", "pictures")
    text = page.page(PARTS, found, failed, pictures, quick=asked.quick)
    artifact.write_bytes(asked.page, text.encode())
    print(f"written: {asked.page}")
    return 1 if failed else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m reproduction", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer networks, seeds and steps: a quarter of an hour")
    parser.add_argument(
        "--only", nargs="+", choices=[part.NAME for part in PARTS], metavar="NAME", help="these parts"
    )
    parser.add_argument("--page-only", action="store_true", help="run nothing: the page from what is there")
    parser.add_argument("--store", type=Path, default=ROOT / "reproduced", help="where results are kept")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "reproduction.md", help="what is written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
