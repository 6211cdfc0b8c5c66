from .machine import Machine as Machine
from .recipe import Recipe as Recipe
from .training import train as train
