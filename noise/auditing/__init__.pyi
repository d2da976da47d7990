from .door import audit as audit
from .door import checked as checked
from .door import has_pictures as has_pictures
from .door import with_seeds as with_seeds
from .effort import FULL as FULL
from .effort import QUICK as QUICK
from .effort import Effort as Effort
