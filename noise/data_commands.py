"""plan data: the data sets."""

from typing import Annotated

import typer

from noise.completion import datasets
from profiles.options import Json
from profiles.terminal import Row, Terminal, size

data_app = typer.Typer(invoke_without_command=True)


@data_app.callback()
def data(context: typer.Context, json: Json = False) -> None:
    """The data sets that can be fetched, and which are in the cache.

    Example: plan data
    """
    if context.invoked_subcommand is not None:
        return
    import dataclasses

    import msgspec

    from noise.datasets import store
    from noise.datasets.catalog import DATASETS
    from profiles.cache import cache_folder

    terminal = Terminal(json=json)
    sizes = {name: file.stat().st_size for name in DATASETS if (file := store.cached(name)).exists()}
    rows = [
        Row((name, one.about, ", ".join(one.private), size(sizes[name]) if name in sizes else ""))
        for name, one in DATASETS.items()
    ]
    terminal.table(("name", "inputs", "private labels", "in the cache"), rows, left=3)
    terminal.say(f"the cache: {cache_folder()}; plan data fetch NAME; or data of your own, package.module:function")
    facts = [
        {"name": name, **dataclasses.asdict(one), "cached_bytes": sizes.get(name)} for name, one in DATASETS.items()
    ]
    terminal.document(msgspec.json.format(msgspec.json.encode(facts)))


@data_app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="The data set, for example mnist.", autocompletion=datasets)],
    json: Json = False,
) -> None:
    """Fetch a data set into the cache, once, and check it against its pinned SHA-256.

    Example: plan data fetch mnist
    """
    import msgspec

    from noise.datasets import catalog, store
    from profiles import artifact

    terminal = Terminal(json=json)
    catalog.known(name)
    where = store.cached(name)
    if not where.exists():
        artifact.require_writable(where)
    with terminal.progress(f"fetching {name}, MB") as advance:
        fetched = catalog.fetch(name, advance)
    made = catalog.load_dataset(name)
    terminal.say(f"{name}: {len(made.train)} training and {len(made.test)} test inputs in {where}")
    facts = {
        "name": name,
        "path": str(where),
        "fetched": fetched,
        "train": len(made.train),
        "test": len(made.test),
        "bytes": where.stat().st_size,
    }
    terminal.document(msgspec.json.encode(facts))
