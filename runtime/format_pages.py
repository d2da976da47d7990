"""The page of file formats, made from the records: `python -m runtime.format_pages docs/formats.md`.

A table a record: fields, types and what is required as `msgspec` has them, what a field means from the record's
docstring (`name, other: meaning.`), else from its unit's suffix.
"""

import inspect
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from profiles import artifact
from runtime.format_words import MEANINGS, TITLES, UNITS
from runtime.schemas import RECORDS, file_name

HEAD = """# File formats

Made from the records in the code by `make schemas`; a test holds the two together. Every file is JSON whose first
field, `schema`, says what it is; another version is refused, and so is a file with a field of the wrong type: the
error names it. Fields that are not known are ignored. Files are written whole or not at all. No pickle is ever read.

`required` is said of fields that must be there; where it says another value, that is what an absent field means.
Shapes include the batch unless said otherwise. FLOPs count a multiply-add as 2.
"""

Struct = type[msgspec.Struct]


def page() -> str:
    """The whole page, Markdown."""
    parts, seen = [HEAD], set[Struct]()
    for record in RECORDS:
        name = artifact.schema_of(record)
        title = TITLES[name][:1].upper() + TITLES[name][1:]
        parts.append(f"## {name}\n\n{title}. JSON Schema: [{name}](schemas/{file_name(record)}).\n")
        if name == "plan.noise/1":
            parts.append("The tensors in the file, kind by kind: [the noise file](noise-file.md).\n")
        pending = [record]
        while pending:
            struct = pending.pop(0)
            if struct in seen:
                continue
            seen.add(struct)
            parts.extend(_section(struct, heading=struct is not record))
            pending += [one for one in _parts_of(struct) if one not in pending]
    return "\n".join(parts)


def _section(struct: Struct, *, heading: bool) -> Iterator[str]:
    if heading:
        yield f"### {struct.__name__}\n"
    remark, meanings = described(struct)
    if remark:
        yield remark + "\n"
    yield "| field | type | | what |\n|---|---|---|---|"
    hints = get_type_hints(struct, include_extras=True)
    if isinstance(tag := struct.__struct_config__.tag, str):
        yield f"| `schema` | `{tag!r}` | required | |".replace("'", '"')
    for field in msgspec.structs.fields(struct):
        needed = "required" if field.required else _default(field)
        words = (meanings.get(field.name), MEANINGS.get(f"{struct.__name__}.{field.name}"), MEANINGS.get(field.name))
        meaning = next(filter(None, words), None) or _unit(field.name)
        yield f"| `{field.encode_name}` | {_type(hints[field.name])} | {needed} | {meaning} |".replace("  |", " |")
    yield ""


def described(struct: Struct) -> tuple[str, dict[str, str]]:
    """What a record's docstring says of the whole, and of each field; inherited fields by their own record's."""
    meanings: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            meanings |= _fields_of(base)[1]
    return _fields_of(struct)[0], meanings


def _fields_of(struct: Struct) -> tuple[str, dict[str, str]]:
    text = " ".join(inspect.cleandoc(struct.__dict__.get("__doc__") or "").split())
    text = re.sub(r" Raises \w+.*?(?=\. [a-z_]+: |\.?$)", "", text)  # of no meaning to a file
    names = {field.name for field in msgspec.structs.fields(struct)}
    # `a, b: meaning`, at the start or after a sentence
    starts = [
        one
        for one in re.finditer(r"(?:^|(?<=[.;] ))([a-z_0-9]+(?:, [a-z_0-9]+)*): ", text)
        if set(one[1].split(", ")) <= names
    ]
    meanings: dict[str, str] = {}
    ends = [one.start() for one in starts[1:]] + [len(text)]
    for one, end in zip(starts, ends, strict=False):
        meaning = text[one.end() : end].strip().rstrip(".;").replace("|", "\\|")
        meanings |= dict.fromkeys(one[1].split(", "), meaning)
    remark = text[: starts[0].start()] if starts else text
    return _escaped(remark.strip().rstrip(";")), {name: _escaped(meaning) for name, meaning in meanings.items()}


def _escaped(text: str) -> str:
    text = re.sub(r"\bNone\b", "null", text)
    return text.replace("*", "\\*").replace("<", "&lt;")


def _unit(name: str) -> str:
    found = [unit for suffix, unit in UNITS.items() if name == suffix or name.endswith("_" + suffix)]
    return found[-1] if found else ""


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "absent"
    if value in ((), {}, []):
        return "empty"
    return f"`{msgspec.json.encode(value).decode()}`"


def _type(hint: Any) -> str:
    """A type in words; a record of ours as a link to its table."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _limited(inner[0], inner[1])
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in inner if one is not type(None)) + (
            " or null" if type(None) in inner else ""
        )
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin is tuple and inner[-1:] != (...,):
        return f"[{', '.join(_type(one) for one in inner)}]"
    if origin in (tuple, list):
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"object of {_type(inner[1])} by name"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"[{hint.__name__}](#{_anchor(hint)})"
    words = {int: "integer", float: "number", str: "string", bool: "true or false", Any: "any value"}
    return words.get(hint, str(hint))


def _limited(base: Any, limit: Any) -> str:
    if getattr(limit, "gt", None) == 0:
        return f"{_type(base)} > 0"
    return f"{_type(base)} ≥ 0" if getattr(limit, "ge", None) == 0 else _type(base)


def _anchor(struct: Struct) -> str:
    tag = struct.__struct_config__.tag
    return tag.replace(".", "").replace("/", "") if isinstance(tag, str) else struct.__name__.lower()


def _parts_of(struct: Struct) -> list[Struct]:
    """Records that its fields hold, in order."""
    found: list[Struct] = []

    def walk(hint: Any) -> None:
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and hint not in RECORDS:
            found.append(hint)
        for one in get_args(hint):
            walk(one)

    for field in msgspec.structs.fields(struct):
        walk(get_type_hints(struct, include_extras=True)[field.name])
    return found


def main() -> None:
    artifact.write_bytes(Path(sys.argv[1]), page().encode())


if __name__ == "__main__":
    main()
