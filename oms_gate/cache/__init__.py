"""The verified cache: files of admitted models, each there only once it was hashed.

Policy and trust are asked anew whenever a model is loaded; only bytes are kept.
"""

from oms_gate.cache.cache import Cache
from oms_gate.cache.model import CachedModel

__all__ = ["Cache", "CachedModel"]
