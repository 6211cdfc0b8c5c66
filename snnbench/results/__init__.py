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

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy

if TYPE_CHECKING:
    from snnbench.results.counts import Alphabet as Alphabet
    from snnbench.results.counts import AlphabetKind as AlphabetKind
    from snnbench.results.counts import LayerRecord as LayerRecord
    from snnbench.results.counts import OpCount as OpCount
    from snnbench.results.counts import Profile as Profile
    from snnbench.results.counts import Role as Role
    from snnbench.results.counts import SideOps as SideOps
    from snnbench.results.counts import Uncounted as Uncounted
    from snnbench.results.engine import EngineLayer as EngineLayer
    from snnbench.results.engine import EngineRun as EngineRun
    from snnbench.results.engine import EngineStep as EngineStep
    from snnbench.results.files import load as load
    from snnbench.results.files import save as save
    from snnbench.results.layer_latency import LatencyCurve as LatencyCurve
    from snnbench.results.layer_latency import LatencyPoint as LatencyPoint
    from snnbench.results.layer_latency import LayerLatencyResult as LayerLatencyResult
    from snnbench.results.layer_latency import LayerShape as LayerShape
    from snnbench.results.run import Accuracy as Accuracy
    from snnbench.results.run import Check as Check
    from snnbench.results.run import DataInfo as DataInfo
    from snnbench.results.run import EnergyMeasurement as EnergyMeasurement
    from snnbench.results.run import Environment as Environment
    from snnbench.results.run import Folding as Folding
    from snnbench.results.run import Published as Published
    from snnbench.results.run import RunConfig as RunConfig
    from snnbench.results.run import RunResult as RunResult
    from snnbench.results.run import Timing as Timing
    from snnbench.results.run import WeightsInfo as WeightsInfo
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        counts="Alphabet AlphabetKind LayerRecord OpCount Profile Role SideOps Uncounted",
        engine="EngineLayer EngineRun EngineStep",
        files="load save",
        run=(
            "Accuracy Check DataInfo EnergyMeasurement Environment Folding Published "
            "RunConfig RunResult Timing WeightsInfo"
        ),
        layer_latency="LayerShape LatencyCurve LatencyPoint LayerLatencyResult",
    )
