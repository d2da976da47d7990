"""What the crossing tensors tell, and how to make them tell less."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
