"""``snnbench latency``: the speed of event kernels by firing rate, as files and on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snnbench.core.errors import UsageError

_RATES = "0.01,0.02,0.05,0.1,0.15,0.2,0.3,0.5"
_SAMPLES = 2
_DEFAULT_FOLDER = Path("results")


@click.command("latency")
@click.argument("name")
@click.option(
    "--rates", default=_RATES, show_default=True, metavar="P,...", help="Spikes/neuron/timestep."
)
@click.option("-T", "--timesteps", type=int, help="Timesteps T.  [default: the card's]")
@click.option("--batch-size", type=int, default=1, show_default=True, help="Samples at once.")
@click.option("--threads", type=int, default=1, show_default=True, help="Of both ways.")
@click.option(
    "--weights-dtype",
    type=click.Choice(["float32", "float64", "int16", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Weights of the event kernels.",
)
@click.option(
    "--layers",
    type=click.Choice(["unique", "all"]),
    default="unique",
    show_default=True,
    help="One layer of every shape, or each.",
)
@click.option(
    "--data",
    metavar="[KIND=]PATH",
    help="Input that layers' own rates are of.  [default: embedded data]",
)
@click.option(
    "--weights",
    metavar="FILE",
    help="Trained weights.  [default: those that come with NAME]",
)
@click.option("--untrained", is_flag=True, help="Fresh weights, whatever comes with NAME.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights and spikes.")
@click.option("--width", type=float, help="Channel multiplier.  [default: the weights', else 1]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: results/NAME]")
def latency_command(name: str, rates: str, layers: Any, out: Path | None, **options: Any) -> None:
    """Time event kernels against dense ones on random spikes of chosen firing rates.

    One curve per convolution of the benchmark NAME that receives spikes. `snnbench list` shows the
    names.
    """
    from snnbench.zoo import registry

    asked = _parse(rates)
    registry.get(name)  # an unknown name is told before torch takes its seconds to load
    from snnbench.cli.progress import RichReporter
    from snnbench.core.files import ensure_writable_folder
    from snnbench.run import config as run_config
    from snnbench.run import speed_pass

    asked = speed_pass.check_rates(asked)
    batch_size = options["batch_size"]
    samples = _SAMPLES if batch_size < _SAMPLES else batch_size
    config = run_config.configure(name, samples=samples, with_latency=True, **options)
    folder = ensure_writable_folder(_DEFAULT_FOLDER / name if out is None else out)
    with RichReporter() as reporter:
        result = speed_pass.measure_speed(config, asked, layers, reporter)
        with reporter.stage("drawing", 1):
            from snnbench.render import speed as speedup

            speedup.write_files(result, folder)
    speedup.print_curves(result)
    click.echo(f"figure: {folder / speedup.STEM}.svg")


def _parse(rates: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in rates.split(","))
    except ValueError:
        msg = f"--rates must be numbers separated by commas, such as 0.05,0.1; got {rates!r}"
        raise UsageError(msg) from None
