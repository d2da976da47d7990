from .datasets.catalog import load_dataset as load_dataset
from .laplace import LaplaceNoise as LaplaceNoise
from .learning import learn as learn
