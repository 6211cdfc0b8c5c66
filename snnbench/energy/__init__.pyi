from .estimate import EnergyEstimate as EnergyEstimate, estimate_energy as estimate_energy
from .models import EnergyModel as EnergyModel, get as get, load_model as load_model
