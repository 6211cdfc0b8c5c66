"""Energy estimates from named cost tables; never torch.

models     cost tables: what can be priced, what it costs, and who says so
estimate   counts times costs, term by term
tables/    the cost tables, one TOML file each
"""

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy

if TYPE_CHECKING:
    from snnbench.energy.estimate import EnergyEstimate as EnergyEstimate
    from snnbench.energy.estimate import estimate_energy as estimate_energy
    from snnbench.energy.models import EnergyModel as EnergyModel
    from snnbench.energy.models import get as get
    from snnbench.energy.models import load_model as load_model
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__, estimate="EnergyEstimate estimate_energy", models="EnergyModel get load_model"
    )
