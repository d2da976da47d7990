"""`plan run --adapt`: from the files that the user names to a run between prepared cuts."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from noise import prepared
from noise.datasets import catalog
from noise.keyed import device_secret
from noise.prepared import PreparedCuts
from planner import plan as plans
from planner.plan import Plan
from profiles import artifact
from profiles.errors import PlanError
from runtime import adaptive_trial, own
from runtime.reach import HERE, Reach
from runtime.record import RunRecord
from runtime.sides import require_cut


@dataclass(frozen=True)
class AdaptiveRun:
    """file: the plan that is begun with. folder: of prepared cuts. noise: for the plan's own cut, else the folder's.

    The others as `trial.run` has them; keyed: draws are, by this device's secret.
    """

    file: Path
    folder: Path
    noise: Path | None = None
    reach: Reach = HERE
    keyed: bool = False

    @property
    def files(self) -> list[Path]:
        """What is read, and must not be written over."""
        return [self.file, *([self.noise] if self.noise else []), *self.folder.rglob("*")]

    @cached_property
    def plan(self) -> Plan:
        if self.file.is_dir():
            raise PlanError(f"{self.file}: a folder; --adapt needs the plan's file, and its model at hand")
        plan = plans.read(self.file)
        require_cut(plan)
        return plan

    @cached_property
    def prepared(self) -> PreparedCuts:
        return prepared.read(self.folder)

    @cached_property
    def noises(self) -> dict[str, adaptive_trial.CutNoise]:
        return adaptive_trial.noises(self.prepared, self.plan, self.noise)

    @property
    def _secret(self) -> bytes | None:
        return device_secret() if self.keyed else None

    def trial(self, data: str | None, *, samples: int, progress: Any) -> RunRecord:
        """On a test set (None: what the noise was learned on). Raises as `adaptive_trial.run`."""
        learned = self.noises
        return adaptive_trial.run(
            self.plan,
            self.prepared,
            self.folder,
            learned,
            catalog.load_dataset(data or learned[self.plan.cut.name].facts.data),
            reach=self.reach,
            secret=self._secret,
            samples=samples,
            progress=progress,
        )

    def own(self, source: Path, target: Path) -> int:
        """The user's own inputs, as `own.run`, one inference of the planned batch after the other; how many."""
        plan, learned = self.plan, self.noises
        sides = {name: one.edge for name, one in adaptive_trial.wholes(self.prepared).items()}
        inputs = own.load(source, sides[plan.cut.name].inputs)
        with ExitStack() as stack:
            url = stack.enter_context(self.reach.cloud(plan, prepared=self.folder))
            opened = adaptive_trial.adaptive_edge(
                url,
                self.prepared,
                sides,
                learned,
                start=plan.cut.name,
                prior=plan.link,
                reach=self.reach,
                secret=self._secret,
            )
            edge = stack.enter_context(opened)
            done = adaptive_trial.answered(edge, inputs, sides[plan.cut.name])
            answers = np.concatenate([one.outputs[0][:count] for one, count in done])
        written = BytesIO()
        np.save(written, answers, allow_pickle=False)
        artifact.write_bytes(target, written.getvalue())
        return len(inputs[0])
