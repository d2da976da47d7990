#!/usr/bin/env python3
"""Times a network's pieces in ONNX Runtime on this device and writes a `plan.profile/1` file. Stands alone.

`plan profile MODEL --kit DIR` puts a copy of this file beside the pieces, for boards that cannot run the tool: it
needs Python 3.6, NumPy and ONNX Runtime, and reads nothing but its own folder; hence one file. `plan profile --engine
onnxruntime` calls the same functions, and `segments` the same equations.

ONNX Runtime fuses operators, so no operator is timed by itself: the whole network, and prefix and suffix of linear
cuts are timed in turn, each after a pause, as an inference of a split network comes after a wait. Segment times are
solved for, non-negative, with relative errors weighted alike:

    prefix_k = u_0 + … + u_k     suffix_k = start + receive_k + u_(k+1) + … + u_m     whole = u_0 + … + u_m

Starting costs something once for the whole, where it is part of u_0, and once more for a cut network's second half;
more of it where that half begins with operators that the wait has let go cold (`receive`, a matter of the tensor).
A segment is shared over its operators by weights that stand in `kit.json`.
"""

import argparse
import json
import os
import platform
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

try:
    import numpy as np
except ImportError:
    raise SystemExit("NumPy does not load; python3 -m pip install numpy") from None

Array = Any  # numpy.ndarray; NumPy of Python 3.6 has no types
Progress = Callable[[int, int], None]

SCHEMA = "plan.kit/1"
#: How much more the whole counts than a half: every reference and every sum rests on it.
WHOLE_WEIGHT = 3.0
#: How much less what is known of a segment's operators by themselves counts.
ALONE_WEIGHT = 0.05
#: How much less it costs to say that a half starts slower than that its segments do.
RECEIVE_WEIGHT = 0.1
#: Calls up to this are timed after an untimed one of their own.
SHORT_MS = 20.0
WARM_UPS, LEAST_REPEATS, MOST_REPEATS = 1, 6, 2000
#: Cuts that are timed however long it takes, and prefixes held out as a check.
LEAST_CUTS, PREFIXES = 3, 3


class KitError(Exception):
    """One line: what is wrong with the folder or this device, and what to do."""


class SegmentTimes(NamedTuple):
    """inner_ms: of each of k + 1 segments before, between and behind k cuts. start_ms: of starting a second half;
    receive_ms: beyond that, of starting it behind each cut [k]."""

    inner_ms: Array
    start_ms: float
    receive_ms: Array


def fit_segments(*, whole_ms: float, prefixes_ms: Any, suffixes_ms: Any, alone_ms: Any) -> SegmentTimes:
    """Times of k + 1 segments that add up to `whole_ms`, and of starting a second half.

    prefixes_ms, suffixes_ms: of the two sides of k nested cuts, timed [k]. alone_ms: sums over the segments'
    operators by themselves [k + 1], in any unit; they decide, weakly, what the halves leave open: a segment shorter
    than the clock's scatter.
    """
    prefixes, suffixes = np.asarray(prefixes_ms, dtype=float), np.asarray(suffixes_ms, dtype=float)
    cuts = len(prefixes)
    until = np.tri(cuts, cuts + 1)  # prefix k holds segments 0 … k
    none, each, alone = np.zeros((cuts, 1)), np.eye(cuts), np.asarray(alone_ms, dtype=float)
    rows = [  # columns: segments, start, receive
        np.hstack([until, none, 0 * each]),
        np.hstack([1 - until, none + 1, each]),
        np.hstack([np.ones((1, cuts + 1)), np.zeros((1, cuts + 1))]),
        np.eye(cuts + 1, 2 * cuts + 2),
        np.eye(cuts, 2 * cuts + 2, cuts + 2),
    ]
    measured = np.r_[prefixes, suffixes, whole_ms, alone * whole_ms / max(float(alone.sum()), 1e-9), suffixes]
    weights = np.r_[np.ones(2 * cuts), WHOLE_WEIGHT, np.full(cuts + 1, ALONE_WEIGHT), np.full(cuts, RECEIVE_WEIGHT)]
    weights /= np.maximum(measured, 1e-9 * whole_ms)
    # Receiving is drawn towards nothing, so that it explains what the rest cannot.
    wanted = np.r_[measured[:-cuts] if cuts else measured, np.zeros(cuts)]
    solved = nnls(np.vstack(rows) * weights[:, None], wanted * weights)
    inner = solved[: cuts + 1]
    return SegmentTimes(inner * whole_ms / inner.sum(), float(solved[cuts + 1]), solved[cuts + 2 :])


def nnls(matrix: Array, wanted: Array) -> Array:
    """The x ≥ 0 with the least |matrix · x − wanted|: active sets (Lawson and Hanson, 1974, algorithm 23.10).

    matrix [m, n] of full column rank.
    """
    columns = matrix.shape[1]
    x, free = np.zeros(columns), np.zeros(columns, dtype=bool)
    tolerance = 10 * np.finfo(float).eps * max(matrix.shape) * np.abs(matrix).sum(axis=0).max()
    tolerance *= max(1.0, float(np.abs(wanted).max()))
    for _ in range(3 * columns):
        gradient = np.where(free, -np.inf, matrix.T.dot(wanted - matrix.dot(x)))
        best = int(np.argmax(gradient))
        if not gradient[best] > tolerance:
            break
        free[best] = True
        while True:
            step = np.zeros(columns)
            step[free] = np.linalg.lstsq(matrix[:, free], wanted, rcond=None)[0]
            bound = free & (step <= 0)
            if not bound.any():
                x = step
                break
            # As far as the first that would turn negative; those that reach zero stay there.
            ratios = x[bound] / (x[bound] - step[bound])
            x = x + float(ratios.min()) * (step - x)
            free &= x > 1e-14
            x[~free] = 0.0
    return x


def share(total: float, weights: Array) -> Array:
    """A segment's time over its operators, in proportion to their weights; evenly where none has any."""
    known = float(np.sum(weights))
    if known > 0:
        return total * np.asarray(weights, dtype=float) / known
    return np.full(len(weights), total / max(len(weights), 1))


def spread(reached: Any, most: int) -> List[int]:
    """Places of at most so many of the cuts, the first and the last among them, evenly over what lies before each."""
    if len(reached) <= most:
        return list(range(len(reached)))
    goals = np.linspace(reached[0], reached[-1], most)
    return sorted({int(np.abs(np.asarray(reached) - goal).argmin()) for goal in goals})


class Timed(NamedTuple):
    """What was measured, a row each turn, ms. whole [turns]; prefixes, suffixes [turns, cuts].

    segments: the operators before, between and behind the cuts. weights: of each operator within its segment.
    """

    cuts: List[str]
    segments: List[List[str]]
    weights: Dict[str, float]
    whole: Array
    prefixes: Array
    suffixes: Array

    @property
    def whole_ms(self) -> float:
        return float(np.median(self.whole))

    def fit(self) -> SegmentTimes:
        return fit_segments(
            whole_ms=self.whole_ms,
            prefixes_ms=np.median(self.prefixes, axis=0),
            suffixes_ms=np.median(self.suffixes, axis=0),
            alone_ms=[sum(self.weights[name] for name in names) for names in self.segments],
        )

    def operators_ms(self) -> Tuple[float, Dict[str, float]]:
        """What entering the network takes, and each operator; together the whole."""
        found = self.fit()
        # Starting is the input's, not the first layers'.
        start_ms = min(found.start_ms, float(found.inner_ms[0]))
        inner_ms = [float(found.inner_ms[0]) - start_ms] + [float(one) for one in found.inner_ms[1:]]
        times: Dict[str, float] = {}
        for segment_ms, names in zip(inner_ms, self.segments):
            shares = share(segment_ms, [self.weights[name] for name in names])
            times.update(zip(names, map(float, shares)))
        return start_ms, times

    def turns(self, which: slice) -> "Timed":
        """Some of the turns alone."""
        return self._replace(whole=self.whole[which], prefixes=self.prefixes[which], suffixes=self.suffixes[which])

    def check(self) -> Optional[Dict[str, Any]]:
        """Prefixes timed in every second turn, against operators fitted to the other turns."""
        if not self.cuts or len(self.whole) < 4:
            return None
        start_ms, times = self.turns(slice(0, None, 2)).operators_ms()
        held_out = np.median(self.prefixes[1::2], axis=0)
        places = sorted({int(place) for place in np.linspace(0, len(self.cuts) - 1, num=PREFIXES)})
        errors = []
        for place in places:
            names = [name for segment in self.segments[: place + 1] for name in segment]
            predicted = start_ms + sum(times[name] for name in names)
            errors.append(abs(predicted - float(held_out[place])) / float(held_out[place]))
        return {
            "prefixes": [self.cuts[place] for place in places],
            "median_relative_error": float(np.median(errors)),
            "largest_relative_error": float(max(errors)),
        }


def open_session(model: Any, *, threads: int) -> Any:
    """ONNX Runtime's session of a file's path or bytes on the CPU. threads: 0 for all."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what goes wrong is raised, and said once
    # Between two inferences lies a network: waiting threads must leave the core to the noise and the socket.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def timed_ms(action: Callable[[], object], *, pause_ms: float, after_itself: bool) -> float:
    """One timed call after a pause. after_itself: call it untimed before the pause, so that what ran before it is
    itself, as in a half that runs again and again; what short calls take depends on that by a fifth and more."""
    if after_itself:
        action()
    time.sleep(pause_ms / 1000)
    start = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - start)


def processors() -> int:
    """Of those this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """The processor's own name for itself."""
    try:
        with open("/proc/cpuinfo", errors="replace") as facts:
            for line in facts:
                if line.startswith(("model name", "Model")):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def memory_bytes() -> Optional[int]:
    """The device's memory, where the system tells."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None


class Kit:
    """A folder of pieces: the whole network, prefix and suffix of linear cuts, inputs, and what `kit.json` tells."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        try:
            with open(os.path.join(folder, "kit.json"), encoding="utf-8") as stream:
                facts = json.load(stream)
        except (OSError, ValueError) as error:
            raise KitError(f"{folder}: no readable kit.json ({_first(error)}); copy the whole folder") from error
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
            raise KitError(f"{folder}: kit.json is not of schema {SCHEMA}; make the folder anew")
        try:
            self.profile: Dict[str, Any] = facts["profile"]
            self.pause_ms = float(facts["pause_ms"])
            self.cuts: List[Dict[str, str]] = facts["cuts"]
            self.segments: List[List[str]] = facts["segments"]
            self.weights: Dict[str, float] = facts["weights"]
            self.inputs = [np.load(self.path(name), allow_pickle=False) for name in facts["inputs"]]
        except (KeyError, TypeError, OSError, ValueError) as error:
            raise KitError(f"{folder}: incomplete ({_first(error)}); copy the whole folder") from error

    def path(self, name: str) -> str:
        """Of a file of the folder itself, whatever its name says."""
        return os.path.join(self._folder, os.path.basename(name))

    def open(self, name: str, *, threads: int) -> "Piece":
        import onnxruntime

        try:
            return Piece(open_session(self.path(name), threads=threads))
        except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
            raise KitError(
                f"{self.path(name)}: ONNX Runtime {onnxruntime.__version__} does not take it ({_first(error)}); "
                "copy the whole folder, or install 1.10 or newer"
            ) from error

    def with_cuts(self, most: int) -> "Kit":
        """At most so many of the cuts, evenly over the network's work; segments grow together."""
        work = np.cumsum([sum(self.weights[name] for name in names) for names in self.segments])
        places = spread(work[:-1], most)
        made = object.__new__(Kit)
        made.__dict__.update(self.__dict__)
        made.cuts = [self.cuts[place] for place in places]
        ends = [0] + [place + 1 for place in places] + [len(self.segments)]
        made.segments = [sum(self.segments[start:end], []) for start, end in zip(ends, ends[1:])]
        return made

    def fitting_memory(self) -> int:
        """How many cuts' pieces the memory that is free now takes, each held twice while it is opened."""
        free = _free_bytes()
        whole = max(os.path.getsize(self.path("whole.onnx")), 1)
        return len(self.cuts) if free is None else max(int(free / 2 / whole) - 1, 1)


class Piece:
    """One ONNX file, ready to run."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = [one.name for one in session.get_inputs()]

    def given(self, arrays: Sequence[Array]) -> Callable[[], List[Array]]:
        """A call that runs it on these."""
        run, feed = self._session.run, dict(zip(self._inputs, arrays))
        return lambda: run(None, feed)


def measure(
    kit: Kit,
    *,
    threads: int,
    seconds: float,
    pause_ms: Optional[float] = None,
    name: Optional[str] = None,
    progress: Progress = lambda done, of: None,
) -> Dict[str, Any]:
    """Time a kit's pieces; a document of schema `plan.profile/1`.

    threads: of ONNX Runtime. seconds: about how long to measure, or as long as the least turns take. pause_ms: before
    every timed run, None for the kit's own. Raises KitError.
    """
    import onnxruntime

    times = _times(kit, threads=threads, seconds=seconds, pause_ms=pause_ms, progress=progress)
    start_ms, operators = times.operators_ms()
    found = times.fit()
    receive = dict(zip(times.cuts, map(float, found.receive_ms)))
    first = next(node["id"] for node in kit.profile["nodes"] if node["kind"] == "input")
    nodes = []
    for node in kit.profile["nodes"]:
        timed = dict(node, time_ms=start_ms if node["id"] == first else operators.get(node["id"], 0.0))
        if receive.get(node["id"]):
            timed["receive_ms"] = receive[node["id"]]
        nodes.append(timed)
    device = {
        "name": name or processor_name(),
        "provenance": "measured",
        "engine": "onnxruntime",
        "threads": threads,
        "software": f"onnxruntime {onnxruntime.__version__}, {platform.system()} {platform.machine()}",
    }
    if memory_bytes() is not None:
        device["memory_bytes"] = memory_bytes()
    made = dict(kit.profile, schema="plan.profile/1", device=device, whole_ms=times.whole_ms, nodes=nodes)
    made["start_ms"] = found.start_ms
    check = times.check()
    return dict(made, check=check) if check else made


def _times(kit: Kit, *, threads: int, seconds: float, pause_ms: Optional[float], progress: Progress) -> Timed:
    pause_ms = kit.pause_ms if pause_ms is None else pause_ms
    whole = kit.open("whole.onnx", threads=threads).given(kit.inputs)
    whole()
    rough_ms = float(np.median([timed_ms(whole, pause_ms=pause_ms, after_itself=False) for _ in range(3)]))
    # A turn runs the whole, and for each cut both halves, which together are one more whole.
    fitting = int(1000 * seconds / (LEAST_REPEATS + WARM_UPS) / (rough_ms + 2 * pause_ms)) - 1
    kit = kit.with_cuts(min(max(fitting, LEAST_CUTS), kit.fitting_memory()))
    runs = [whole]
    for cut in kit.cuts:
        prefix = kit.open(cut["prefix"], threads=threads).given(kit.inputs)
        runs += [prefix, kit.open(cut["suffix"], threads=threads).given(prefix())]
    after_itself = []
    for run in runs:
        run()
        after_itself.append(timed_ms(run, pause_ms=0, after_itself=False) <= SHORT_MS)

    def turn() -> List[float]:
        return [timed_ms(run, pause_ms=pause_ms, after_itself=short) for run, short in zip(runs, after_itself)]

    start = time.perf_counter()
    for _ in range(WARM_UPS):
        turn()
    turn_s = (time.perf_counter() - start) / WARM_UPS
    repeats = int(min(MOST_REPEATS, max(LEAST_REPEATS, seconds / max(turn_s, 1e-6))))
    rows = []
    for done in range(repeats):
        rows.append(turn())
        progress(done + 1, repeats)
    taken = np.array(rows)  # [turns, whole and prefix, suffix of each cut]
    cuts = [cut["node"] for cut in kit.cuts]
    return Timed(cuts, kit.segments, kit.weights, taken[:, 0], taken[:, 1::2], taken[:, 2::2])


def _free_bytes() -> Optional[int]:
    try:
        with open("/proc/meminfo") as facts:
            free = next(line for line in facts if line.startswith("MemAvailable"))
        return 1024 * int(free.split()[1])
    except (OSError, StopIteration, ValueError):
        return None


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def _write(path: str, document: Dict[str, Any]) -> None:
    """Beside the target, then renamed: a reader sees the old file or the new one."""
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=2)
            stream.write("\n")
        os.replace(temporary, path)
    except OSError as error:
        raise KitError(f"{path}: cannot be written ({error.strerror}); choose another place with --out") from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def main() -> int:
    """The script's command line; its exit status."""
    parser = argparse.ArgumentParser(description="Time this folder's network on this device, in ONNX Runtime.")
    parser.add_argument("--threads", type=int, default=processors(), help="CPU threads (default: all)")
    parser.add_argument("--seconds", type=float, default=10.0, help="about how long to measure (default: 10)")
    parser.add_argument("--name", help="the device's name (default: its processor's)")
    parser.add_argument("--out", default="profile.json", help="where the profile goes (default: profile.json)")
    chosen = parser.parse_args()
    if chosen.threads < 1 or not chosen.seconds > 0:
        parser.error("--threads and --seconds must be more than 0")

    def progress(done: int, of: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == of else ""
            sys.stderr.write(f"\rturn {done} of {of}{end}")

    try:
        import onnxruntime  # noqa: F401

        kit = Kit(os.path.dirname(os.path.abspath(__file__)))
        made = measure(kit, threads=chosen.threads, seconds=chosen.seconds, name=chosen.name, progress=progress)
        _write(chosen.out, made)
    except ImportError as error:
        sys.stderr.write(f"ONNX Runtime does not load ({_first(error)}); python3 -m pip install onnxruntime\n")
        return 2
    except KitError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was written\n")
        return 130
    except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
        sys.stderr.write(f"the network does not run here ({_first(error)}); install 1.10 or newer\n")
        return 2
    check = made.get("check")
    if check:
        middle, largest = (100 * check[f"{which}_relative_error"] for which in ("median", "largest"))
        sys.stdout.write(
            f"prefixes held out: {len(check['prefixes'])}, sums of nodes off by {middle:.1f} % (median), "
            f"{largest:.1f} % (largest)\n"
        )
    sys.stdout.write(f"whole network {made['whole_ms']:.4g} ms measured, written: {chosen.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
