from .errors import (
    DataError as DataError,
    OutputError as OutputError,
    ResultError as ResultError,
    SnnbenchError as SnnbenchError,
    StructureError as StructureError,
    UncountedOperationError as UncountedOperationError,
    UsageError as UsageError,
    WeightsError as WeightsError,
)
