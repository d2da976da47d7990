"""A text network for 20 Newsgroups: three convolutions over time, two linear layers, 118 elements after the third.

The paper gives the counts and a footprint of 2.01 KB, which 118 elements fit best (20·118·7 bits = 2.02 KB; 117 give
2.00). The layers are those of the Keras example for this data set ("Using pre-trained word embeddings"), the
well-known network with these counts, but for the last convolution's 118 channels in place of 128.

Its input is token ids, as a client would send them: the embedding is part of the network, and stays on the edge.
"""

from collections import OrderedDict

import torch
from torch import nn

#: The most frequent words and, as id 0, all others and the padding.
VOCABULARY = 20_000
#: Tokens of one text; longer texts are cut, shorter ones padded.
TOKENS = 1000
EMBEDDING = 100


class ChannelsFirst(nn.Module):
    """[n, tokens, channels] → [n, channels, tokens], as convolutions over time want it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


def build() -> nn.Module:
    """Token ids [n, 1000] → logits [n, 20]."""
    return nn.Sequential(
        OrderedDict(
            embedding=nn.Embedding(VOCABULARY, EMBEDDING),  # [n, 1000, 100]
            transpose=ChannelsFirst(),
            conv1=nn.Conv1d(EMBEDDING, 128, 5),  # [n, 128, 996]
            relu1=nn.ReLU(),
            pool1=nn.MaxPool1d(5),  # [n, 128, 199]
            conv2=nn.Conv1d(128, 128, 5),  # [n, 128, 195]
            relu2=nn.ReLU(),
            pool2=nn.MaxPool1d(5),  # [n, 128, 39]
            conv3=nn.Conv1d(128, 118, 5),  # [n, 118, 35]
            relu3=nn.ReLU(),
            pool3=nn.MaxPool1d(35),  # [n, 118, 1]
            flatten=nn.Flatten(),
            fc1=nn.Linear(118, 128),
            relu4=nn.ReLU(),
            fc2=nn.Linear(128, 20),
        )
    )
