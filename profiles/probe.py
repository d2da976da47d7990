"""Measuring a link from the edge: round trip, uplink and downlink against `plan link --serve`.

A rate is the payload that TCP delivered to the application at the receiving end, per second: what a tensor's bytes
meet, headers and retransmissions already paid. On Ethernet that is 1448/1514 of a limit that counts whole frames. The
first second of every test is left out: it holds slow start, and the burst that a token bucket lets through above its
rate.
"""

import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np

from profiles.errors import LinkError, PeerError
from profiles.link import LinkProfile, Spread
from profiles.probe_protocol import (
    BUSY,
    FAILED,
    GREETING,
    IPERF3,
    MOST_SECONDS,
    PING,
    PONG,
    PORT,
    Conversation,
    iperf3,
)

Direction = Literal["uplink", "downlink"]

CONNECT_S = 5.0
ANSWER_S = 10.0
#: Left out at the start of every test, whole seconds (iperf3 takes no others).
OMIT_S = 1
#: What a test may take beyond its time: connecting, exchanging results over a link that is still full.
SLACK_S = 20.0
#: Round trips in one repeat: as many as fit into PINGS_S, within these bounds, after the warm-up.
PINGS_S = 2.0
LEAST_PINGS, MOST_PINGS, WARM_UP_PINGS = 10, 100, 5
#: An inference comes after a wait, not in a hot loop: neither end is still awake from the message before.
PAUSE_S = 0.005


class _Rate(msgspec.Struct):
    bits_per_second: float


class _End(msgspec.Struct):
    sum_received: _Rate | None = None


class _Report(msgspec.Struct):
    """What we read of iperf3's JSON."""

    end: _End = msgspec.field(default_factory=_End)
    error: str | None = None


def measure(
    host: str,
    *,
    port: int = PORT,
    seconds: int = 3,
    repeats: int = 5,
    name: str | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> LinkProfile:
    """Medians over `repeats` of round trip, uplink and downlink to a `plan link --serve`, with their spread.

    seconds: length of one test of one direction, whole, after the second that is left out.
    Raises LinkError: iperf3 is not installed here, or an argument is out of its range. PeerError: the other end
    cannot be reached, is no such server, is busy, or fails on the way.
    """
    if not (1 <= seconds <= MOST_SECONDS and repeats >= 1):
        raise LinkError(f"{repeats} repeats of {seconds} s, expected at least 1 repeat of 1 to {MOST_SECONDS} s")
    iperf3()
    done = 0
    rtt_ms: list[float] = []
    mbps: dict[Direction, list[float]] = {"uplink": [], "downlink": []}
    with _Peer(host, port) as peer:
        for _ in range(repeats):
            progress(done, 3 * repeats)
            rtt_ms.append(peer.rtt_ms())
            progress(done := done + 1, 3 * repeats)
            for direction, rates in mbps.items():
                rates.append(peer.received_mbps(direction, seconds=seconds))
                progress(done := done + 1, 3 * repeats)
    return _profile(name or host, rtt_ms, mbps["uplink"], mbps["downlink"], seconds=seconds)


def _profile(
    name: str, rtt_ms: Sequence[float], up: Sequence[float], down: Sequence[float], *, seconds: int
) -> LinkProfile:
    repeats = len(rtt_ms)
    return LinkProfile(
        name=name,
        provenance="measured",
        uplink_mbps=_figures(statistics.median(up)),
        downlink_mbps=_figures(statistics.median(down)),
        rtt_ms=_figures(statistics.median(rtt_ms)),
        source=(
            f"iperf3 over TCP: payload received at the far end of each direction, median of {repeats} × {seconds} s, "
            f"the first {OMIT_S} s of each left out; round trip of a 5-byte TCP message between idle ends"
        ),
        # One repeat has no spread; 0 would claim a perfect one.
        spread=Spread(uplink_mbps=_iqr(up), downlink_mbps=_iqr(down), rtt_ms=_iqr(rtt_ms), repeats=repeats)
        if repeats > 1
        else Spread(repeats=1),
    )


def _iqr(values: Sequence[float]) -> float:
    low, high = np.percentile(values, [25, 75])
    return _figures(float(high - low))


def _figures(value: float) -> float:
    """Four significant figures: more would be noise."""
    return float(f"{value:.4g}")


class _Peer:
    """A session with `plan link --serve`; every failure of it is a PeerError."""

    def __init__(self, host: str, port: int) -> None:
        self._where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._talk = Conversation(_connected(host, port, self._where))
        try:
            answer = self._ask(GREETING)
            if answer == BUSY:
                raise PeerError(f"{self._where} is busy with another measurement; try again when that is done")
            if answer != GREETING:
                raise self._stranger(ascii(answer[:40]))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "_Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._talk.__exit__()

    def rtt_ms(self) -> float:
        """Median round trip of a small message, after warm-up."""
        for _ in range(WARM_UP_PINGS):
            self._ping_ms()
        times: list[float] = []
        end = time.monotonic() + PINGS_S
        while len(times) < LEAST_PINGS or (len(times) < MOST_PINGS and time.monotonic() < end):
            time.sleep(PAUSE_S)
            times.append(self._ping_ms())
        return statistics.median(times)

    def received_mbps(self, direction: Direction, *, seconds: int) -> float:
        """Payload received at the far end of the direction, 10^6 bits per second."""
        answer = self._ask(IPERF3)
        word, _, rest = answer.partition(" ")
        if word == FAILED:
            raise PeerError(f"{self._where} could not start iperf3: {rest}; free the port above the measuring one")
        if word != IPERF3 or not rest.isdecimal():
            raise self._stranger(ascii(answer[:40]))
        return self._tested(direction, int(rest), seconds=seconds)

    def _tested(self, direction: Direction, port: int, *, seconds: int) -> float:
        where = f"{direction} to {self._where}"
        command = [iperf3(), "--client", self._talk.there, "--port", str(port), "--json", "--time", str(seconds),
                   "--omit", str(OMIT_S), "--connect-timeout", str(round(1000 * CONNECT_S)),
                   *(["--reverse"] if direction == "downlink" else [])]  # fmt: skip
        limit_s = OMIT_S + seconds + SLACK_S
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit_s,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise PeerError(f"{where}: iperf3 timed out after {limit_s:g} s; is the link still up?") from None
        try:
            report = msgspec.json.decode(done.stdout, type=_Report)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            words = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())[:200]
            raise PeerError(f"{where}: iperf3 gave no report (exit {done.returncode}): {words}") from error
        if report.error is not None or report.end.sum_received is None:
            reason = (report.error or "no received rate in its report").removeprefix("error - ")
            raise PeerError(
                f"{where}: iperf3 on port {port}: {reason}; "
                "is `plan link --serve` still running there, and that port open?"
            )
        if not report.end.sum_received.bits_per_second > 0:
            raise PeerError(f"{where}: nothing arrived within {seconds} s; give more time with --seconds")
        return report.end.sum_received.bits_per_second / 1e6

    def _ping_ms(self) -> float:
        start = time.perf_counter_ns()
        if (answer := self._ask(PING)) != PONG:
            raise self._stranger(ascii(answer[:40]))
        return (time.perf_counter_ns() - start) / 1e6

    def _ask(self, request: str) -> str:
        try:
            self._talk.say(request)
            return self._talk.hear(timeout_s=ANSWER_S)
        except ValueError as error:
            raise self._stranger(str(error)) from error
        except TimeoutError as error:
            raise PeerError(
                f"{self._where} timed out: no answer within {ANSWER_S:g} s; "
                "is it `plan link --serve`, and is the link up?"
            ) from error
        except (EOFError, OSError) as error:
            raise PeerError(
                f"{self._where} closed the connection; is it `plan link --serve`, and still running?"
            ) from error

    def _stranger(self, answer: str) -> PeerError:
        return PeerError(f"{self._where} is no `plan link --serve` (it answered {answer}); start one there")


def _connected(host: str, port: int, where: str) -> socket.socket:
    try:
        return socket.create_connection((host, port), timeout=CONNECT_S)
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise PeerError(f"{host!r} has no address ({reason}); check the name, or give the address") from error
    except ConnectionRefusedError as error:
        raise PeerError(
            f"{where} refused the connection: is `plan link --serve --host ADDRESS` running there, on that port?"
        ) from error
    except TimeoutError as error:
        raise PeerError(
            f"{where} timed out: no connection within {CONNECT_S:g} s; check the address and that firewalls let "
            f"ports {port} and {port + 1} through"
        ) from error
    except OSError as error:
        raise PeerError(
            f"{where} is unreachable ({error.strerror or error}); check the address and the link"
        ) from error
