from .card import Card as Card
from .networks import neurons_of as neurons_of
from .registry import Benchmark as Benchmark, get as get, names as names
