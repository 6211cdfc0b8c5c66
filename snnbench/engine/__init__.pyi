from .runtime import EventModel as EventModel, compile as compile  # noqa: A004 - snnbench.compile
