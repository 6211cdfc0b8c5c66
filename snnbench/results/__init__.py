"""What a run measured, as it is stored; never torch.

counts        what is counted: OpCount, SideOps, LayerRecord, Profile
run           what a run adds: config, provenance, checks, timings, RunResult
engine        what the event engine executed in a run
layer_latency times of layers by firing rate
environment   the machine and the versions
files         save and load
schema        JSON Schema, made of the records
checks        what a file must satisfy beyond types
migrations    files of earlier versions
tidy          rows as a DataFrame
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
