"""The two halves called from a program: a server on a thread, and a session with it."""

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from profiles.errors import DataError, ListenError, NoiseError, PeerError
from runtime import CloudServer, Reach, edge_session


@pytest.fixture
def plan_file(lenet_plan: Any, tmp_path: Path) -> Path:
    lenet_plan.write(tmp_path / "plan.json")
    return tmp_path / "plan.json"


def _answers(port: int) -> bool:
    """Whether a server is there; a port that is free can be given to the connection itself, which nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as made:
            if made.getsockname() == made.getpeername():
                return False
            made.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: here\r\n\r\n")
            return bool(made.recv(1))
    except OSError:
        return False


def test_a_session_answers_with_fresh_noise_for_each(
    lenet_plan: Any, lenet_learned: Any, mnist: Any, plan_file: Path
) -> None:
    server = CloudServer(plan_file)
    digits, labels = mnist.test.inputs[:100], mnist.test.labels[:100]
    with server.on_a_thread() as url:
        assert url == server.url
        reach = Reach(url)
        with edge_session(lenet_plan, lenet_learned.noise, lenet_learned.facts, reach=reach) as half:
            answers = half.infer([digits]).outputs[0]
            again = half.infer([digits]).outputs[0]
            for wrong in ([], [digits[:, :, :20]], [digits, digits], {"image": digits}, [digits.astype(int)], ["x"]):
                with pytest.raises(DataError, match="the model takes"):
                    half.infer(wrong)
            assert half.infer(digits.astype(float)[:1]).outputs[0].shape == (1, 10)
    assert (answers.argmax(1) == labels).mean() > 0.85
    assert not np.array_equal(answers, again)
    port = int(url.rpartition(":")[2])
    assert not _answers(port)
    with pytest.raises(PeerError, match="make another CloudServer"), server.on_a_thread():
        pass


def test_noise_for_another_cut_opens_no_session(lenet_plan: Any, lenet_profile: Any, lenet_learned: Any) -> None:
    from planner import cut

    other = cut(lenet_profile, lenet_profile, lenet_plan.link, at="pool1")
    session = edge_session(other, lenet_learned.noise, lenet_learned.facts)
    with pytest.raises(NoiseError, match="learned for the cut at"), session:
        pass


def test_a_taken_port_is_said_at_once(plan_file: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ListenError, match="--port"):
            CloudServer(plan_file, port=other.getsockname()[1])
