"""A cloud on this machine, as a second process, behind an emulated link, as a third.

Each child holds the other end of a pipe from here and ends when the pipe closes: nothing is left running, however
this process ends.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from planner.plan import Plan
from profiles import artifact
from profiles.errors import PeerError
from profiles.link import LinkProfile
from runtime.emulation import Order


@contextmanager
def local_cloud(plan: Plan, link: LinkProfile | None, *, prepared: Path | None = None) -> Iterator[str]:
    """URL of a local cloud process for the plan, behind the link (None: plain loopback). prepared: it serves all cuts
    of that folder.

    Raises PeerError where a process does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="plan-local-") as folder, contextlib.ExitStack() as stack:
        plan_file = Path(folder, "plan.json")
        artifact.write(plan_file, plan)
        what = [str(plan_file), "--with-reference"] if prepared is None else [str(prepared)]
        serve = ["runtime.cli", "serve", *what, "--port", "0", "--json", "--until-eof"]
        url = json.loads(stack.enter_context(_child(serve, "the local cloud")))["url"]
        if link is not None:
            url, _ = stack.enter_context(emulated_link(link, url))
        yield url


@contextmanager
def emulated_link(link: LinkProfile, url: str) -> Iterator[tuple[str, Callable[[Order], None]]]:
    """The URL under which a server on this machine is reached over an emulated link, and what changes the link.

    Raises PeerError where the process does not come up.
    """
    host, port = url.removeprefix("http://").removeprefix("https://").split(":")
    with tempfile.TemporaryDirectory(prefix="plan-link-") as folder:
        link_file = Path(folder, "link.json")
        artifact.write(link_file, link)
        with _started(["runtime.emulation", str(link_file), host, port], "the emulated link") as (process, line):

            def order(order: Order) -> None:
                assert process.stdin is not None
                process.stdin.write(msgspec.json.encode(order).decode() + "\n")
                process.stdin.flush()

            yield f"{url.partition(':')[0]}://127.0.0.1:{int(line)}", order


@contextmanager
def _child(module: list[str], what: str) -> Iterator[str]:
    """A child process; its first line of output once it is ready."""
    with _started(module, what) as (_, line):
        yield line


@contextmanager
def _started(module: list[str], what: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    # -P: modules of the current folder must not stand before ours. A session of its own: an interrupt from the
    # keyboard reaches this process alone, which then ends its children.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", *module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise PeerError(f"{what} did not start (exit {process.wait()}); its own words stand above")
        yield process, line
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
