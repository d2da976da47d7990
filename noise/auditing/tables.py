"""An audit as a table: a row a figure, a column a thing that could cross, and what the row shows in plain words.

Proven: holds whoever attacks, on average over this data distribution. Estimated: a figure that may be off either way.
Attacked: what this attack got; a stronger one may get more.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from noise.audit.record import DECODER, NAMED, WHITE_BOX, Attempt, Audit, Audited, Interval
from profiles.terminal import Row

KINDS = ("clean", "laplace", "gaussian", "channel", "floors")
HEADS = {"floors": "floor"}
#: What is not there.
NOTHING = "-"
#: Inferences of one input that have rows of their own.
SEVERAL = ("10", "100")
SHORT = {DECODER: "decoder", NAMED: "named first", WHITE_BOX: "white box"}
WORDS = {
    DECODER: "attacked: trained on pairs; a stronger one may read more",
    NAMED: "attacked: distribution named, its mean taken off, then decoded",
    WHITE_BOX: "attacked: through the known edge half; may read more",
}


def columns(audit: Audit) -> list[tuple[str, Audited]]:
    """What was audited, by name, in the table's order."""
    pairs = [(name, getattr(audit, name)) for name in KINDS]
    return [(name, one) for name, one in pairs if one is not None]


def table(audit: Audit) -> tuple[list[str], list[Row]]:
    """Heads and rows; the last column is sentences."""
    shown = columns(audit)
    made = _Rows([one for _, one in shown])
    rows = [
        *_loss(made, audit),
        *_reconstruction(made),
        *_identification(made),
        *_attributes(made, audit),
        *_information(made),
    ]
    return ["", *(HEADS.get(name, name) for name, _ in shown), "what it shows"], rows


def effort_line(audit: Audit) -> str:
    """How hard was tried."""
    attempts = audit.clean.reconstruction.attempts if audit.clean.reconstruction else ()
    strengths = [f"decoder of {one.strength}" for one in attempts if one.attack == DECODER][:1]
    strengths += [f"classifier of {one.strength}" for one in audit.clean.attribute_details.values()][:1]
    rest = "; quick: fewer rows and weaker attacks, which flatter the noise" if audit.quick else ""
    tried = [one.reconstruction.attempts for _, one in columns(audit) if one.reconstruction]
    if any(one.stopped_improving is False for each in tried for one in each):
        rest += "; stopped before every decoder had stopped improving"
    strong = "".join(f", {one}" for one in strengths)
    return f"{_seeds(audit.seeds)}{strong}{rest}"


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds (± is half of the 95 % interval over them)"


def remarks_by_subject(audit: Audit) -> dict[str, list[str]]:
    """Remark → what it is of: the same is said once."""
    said: dict[str, list[str]] = {}
    for name, one in columns(audit):
        for remark in one.information.remarks:
            said.setdefault(remark, []).append(name)
    return said


class _Rows:
    """Makes rows over the same columns."""

    def __init__(self, audited: Sequence[Audited]) -> None:
        self.audited = audited

    def __call__(self, name: str, cell: Callable[[Audited], str | None], words: str) -> Iterator[Row]:
        """None where no column has the figure."""
        cells = [cell(one) for one in self.audited]
        if any(one is not None for one in cells):
            yield Row((name, *(one or NOTHING for one in cells), words))


def _loss(row: _Rows, audit: Audit) -> Iterator[Row]:
    several = sum(one.gain is not None for one in row.audited) > 1
    same = "; made the same" if several else ""
    yield from row("loss, points", lambda one: _figure(one.accuracy_loss_points), f"measured on test data{same}")
    if several:
        yield from row("  by a gain of", lambda one: _figure(one.gain), "of its file's noise")


def _reconstruction(row: _Rows) -> Iterator[Row]:
    for attack, short in SHORT.items():
        found = partial(_attempt, attack)
        yield from row(f"{short}, dB", lambda one, of=found: _with(of(one), _decibels), WORDS[attack])  # type: ignore[misc]
        yield from row("  SSIM", lambda one, of=found: _with(of(one), _similarity, digits=3), "")  # type: ignore[misc]
    for count in SEVERAL:
        yield from row(f"  of {count}, dB", partial(_best, int(count)), f"the strongest, from {count} inferences")


def _attempt(attack: str, one: Audited) -> Attempt | None:
    """From one inference. Floors stand in the first row."""
    made = one.reconstruction.attempts if one.reconstruction else ()
    if made and all(each.attack not in WORDS for each in made):
        return made[0] if attack == DECODER else None
    return next((each for each in made if (each.attack, each.queries) == (attack, 1)), None)


def _best(queries: int, one: Audited) -> str | None:
    made = [each for each in (one.reconstruction.attempts if one.reconstruction else ()) if each.queries == queries]
    return _figure(max((each.psnr_db for each in made), default=None))


def _decibels(one: Attempt) -> tuple[float | None, Interval | None]:
    return one.psnr_db, one.psnr_interval_db


def _similarity(one: Attempt) -> tuple[float | None, Interval | None]:
    return one.ssim, one.ssim_interval


def _identification(row: _Rows) -> Iterator[Row]:
    counts = {one.reidentification.n for one in row.audited if one.reidentification}
    among = f"which of {max(counts)} it was" if counts else ""
    yield from row(
        "named input, %",
        lambda one: _with(one.reidentification, lambda it: (it.top1, it.interval), digits=1),
        f"attacked: {among}",
    )
    most = "proven: the most any attack gets, but for sampling"
    yield from row("  at most", _of("reidentification", "bound_top1"), most)
    for count in SEVERAL:
        yield from row(f"  of {count}", _of("reidentification", "by_queries", count), f"from {count} inferences")
    left = "attacked: inputs that the saved order leaves possible"
    yield from row("left by order", _of("elimination", "remaining"), left)
    yield from row("distribution, %", _of("naming", "right"), "attacked: its noise's, named right")
    yield from row("  noise left, %", _of("naming", "variance_left"), "of its variance after that")


def _attributes(row: _Rows, audit: Audit) -> Iterator[Row]:
    for name in audit.clean.attributes:
        yield from row(
            f"{name[:12]}, %",
            partial(_attribute, name),
            "attacked: by a trained classifier; floor: from the public label",
        )
        for count in SEVERAL:
            yield from row(f"  of {count}", partial(_attribute_of, name, count), f"from {count} inferences")


def _attribute(name: str, one: Audited) -> str | None:
    return _with(one.attribute_details.get(name), lambda it: (it.accuracy, it.interval), digits=1)


def _attribute_of(name: str, count: str, one: Audited) -> str | None:
    return _figure(one.attribute_details[name].by_queries.get(count), 1)


def _information(row: _Rows) -> Iterator[Row]:
    for name, field, words in (
        ("ITE, nats", "ite_nats", "estimated: as in the paper; no guarantee, misranks"),
        ("KSG, nats", "ksg_nats", "estimated: no guarantee; says too little in many dimensions"),
        ("InfoNCE ≥, nats", "infonce_nats", "estimated: from below, at most ln N"),
        ("contrast ≥, nats", "contrast_nats", "estimated: from below, by the noise's density"),
    ):
        yield from row(name, _of("information", field), words)
    proven = "proven: on average over these data; floor: the class"
    yield from row("bound ≤, nats", _of("information", "bound_nats"), proven)
    for count in SEVERAL:
        yield from row(f"  of {count}", _of("information", "bound_by_queries", count), f"of {count} inferences")
    yield from row("mixture ≤, nats", _of("information", "mixture_bound_nats"), "proven: likewise, from the classes")
    for count in SEVERAL:
        yield from row(f"  of {count}", _of("information", "mixture_by_queries", count), f"of {count} inferences")


def _of(part: str, field: str, key: str | None = None) -> Callable[[Audited], str | None]:
    """Reads a field of a part, or the entry of a field."""

    def read(one: Audited) -> str | None:
        held = getattr(one, part)
        found = None if held is None else getattr(held, field)
        return _figure(found if key is None or found is None else found.get(key), 1)

    return read


def _with(found: object, pair: Callable[..., tuple[float | None, Interval | None]], digits: int = 2) -> str | None:
    """A figure, and below it half the width of its interval."""
    if found is None:
        return None
    value, interval = pair(found)
    shown = _figure(value, digits)
    if shown is None or interval is None:
        return shown
    return f"{shown}\n±{(interval[1] - interval[0]) / 2:.{digits}f}"


def _figure(value: float | None, digits: int = 2) -> str | None:
    return None if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: never -0.0
