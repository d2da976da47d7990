"""The loops of an audit: every attack, estimate and bound of `noise.audit`, on everything that could cross."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
