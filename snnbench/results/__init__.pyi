from .counts import (
    Alphabet as Alphabet,
    AlphabetKind as AlphabetKind,
    LayerRecord as LayerRecord,
    OpCount as OpCount,
    Profile as Profile,
    Role as Role,
    SideOps as SideOps,
    Uncounted as Uncounted,
)
from .engine import EngineLayer as EngineLayer, EngineRun as EngineRun, EngineStep as EngineStep
from .files import load as load, save as save
from .layer_latency import (
    LatencyCurve as LatencyCurve,
    LatencyPoint as LatencyPoint,
    LayerLatencyResult as LayerLatencyResult,
    LayerShape as LayerShape,
)
from .run import (
    Accuracy as Accuracy,
    Check as Check,
    DataInfo as DataInfo,
    EnergyMeasurement as EnergyMeasurement,
    Environment as Environment,
    Folding as Folding,
    Published as Published,
    RunConfig as RunConfig,
    RunResult as RunResult,
    Timing as Timing,
    WeightsInfo as WeightsInfo,
)
