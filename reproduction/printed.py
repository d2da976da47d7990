"""What the paper prints in Table 2 and Figure 6: imported from its text, and what follows from it by arithmetic."""

from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class Printed:
    """A network of Table 2. cpu, gpu: the cut, as the number of the last convolution on the edge. legible: whether
    the text at hand says which of its numbers are these. accuracy: pre-trained, percent."""

    title: str
    cpu: int
    gpu: int
    accuracy: float
    legible: bool = True

    def cut(self, edge: str) -> int:
        """For `tx2-cpu` or `tx2-gpu`."""
        return self.cpu if edge == "tx2-cpu" else self.gpu


TABLE_2 = {
    "lenet": Printed("LeNet", 3, 3, 99.6),
    "cifar10": Printed("CIFAR-10", 2, 2, 72.3, legible=False),
    "svhn": Printed("SVHN", 4, 5, 92.5, legible=False),
    "alexnet": Printed("AlexNet", 2, 5, 56.6),
    "vgg16": Printed("VGG-16", 2, 9, 77.8),
    "newsgroups": Printed("20 Newsgroups", 3, 3, 96.5),
}


@dataclass(frozen=True)
class Fractions:
    """A pair of bars of Figure 6, of the cloud-only total over Wi-Fi. comm: of 4 bytes an element, without a fixed
    latency; whole_comm, whole_cloud: cloud-only's own."""

    edge: float
    comm: float
    cloud: float
    whole_comm: float
    whole_cloud: float

    def bars(self, *, itemsize: int = 4, slower: float = 1.0) -> tuple[float, float, float]:
        """Edge, communication, cloud over the cloud-only total, at so many bytes an element, where the link takes
        `slower` times as long as Wi-Fi."""
        whole = self.whole_comm * slower + self.whole_cloud
        return self.edge / whole, self.comm * slower * itemsize / 4 / whole, self.cloud / whole

    def speed_up(self, *, itemsize: int = 4, slower: float = 1.0) -> float:
        """Over cloud-only."""
        return 1 / sum(self.bars(itemsize=itemsize, slower=slower))


FIGURE_6 = {
    "lenet": Fractions(0.1260, 0.4440, 0.0012, 0.9982, 0.0018),
    "cifar10": Fractions(0.1261, 0.4794, 0.0008, 0.9700, 0.0300),
    "svhn": Fractions(0.3820, 0.3231, 0.0055, 0.9694, 0.0306),
    "alexnet": Fractions(0.0467, 0.2438, 0.0003, 0.9990, 0.0010),
    "vgg16": Fractions(0.4587, 0.5270, 0.0143, 0.7905, 0.0160),
}
#: Averages that its text claims, by link, and VGG-16's own over LTE.
MEAN_SPEED_UP = {"wifi": 1.79, "lte": 2.17}
VGG16_OVER_LTE = 1.03
#: What cloud-only sends: 8-bit pixels, LeNet's digit padded to the 32×32 of its original.
IMAGE_BYTES = {"lenet": 32 * 32, "cifar10": 3 * 32 * 32, "svhn": 3 * 32 * 32} | dict.fromkeys(
    ("alexnet", "vgg16"), 3 * 224 * 224
)


def ratio(name: str) -> float:
    """Figure 6's communication of the split over that of cloud-only."""
    return FIGURE_6[name].comm / FIGURE_6[name].whole_comm


def lte_over_wifi() -> float:
    """How much longer LTE takes than Wi-Fi for the same bytes: what VGG-16's speed-up over LTE makes it, 1.90."""
    bars, target = FIGURE_6["vgg16"], VGG16_OVER_LTE
    return (target * (bars.edge + bars.cloud) - bars.whole_cloud) / (bars.whole_comm - target * bars.comm)


def mean_speed_up(*, itemsize: int = 4, slower: float = 1.0) -> float:
    """Of the five networks of Figure 6."""
    return fmean(one.speed_up(itemsize=itemsize, slower=slower) for one in FIGURE_6.values())
