"""The paper's benchmark networks that can be had, cut for it: each with its data, or what stands in for them."""

from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset
from planner.plan import Plan
from planner.planning import cut
from profiles.link import presets
from profiles.modelled import profile_as
from profiles.zoo.catalog import ZOO
from reproduction.trained import data_of

EDGE, CLOUD, LINK = "tx2-gpu", "titan-xp", "wifi"
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
    """Cut behind the node `at`; where the paper cuts, if none is given. Costs are modelled, and decide nothing here."""
    edge, cloud = (profile_as(network, device).profile for device in (EDGE, CLOUD))
    return cut(edge, cloud, presets()[LINK], at=at or ZOO[network].paper_cut)


def opened(network: str, *, at: str | None = None) -> tuple[Plan, CutNetwork, Dataset]:
    """The plan, the network in two halves, and its data; what is missing is fetched and trained first.

    Raises DataError where the data cannot be fetched.
    """
    data = data_of(network)
    plan = planned(network, at=at)
    return plan, CutNetwork.of(plan), data
