"""The paper's benchmark networks that can be had, cut for it: each with its data, or what stands in for them."""

from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset
from planner.plan import Plan
from planner.planning import cut
from profiles.link import presets
from profiles.zoo.catalog import ZOO
from reproduction.networks import CLOUD, on_boards
from reproduction.trained import data_of

EDGE, LINK = "tx2-gpu", "wifi"
#: As the tables call them.
CALLED = {
    "lenet": "LeNet",
    "cifar10": "CIFAR-10",
    "svhn": "SVHN (stand-in data)",
    "newsgroups": "20 Newsgroups",
    "alexnet": "AlexNet",
    "vgg16": "VGG-16",
}


def planned(network: str, *, at: str | None = None) -> Plan:
    """Cut behind the node `at`, or where the paper cuts. Costs are modelled, and decide nothing here."""
    boards = on_boards(network)
    return cut(boards[EDGE], boards[CLOUD], presets()[LINK], at=at or ZOO[network].paper_cut)


def opened(network: str, *, at: str | None = None) -> tuple[Plan, CutNetwork, Dataset]:
    """The plan, the network in two halves, and its data; what is missing is fetched and trained first.

    Raises DataError where the data cannot be fetched.
    """
    data = data_of(network)
    plan = planned(network, at=at)
    return plan, CutNetwork.of(plan), data
