"""Word vectors from the training texts alone, without labels, by latent semantic analysis (Deerwester et al., 1990).

A network of ten thousand texts learns its embedding poorly from nothing; the example that the newsgroups network
follows starts from vectors trained elsewhere, which no package registry has.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds


def latent_semantic(tokens: NDArray[np.int64], *, words: int, dimensions: int) -> NDArray[np.float32]:
    """Vectors [words, dimensions] of root mean square 1; words that share texts lie together.

    tokens: [texts, t], 0 is no word: its vector, and that of a word that is in no text, is zero. The leading singular
    vectors of the weighted counts, (1 + log count) × log(texts / texts with the word), each text of length 1.
    """
    texts = len(tokens)
    rows = np.repeat(np.arange(texts), tokens.shape[1])
    counts = sparse.csr_matrix((np.ones(tokens.size), (rows, tokens.reshape(-1))), shape=(texts, words))
    counts.sum_duplicates()
    holding = np.bincount(counts.indices, minlength=words)
    inverse = np.log(texts / np.maximum(holding, 1))
    inverse[0] = 0
    counts.data = (1 + np.log(counts.data)) * inverse[counts.indices]
    lengths = np.sqrt(counts.multiply(counts).sum(axis=1)).A1
    weighted = sparse.diags(1 / np.maximum(lengths, 1e-12)) @ counts
    start = np.random.default_rng(0).standard_normal(min(weighted.shape))
    _, strengths, directions = svds(weighted, k=dimensions, v0=start)
    vectors = directions.T * strengths  # [words, dimensions]
    sizes = np.sqrt((vectors**2).mean(axis=1, keepdims=True))
    scaled: NDArray[np.float32] = np.divide(vectors, sizes, out=np.zeros_like(vectors), where=sizes > 1e-12).astype(
        np.float32
    )
    return scaled
