from .constraints import Constraints as Constraints
from .explored import Explored as Explored
from .plan import Plan as Plan
from .planning import cut as cut
