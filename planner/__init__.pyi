from .plan import Plan as Plan
from .planning import cut as cut
