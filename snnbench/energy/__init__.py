"""Energy estimates from named cost tables; never torch.

models     cost tables: what can be priced, what it costs, and who says so
estimate   counts times costs, term by term
tables/    the cost tables, one TOML file each
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
