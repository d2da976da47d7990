"""Every page typed from top to bottom, as a reader would, each in a folder of its own.

Servers run in the background and end with the page; hosts are folders of one machine, `scp` copies between them. What
a page says is printed must be printed. What is not run is listed at the end, with its reason.
"""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from doc_pages import ROOT, Block, Command, Page, pages

PAGES = {page.name: page for page in pages() if page.commands}
#: Pages whose blocks, Python among them, a test of their own runs one after the other.
ELSEWHERE = {"docs/extending.md": "tests/docs/test_extending.py"}
#: Where each page ended that another goes on from.
ENDED: dict[str, Path] = {}
#: A command that takes longer is stuck.
PATIENCE_S = 3600
SCP = """#!{python}
import pathlib, shutil, sys
hosts = pathlib.Path({hosts!r})
*sources, target = [hosts / one.replace(":", "/", 1) if ":" in one else pathlib.Path(one)
                    for one in sys.argv[1:] if not one.startswith("-")]
for source in sources:
    place = target / source.name if target.is_dir() else target
    shutil.copytree(source, place, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, place)
"""


class Typist:
    """Types into a shell, in the folder of the host where the reader sits."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.here = folder, folder
        self.servers: dict[str, subprocess.Popen[str]] = {}
        self.port, self.link_port = _free_port(), _free_port(in_a_row=2)
        self.said: list[str] = []
        self.typed: list[tuple[Command, float]] = []
        programs = folder / ".bin"
        programs.mkdir(exist_ok=True)
        scp = programs / "scp"
        scp.write_text(SCP.format(python=sys.executable, hosts=str(folder)))
        scp.chmod(scp.stat().st_mode | stat.S_IXUSR)
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
        self.environment["PLAN_CONFIG"] = str(folder / ".config")

    def block(self, block: Block) -> None:
        if (host := block.directive("on")) is not None:
            self.here = self.folder / host
            self.here.mkdir(exist_ok=True)
        if block.file:
            (self.here / block.file).write_text("\n".join(block.lines) + "\n")
        for text in (rest for word, rest in block.directives if word == "before"):
            self.type(Command(block.page, block.line, text))
        commands = [one for one in block.commands if block.exempt(one) is None]
        if block.commands:
            self.said = []
        for one in commands:
            self.type(one, code=int(block.directive("exits") or 0) if one is commands[-1] else 0)
        if block.directive("prints") is not None:
            printed = {line.rstrip() for line in "\n".join(self.said).splitlines()}
            missing = [line for line in block.lines if line.rstrip() and line.rstrip() not in printed]
            assert not missing, f"{block.page}:{block.line}: not printed: {missing}"

    def type(self, command: Command, *, code: int = 0) -> None:
        text = self.mapped(command.text)
        if command.words[:2] == ["plan", "link"] and not {"--preset", "--port"} & set(command.words):
            text += f" --port {self.link_port}"
        if command.words[:2] == ["plan", "serve"] or {"link", "--serve"} <= set(command.words):
            self.serve(command.words[1], text, command)
            return
        start = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.here, env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        self.typed.append((command, time.monotonic() - start))
        self.said.append(done.stdout + done.stderr)
        assert done.returncode == code, f"{command.where}: exit {done.returncode}, {done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr, f"{command.where}: {done.stderr[-2000:]}"

    def mapped(self, text: str) -> str:
        """Other machines are this one."""
        text = re.sub(r"\b(server|cloud)\.example\b|(?<=//)server\b", "localhost", text)
        return text.replace("192.0.2.7", "127.0.0.1").replace("8400", str(self.port))

    def serve(self, kind: str, text: str, command: Command) -> None:
        """In the background, in place of the server that was there; returns once it listens."""
        self.stop(kind)
        port = self.link_port if kind == "link" else self.port
        assert not _listens(port), f"{command.where}: something else listens on port {port}"
        if kind == "serve" and "--port" not in command.words:
            text += f" --port {port}"
        log = self.folder / f"{kind}.log"
        start = time.monotonic()
        with log.open("w") as stream:
            self.servers[kind] = subprocess.Popen(
                ["bash", "-c", f"exec {text}"],
                cwd=self.here, env=self.environment, stdout=stream, stderr=stream, text=True, start_new_session=True,
            )  # fmt: skip
        while not _listens(port):
            assert self.servers[kind].poll() is None, f"{command.where}: {log.read_text()[-2000:]}"
            assert time.monotonic() < start + 300, f"{command.where}: does not listen"
            time.sleep(0.2)
        self.typed.append((command, time.monotonic() - start))

    def stop(self, kind: str) -> None:
        process = self.servers.pop(kind, None)
        if process is not None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=30)


@contextmanager
def typist(folder: Path) -> Iterator[Typist]:
    one = Typist(folder)
    try:
        yield one
    finally:
        for kind in list(one.servers):
            one.stop(kind)


def _free_port(*, in_a_row: int = 1) -> int:
    """The first of so many ports that nobody listens on."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            first = int(one.getsockname()[1])
        if not any(_listens(first + more) for more in range(in_a_row)):
            return first


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def typed(page: Page, folder: Path) -> list[tuple[Command, float]]:
    """Types a page into a folder, where another page ended if it goes on from one; returns what was typed."""
    if page.after is not None:
        if page.after not in ENDED:
            before = folder.with_name(folder.name + "-before")
            typed(PAGES[page.after], before)
            ENDED[page.after] = before
        shutil.copytree(ENDED[page.after], folder, ignore=shutil.ignore_patterns(".bin"))
    folder.mkdir(exist_ok=True)
    with typist(folder) as one:
        for block in page.blocks:
            one.block(block)
    ENDED[page.name] = folder
    return one.typed


def exempt(page: Page) -> list[tuple[Command, str]]:
    pairs = [(one, block.exempt(one)) for block in page.blocks for one in block.commands]
    return [(one, reason) for one, reason in pairs if reason is not None]


@pytest.mark.parametrize("name", PAGES)
def test_what_is_not_run_has_a_reason(name: str) -> None:
    for one, reason in exempt(PAGES[name]):
        assert len(reason.split()) > 2, one.where


@pytest.mark.parametrize("name", PAGES)
def test_what_is_typed_elsewhere_is_typed_there(name: str) -> None:
    for block in PAGES[name].blocks:
        for words, _, reason in (rest.partition(": ") for word, rest in block.directives if word == "omit"):
            if found := re.search(r"\btyped .*?\bin (\S+\.md)$", reason):
                there = PAGES[os.path.normpath(Path("docs", found[1]))]
                run = [one for other in there.blocks for one in other.commands if other.exempt(one) is None]
                assert any(words in one.text for one in run), f"{name}:{block.line}: {words}"


@pytest.mark.parametrize("name", [name for name in PAGES if name in ELSEWHERE])
def test_other_tests_run_the_rest(name: str) -> None:
    assert Path(name).name in (ROOT / ELSEWHERE[name]).read_text()


def test_most_of_what_is_typed_is_run() -> None:
    everything = sum(len(page.commands) for page in PAGES.values())
    assert sum(len(exempt(page)) for page in PAGES.values()) < 0.2 * everything


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in PAGES if name not in ELSEWHERE])
def test_a_page_can_be_typed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = typed(PAGES[name], tmp_path / "typed")
    with capsys.disabled():
        print(f"\n{name}: {len(done)} commands in {sum(took for _, took in done):.0f} s")
        for one, took in sorted(done, key=lambda pair: -pair[1])[:3]:
            print(f"  {took:.0f} s  {one.where}")
        for one, reason in exempt(PAGES[name]):
            print(f"  not run  {one.where}: {reason}")
