"""A server process without torch: two inputs, one output that says what came; its port on standard output.

It ends when its standard input does.
"""

import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime.cloud import CloudApp, ServedModel, Server, listen
from runtime.contract import TensorContract


class Sums:
    """[n, 4, 5] and [n, 3] → [n, 2]: the sum of each row of either."""

    name = "sums"

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        return [np.stack([one.reshape(len(one), -1).sum(1, dtype=np.float32) for one in inputs], axis=1)]


MODEL = ServedModel(
    "sums",
    Sums(),
    (TensorContract("a", "float32", (-1, 4, 5)), TensorContract("b", "uint8", (-1, 3))),
    (TensorContract("sums", "float32", (-1, 2)),),
)


def main() -> None:
    with listen("127.0.0.1", 0) as bound:
        server = Server(CloudApp({"sums": MODEL}, "0"))

        def wait() -> None:
            sys.stdin.read()
            server.should_exit = True

        threading.Thread(target=wait, daemon=True).start()
        print(bound.getsockname()[1], flush=True)
        server.run(sockets=[bound])


if __name__ == "__main__":
    main()
