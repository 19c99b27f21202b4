"""The command line. Each command is one call; everything heavy is imported inside it, so that help is instant."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from offing.areas import AreaConfig, Period

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Shows who is at sea and did not say so: vessels in satellite scenes, held against AIS.",
)


class UnitName(StrEnum):
    """Units that pixels of radar may be in."""

    DB = "db"
    LINEAR = "linear"
    AMPLITUDE = "amplitude"
    DN8 = "dn8"


class SensorKind(StrEnum):
    """Kinds of images."""

    SAR = "sar"
    OPTICAL = "optical"


class DetectorName(StrEnum):
    """Detectors; auto takes the one that fits the scene."""

    AUTO = "auto"
    CNN = "cnn"
    CFAR_TRIMMED = "cfar-trimmed"
    CFAR_K = "cfar-k"
    CFAR_GAMMA = "cfar-gamma"
    CFAR_G0 = "cfar-g0"
    BRIGHT_TARGET = "bright-target"


class EngineName(StrEnum):
    """What runs the network; fastest takes the first that is installed, see offing doctor."""

    TORCH = "torch"
    TORCH_BF16 = "torch-bf16"
    OPENVINO = "openvino"
    OPENVINO_BF16 = "openvino-bf16"
    CUDA = "cuda"
    FASTEST = "fastest"


Area = Annotated[str, typer.Argument(help="A shipped area (haeju, west_sea, zhoushan, busan) or a TOML file.")]
Source = Annotated[
    str,
    typer.Option(
        help="sentinelhub | stac:URL | folder:DIR | simulated[:SEED]; the first two may name collections: #A,B",
        metavar="SOURCE",
    ),
]
Start = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC.")]
End = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC, included.")]
Limit = Annotated[float, typer.Option(min=0, help="Processing units that may be spent without asking.")]
Yes = Annotated[bool, typer.Option("--yes", help="Spend more than the limit without asking.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

# A tenth of what a free account of the Copernicus Data Space has in a month.
_LIMIT_UNITS = 1000.0
_PARTIAL = 3  # exit code: done, but something could not be had


@app.command()
def plan(
    area: Area,
    source: Source = "sentinelhub",
    start: Start = None,
    end: End = None,
    monthly_units: Annotated[float, typer.Option(help="Processing units that your account has in a month.")] = 10_000.0,
    as_json: Json = False,
) -> None:
    """Say what fetching an area would take: scenes, tiles, bytes, requests, processing units, minutes."""
    with one_sentence_errors():
        from offing.areas import load_area
        from offing.plan import plan as plan_area

        config = load_area(area)
        planned = plan_area(config, _period(config, start, end), source, monthly_units)
        _say(planned.as_dict() if as_json else planned.as_text())


@app.command()
def fetch(
    area: Area,
    source: Source = "sentinelhub",
    start: Start = None,
    end: End = None,
    limit: Limit = _LIMIT_UNITS,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Fetch an area's scenes into the cache; exit code 3 where something could not be had."""
    with one_sentence_errors():
        from offing.areas import load_area
        from offing.fetch import fetch as fetch_area

        config = load_area(area)
        period = _period(config, start, end)
        _agree(config, period, source, limit, yes)
        with progress_bar("scenes") as tick:
            summary = fetch_area(config, period, source, tick)
        _say(summary.as_dict() if as_json else summary.as_text())
        if not summary.is_whole:
            raise typer.Exit(_PARTIAL)


@app.command()
def score(
    area: Area,
    source: Source = "sentinelhub",
    start: Start = None,
    end: End = None,
    ais: Annotated[list[Path] | None, typer.Option(help="AIS file (MarineCadastre CSV); may be given again.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default runs/AREA.")] = None,
    limit: Limit = _LIMIT_UNITS,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Score an area: find its scenes, the vessels in them, and hold these against AIS.

    Exit code 3 where a scene or a part of one could not be had.
    """
    with one_sentence_errors():
        from offing.ais.reader import read_ais
        from offing.areas import load_area
        from offing.results import check_output, write_run
        from offing.score import ScoreSettings
        from offing.score import score as score_area

        config = load_area(area)
        period = _period(config, start, end)
        folder = out or Path("runs") / config.area.name
        check_output(folder)
        _agree(config, period, source, limit, yes)
        settings = ScoreSettings(
            config=config, period=period, source=source, ais=read_ais(ais) if ais else None, workers=2
        )
        with progress_bar("scenes") as tick:
            scored = score_area(settings, tick)
        report = write_run(scored, folder)
        from offing.summary import as_dict, as_text

        _say(as_dict(scored, report) if as_json else as_text(scored, report))
        if not scored.is_whole:
            raise typer.Exit(_PARTIAL)


@app.command()
def detect(
    file: Annotated[
        Path,
        typer.Argument(help="A raster (GeoTIFF, COG, PNG, JPEG) or SAFE product (folder or zip), radar or optical."),
    ],
    out: Annotated[Path | None, typer.Option(help="GeoJSON to write; default FILE.detections.geojson here.")] = None,
    detector: Annotated[DetectorName, typer.Option(help="Which detector.")] = DetectorName.AUTO,
    engine: Annotated[EngineName, typer.Option(help="What runs the network of the detector cnn.")] = EngineName.TORCH,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Radar: the network skips what a loose CFAR finds to be empty sea.")
    ] = False,
    unit: Annotated[UnitName | None, typer.Option(help="Unit of the pixels, where the file does not tell.")] = None,
    bands: Annotated[
        str | None,
        typer.Option(help="Name of each band in the file's order, - for one to leave out: VV,VH or R,G,B,NIR."),
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="METRES", help="Side of a pixel of an image without a georeference.")
    ] = None,
    sensor: Annotated[SensorKind | None, typer.Option(help="Kind of image, where the file does not tell.")] = None,
    as_json: Json = False,
) -> None:
    """Find the vessels in one file; unit, bands and sensor are told by the file and its pixels, or asked for."""
    with one_sentence_errors():
        from imagery.hints import Hints
        from offing.detect_file import detect_file
        from offing.detectors import DetectorChoice

        hints = Hints(
            unit=unit.value if unit else None,
            bands=tuple(bands.split(",")) if bands is not None else None,
            pixel_size_m=pixel_size,
            sensor=sensor.value if sensor else None,
        )
        target = out or Path(f"{file.stem}.detections.geojson")
        with progress_bar("tiles") as tick:
            asked = DetectorChoice(name=detector.value, engine=engine.value, cascade=cascade)
            result = detect_file(file, target, asked, lambda done, total: tick("", done, total), hints)
        _say(result.as_dict() if as_json else result.as_text())


@app.command()
def demo(
    seed: Annotated[int, typer.Option(min=0, help="Which simulated season.")] = 20190301,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
    as_json: Json = False,
) -> None:
    """Score a simulated season at Haeju and compare with its known truth; needs no account and no network."""
    with one_sentence_errors():
        from offing.demo import run_demo

        with progress_bar("scenes") as tick:
            result = run_demo(seed, out, tick)
        _say(result.as_dict() if as_json else result.as_text())


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed and what is missing."""
    with one_sentence_errors():
        from offing.doctor import as_text, examine

        found = examine()
        _say(found if as_json else as_text(found))


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Turn errors made for people into one sentence on standard error and exit code 2."""
    from imagery.errors import ImageryError
    from models.errors import ModelError
    from offing.errors import OffingError

    try:
        yield
    except (ImageryError, ModelError, OffingError) as error:
        typer.echo(f"offing: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal, JSON lines elsewhere, both on standard error."""
    if not sys.stderr.isatty():

        def line(name: str, done: int, total: int) -> None:
            typer.echo(json.dumps({"unit": unit, "name": name, "done": done, "total": total}), err=True)

        yield line
        return
    from tqdm import tqdm

    with tqdm(unit=unit, file=sys.stderr) as bar:

        def tick(name: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_postfix_str(name, refresh=False)
            bar.update(done - bar.n)

        yield tick


def _period(config: AreaConfig, start: datetime | None, end: datetime | None) -> Period | None:
    """The dates asked for; else the area's own; None where neither says."""
    from offing.areas import Period
    from offing.errors import ConfigError

    if start is None and end is None:
        return config.period
    if start is None or end is None:
        raise ConfigError("give both --from and --to, or neither for the area's own dates")
    return Period.of_days(start.date(), end.date())


def _agree(config: AreaConfig, period: Period | None, source: str, limit: float, yes: bool) -> None:
    """Ask before more processing units are spent than the limit; where nobody can answer, refuse."""
    if yes or not source.startswith("sentinelhub"):
        return
    from offing.errors import ConfigError
    from offing.plan import plan as plan_area

    planned = plan_area(config, period, source)
    units = planned.total.processing_units
    if units <= limit:
        return
    share = f"{100 * planned.quota_share:.0f} % of a month"
    text = f"fetching {config.area.name} takes {units:,.0f} processing units ({share})"
    if not sys.stdin.isatty():
        raise ConfigError(
            f"{text}, more than the limit of {limit:,.0f}; say --yes, raise --limit, or choose fewer days"
        )
    if not typer.confirm(f"{text}. Go on?", err=True):
        raise typer.Exit(2)


def _say(result: dict[str, Any] | str) -> None:
    typer.echo(json.dumps(result, indent=2) if isinstance(result, dict) else result)
