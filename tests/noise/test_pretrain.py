import pytest
import torch

from noise.datasets.records import Dataset
from noise.pretrain import accuracy_percent, pretrain
from profiles.zoo import lenet


@pytest.mark.long
def test_lenet_is_trained_from_nothing(mnist: Dataset) -> None:
    torch.manual_seed(1)
    network = lenet.build()
    assert accuracy_percent(network, mnist.test) < 30
    pretrain(network, mnist.without_holdout(), seed=1)
    assert accuracy_percent(network, mnist.test) >= 99.1
