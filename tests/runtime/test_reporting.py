"""The page of a folder of results: what is gathered, what belongs together, and that the page is sound."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import msgspec
import pytest
import reports

from noise import collection
from noise.auditing import pictures
from profiles import artifact
from profiles.device import DeviceProfile
from profiles.errors import ArtifactError, PlanError
from runtime.reporting import gathering, palette, sections
from runtime.reporting import page as pages

ATTACK = "<script>alert(1)</script>"
#: As mathematics it would be an error, as an SVG's own id or colour it would be replaced.
NODE = 'a" id="b" #0072B2 url(#c)><img src=x onerror=\'b\'>$x^{'
HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


def rendered(folder: Path) -> str:
    return pages.rendered(gathering.gather(folder)).decode()


def parsed(page: str) -> Element:
    """Raises ParseError at the first thing that is not HTML."""
    found: Element = html5lib.HTMLParser(strict=True).parse(page)
    return found


@pytest.fixture(scope="module")
def example() -> DeviceProfile:
    from conftest import TINY

    return artifact.decode(json.dumps(TINY).encode(), DeviceProfile, origin="tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, example: DeviceProfile) -> Path:
    """One of every kind, under names that try to be markup."""
    made = tmp_path_factory.mktemp("results")
    reports.whole(made, reports.named(example, ATTACK, NODE, "<b>bold</b>"), data=f"{ATTACK}:x")
    (made / "notes.txt").write_text("notes")
    return made


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return rendered(folder)


@pytest.fixture(scope="module")
def tree(page: str) -> Element:
    return parsed(page)


def test_no_name_becomes_markup(page: str, tree: Element) -> None:
    assert not [one for one in tree.iter() if one.tag in (f"{HTML}script", f"{HTML}b") and "bold" in (one.text or "")]
    assert not list(tree.iter(f"{HTML}script"))
    assert all(one.get("src", "").startswith("data:image/png;base64,") for one in tree.iter(f"{HTML}img"))
    assert not [key for one in tree.iter() for key in one.keys() if key.startswith("on")]  # noqa: SIM118
    text = "".join(tree.itertext())
    assert ATTACK in text
    assert "font-family" not in "".join(one.get("style", "") for one in tree.iter())
    assert NODE in text


def test_the_page_requests_nothing(page: str, tree: Element) -> None:
    for one in tree.iter():
        for key, value in one.items():
            if key.rpartition("}")[2] in ("src", "href", "action", "data", "poster", "srcset"):
                assert value.startswith(("#", "data:image/png;base64,")), (one.tag, key, value[:60])
    assert not re.findall(r"@import|url\((?!#)", page)
    assert not [one for one in tree.iter() if one.tag in (f"{HTML}link", f"{HTML}iframe", f"{HTML}object")]
    policy = next(one for one in tree.iter(f"{HTML}meta") if one.get("http-equiv"))
    assert policy.get("content") == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_ids_are_unique_and_what_is_referred_to_is_there(tree: Element) -> None:
    ids = [one.get("id") for one in tree.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    wanted = {part for one in tree.iter() for part in (one.get("aria-labelledby") or "").split()}
    wanted |= {value[1:] for one in tree.iter() for key, value in one.items() if key.endswith("href")}
    wanted |= {
        part for one in tree.iter() for value in one.attrib.values() for part in re.findall(r"url\(#(.+?)\)", value)
    }
    assert len(wanted) > 20
    assert wanted <= set(ids)


def test_pictures_have_alternatives_and_headings_their_order(tree: Element) -> None:
    images = list(tree.iter(f"{HTML}img"))
    assert len(images) == 4 + 3 + 4 + 4
    assert all(one.get("alt") and one.get("width") for one in images)
    charts = [one for one in tree.iter(f"{SVG}svg") if one.get("aria-hidden") != "true"]
    assert len(charts) >= 8
    for one in charts:
        assert one.get("role") == "img"
        assert (one.findtext(f"{SVG}title") or "").strip()
        assert len(one.findtext(f"{SVG}desc") or "") > 20
    levels = [
        int(one.tag[-1]) for one in tree.iter() if isinstance(one.tag, str) and re.fullmatch(f"{HTML}h[1-6]", one.tag)
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_chart_has_its_figures_as_a_table(tree: Element) -> None:
    figures = list(tree.iter(f"{HTML}figure"))
    assert all(len(list(one.iter(f"{HTML}tr"))) >= 2 for one in figures)
    for table in tree.iter(f"{HTML}table"):
        heads = len(next(table.iter(f"{HTML}tr")))
        assert all(len(row) == heads for row in table.iter(f"{HTML}tr"))


def test_the_headline_gives_each_figure_its_word(tree: Element) -> None:
    tiles = [
        "".join(one.itertext())
        for one in tree.iter(f"{HTML}li")
        if "value" in str([c.get("class") for c in one.iter()])
    ]
    told = {re.sub(r"\s+", " ", one) for one in tiles}
    for value, words in (
        ("7.50 bits", ("proven",)),
        ("1.20 points", ("measured",)),
        ("13.0 dB", ("attacked",)),
        ("20.0 %", ("attacked", "at most 25.0 % is proven")),
    ):
        figure, unit = value.split()
        assert any(f"{figure}{unit}" in one and all(word in one for word in words) for one in told), (value, told)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: of relative luminances, (L1 + 0.05) / (L2 + 0.05)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_what_is_read_stands_out(theme: dict[str, str]) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert not {pair for pair in palette.TEXT if contrast(theme[pair[0]], theme[pair[1]]) < 4.5}
    assert not {mark for mark in palette.MARKS if contrast(theme[mark], theme["paper"]) < 3}


def test_every_colour_of_the_page_is_in_the_palette(page: str) -> None:
    used = set(re.findall(r"var\(--([\w-]+)\)", page)) - {"count", "most"}
    assert used <= set(palette.LIGHT)
    assert set(palette.LIGHT) == set(palette.DARK)
    # Nothing that matplotlib drew is left in a colour of its own.
    assert not re.findall(r"(?:fill|stroke): (#\w+)", page)


def test_files_are_told_by_what_is_in_them(tmp_path: Path, example: DeviceProfile) -> None:
    numbers = iter(range(100))
    reports.whole(tmp_path, example, names=lambda name: f"f{next(numbers)}")
    found = gathering.gather(tmp_path)
    made, loose = sections.sections(found)
    assert len(made) == 1
    assert not loose
    (one,) = made
    assert one.edge is one.cloud is found.profiles[0]
    assert [len(one.noises), len(one.runs), len(one.audits)] == [1, 1, 1]
    assert one.audits[0].pictures is found.pictures[0]
    assert not found.left_out


def test_a_run_goes_to_the_plan_of_its_link(tmp_path: Path, example: DeviceProfile) -> None:
    for link in ("wifi", "lte"):
        artifact.write(tmp_path / f"{link}.json", reports.planned(example, link))
    plan = reports.planned(example, "lte")
    artifact.write(tmp_path / "run.json", reports.run_of(plan))
    made, _ = sections.sections(gathering.gather(tmp_path))
    runs = {one.plan.record.link.name: len(one.runs) for one in made if one.plan}
    assert runs == {"wifi": 0, "lte": 1}


def test_noise_goes_to_the_plan_in_its_folder_and_its_cut(tmp_path: Path, example: DeviceProfile) -> None:
    plan = reports.planned(example)
    for place in ("a", "b"):
        artifact.write(tmp_path / place / "plan.json", plan)
    collection.write(tmp_path / "a" / "noise.safetensors", reports.noise_of(plan), reports.facts_of(plan))
    other = msgspec.structs.replace(reports.facts_of(plan), architecture="sha256:other")
    collection.write(tmp_path / "b" / "noise.safetensors", reports.noise_of(plan), other)
    made, _ = sections.sections(gathering.gather(tmp_path))
    found = [(one.plan.name if one.plan else None, [each.name for each in one.noises]) for one in made]
    assert found == [("a/plan.json", ["a/noise.safetensors"]), ("b/plan.json", []), (None, ["b/noise.safetensors"])]


def test_a_plan_alone_and_an_audit_without_its_plan_have_a_page(tmp_path: Path, example: DeviceProfile) -> None:
    plan = reports.planned(example)
    artifact.write(tmp_path / "plan.json", plan)
    artifact.write(tmp_path / "audit.json", msgspec.structs.replace(reports.audit_of(plan), cut="fc"))
    (tmp_path / "audit.png").write_bytes(gathering.PNG + b"rest")
    made = rendered(tmp_path)
    tree = parsed(made)
    assert "No noise for it is in this folder" in made
    assert "The plan for the cut of tiny after fc is not in this folder" in made
    assert [one.get("class") for one in tree.iter(f"{HTML}img")] == ["sheet"]


def test_what_is_left_out_is_said_with_its_reason(tmp_path: Path, example: DeviceProfile) -> None:
    plan = reports.planned(example)
    artifact.write(tmp_path / "plan.json", plan)
    pictures.write(tmp_path / "old.safetensors", reports.audit_of(plan), reports.lines())
    (tmp_path / "broken.json").write_text('{"schema": "plan.run/1", "model": 3}')
    (tmp_path / "theirs.json").write_text('{"schema": "other/1"}')
    (tmp_path / "half.json").write_text('{"schema": "plan.half/1"}')
    (tmp_path / "cut.json").write_text('{"schema": ')
    (tmp_path / "a.png").write_bytes(gathering.PNG)
    (tmp_path / ".hidden.json").write_text("{}")
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "twice.json").symlink_to(tmp_path / "plan.json")
    (tmp_path / "itself").symlink_to(tmp_path)
    found = gathering.gather(tmp_path)
    sections.sections(found)
    again = {name: found.left_out.pop(name) for name in list(found.left_out) if name.startswith(("twice", "itself"))}
    assert again["twice.json"] == "the same file as plan.json"
    assert again["itself/plan.json"] == "the same file as plan.json"
    assert len(found.plans) == 1
    assert {name: why[:24] for name, why in found.left_out.items()} == {
        "a.png": "a picture of no audit th",
        "broken.json": "field model: Expected st",
        "cut.json": "not a file of plan, or n",
        "half.json": "plan.half/1: nothing of ",
        "old.safetensors": "pictures of an audit tha",
        "sub/deep/": "too deep; report on it b",
        "theirs.json": "schema 'other/1', not of",
    }


def test_the_command_writes_the_page_and_says_what_is_in_it(
    folder: Path, page: str, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    done = plan_command("report", folder, "--out", tmp_path / "page.html", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["bytes"] == (tmp_path / "page.html").stat().st_size < 300_000
    assert {one["schema"] for one in told["shown"]} == set(gathering.READERS)
    assert told["left_out"] == [{"file": "notes.txt", "why": "not a file of plan, or not a whole one"}]
    assert "written: " in done.err
    assert (tmp_path / "page.html").read_text() == page  # the same files, the same bytes


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("gone",), "no such folder"),
        (("empty",), "nothing to show; plan profile, plan cut"),
        (("full", "--out", "full/plan.json"), "is read here as well"),
        (("full", "--out", "full"), "is a folder"),
        (("full/plan.json",), "no folder"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: tuple[str, ...],
    word: str,
    tmp_path: Path,
    example: DeviceProfile,
    plan_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    artifact.write(Path("full/plan.json"), reports.planned(example))
    done = plan_command("report", *arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(tmp_path.rglob("*.html"))


@pytest.mark.parametrize("name", ["a\x00b\x1b[31m", "\x85\x9f", "\ufffe\U0001ffff"])
def test_a_character_that_no_page_may_hold_is_replaced(name: str, tmp_path: Path, example: DeviceProfile) -> None:
    artifact.write(tmp_path / "edge.json", reports.named(example, name))
    (tmp_path / "r.json").write_text(json.dumps({"schema": name}))
    page = rendered(tmp_path)
    parsed(page)
    assert "\ufffd" in page


def test_a_figure_that_cannot_be_is_one_line(tmp_path: Path, example: DeviceProfile) -> None:
    plan = msgspec.to_builtins(reports.planned(example))
    plan["breakpoints"][0]["uplink_mbps_from"] = 0
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(PlanError, match="“Fastest cut by bandwidth, predicted” cannot be drawn"):
        rendered(tmp_path)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages.importlib.util, "find_spec", lambda name: None if name == "matplotlib" else object())
    with pytest.raises(PlanError, match=r"matplotlib, which is not installed; .*\[plot\]"):
        pages.require()


def test_gathering_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from pathlib import Path; from runtime.reporting import gathering, "
        "sections, page; found = gathering.gather(Path(sys.argv[1])); print(len(sections.sections(found)[0]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr


def test_the_curve_is_kept_with_the_noise(tmp_path: Path, example: DeviceProfile) -> None:
    plan = reports.planned(example)
    facts = reports.facts_of(plan)
    collection.write(tmp_path / "a", reports.noise_of(plan), facts)
    assert collection.read(tmp_path / "a")[1] == collection.read_facts(tmp_path / "a") == facts
    plain = msgspec.structs.replace(facts, curve=())
    collection.write(tmp_path / "b", reports.noise_of(plan), plain)
    assert b"curve" not in (tmp_path / "b").read_bytes()
    assert collection.read_facts(tmp_path / "b") == plain


def test_files_of_another_schema_have_no_facts(tmp_path: Path, example: DeviceProfile) -> None:
    pictures.write(tmp_path / "p", reports.audit_of(reports.planned(example)), reports.lines())
    with pytest.raises(ArtifactError, match=r"plan\.pictures/1"):
        collection.read_facts(tmp_path / "p")
