from .channel import ChannelNoise as ChannelNoise
from .datasets.catalog import load_dataset as load_dataset
from .datasets.private_labels import private_labels as private_labels
from .gaussian import GaussianNoise as GaussianNoise
from .laplace import LaplaceNoise as LaplaceNoise
from .learning import learn as learn
from .learning_options import Options as Options
