"""The two halves as on two machines: a server with TLS and a token, and the device's own program that calls it.

    plan data fetch mnist
    python examples/two_machines.py

Recorded on an AMD EPYC, 2 cores, torch 2.13 for CPUs, ONNX Runtime 1.32, on an idle machine. Server and device are
two processes here, on loopback; the certificate is made by openssl and trusted by name. Spread over three runs: 195
to 200 digits right, for the noise is drawn anew; bytes are the same.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from noise import learn, load_dataset, options_for
from planner import cut
from profiles import presets, profile
from runtime import Reach, client_security, edge_session


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key and its own certificate, as `docs/deploying.md` makes them."""
    key, made = folder / "key.pem", folder / "cert.pem"
    asked = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *asked.split(), "-keyout", key, "-out", made], check=True, capture_output=True)
    return key, made


@contextmanager
def server(*options: str | Path) -> Iterator[str]:
    """`plan serve` as a second process; its URL."""
    command = [sys.executable, "-m", "runtime.cli", "serve", *options, "--port", "0", "--json", "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()


def main() -> None:
    device, digits = profile("lenet", threads=1, seconds=1), load_dataset("mnist")
    plan = cut(device, device, presets()["wifi"], at="conv3")
    learned = learn(
        plan, digits, kind="gaussian", budget_points=1.5, options=options_for("gaussian", steps=300), seed=0
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (key, cert), token = certificate(folder), folder / "token"
        token.touch(mode=0o600)
        token.write_text("0123456789abcdef0123456789abcdef\n")
        plan.write(folder / "plan.json")  # what the server is given, and never the noise
        with server(folder / "plan.json", "--tls-cert", cert, "--tls-key", key, "--token-file", token) as url:
            reach = Reach(url, client_security(url, ca=cert, token_file=token))
            with edge_session(plan, learned.noise, learned.facts, reach=reach) as half:
                done = [half.infer([digits.test.inputs[row : row + 1]]) for row in range(200)]
    right = sum(one.outputs[0].argmax() == label for one, label in zip(done, digits.test.labels, strict=False))
    sent = done[-1].exchange
    print(f"{url.partition(':')[0]}, {sent.bytes_up} bytes up and {sent.bytes_down} down for one inference")
    print(f"{right} of {len(done)} digits right, noise of {plan.cut.crossing[0].bytes} bytes drawn for each")


if __name__ == "__main__":
    main()
