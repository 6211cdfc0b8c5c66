from .fanout import axis_fanout as axis_fanout
from .profiler import profile as profile
from .rules import rule as rule
