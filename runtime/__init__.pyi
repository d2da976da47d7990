from .client import CloudClient as CloudClient
from .edge import EdgeHalf as EdgeHalf
from .record import RunRecord as RunRecord
from .trial import run as run
