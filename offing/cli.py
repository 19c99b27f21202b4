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


class DetectorName(StrEnum):
    """Detectors; auto takes the one that fits the scene."""

    AUTO = "auto"
    CFAR_TRIMMED = "cfar-trimmed"
    CFAR_K = "cfar-k"
    CFAR_GAMMA = "cfar-gamma"
    CFAR_G0 = "cfar-g0"
    BRIGHT_TARGET = "bright-target"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command()
def score(
    area: Annotated[str, typer.Argument(help="A shipped area (haeju, west_sea, zhoushan, busan) or a TOML file.")],
    source: Annotated[
        str, typer.Option(help="simulated[:SEED] | folder:DIR | sentinelhub | stac:URL", metavar="SOURCE")
    ] = "sentinelhub",
    start: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC.")] = None,
    end: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC, included.")] = None,
    ais: Annotated[list[Path] | None, typer.Option(help="AIS file (MarineCadastre CSV); may be given again.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default runs/AREA.")] = None,
    as_json: Json = False,
) -> None:
    """Score an area: find its scenes, the vessels in them, and hold these against AIS."""
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
        settings = ScoreSettings(
            config=config, period=period, source=source, ais=read_ais(ais) if ais else None, workers=2
        )
        with progress_bar("scenes") as tick:
            scored = score_area(settings, tick)
        report = write_run(scored, folder)
        from offing.summary import as_dict, as_text

        _say(as_dict(scored, report) if as_json else as_text(scored, report))


@app.command()
def detect(
    file: Annotated[Path, typer.Argument(help="A GeoTIFF or COG, radar or optical.")],
    out: Annotated[Path | None, typer.Option(help="GeoJSON to write; default FILE.detections.geojson here.")] = None,
    detector: Annotated[DetectorName, typer.Option(help="Which detector.")] = DetectorName.AUTO,
    as_json: Json = False,
) -> None:
    """Find the vessels in one file."""
    with one_sentence_errors():
        from offing.detect_file import detect_file

        target = out or Path(f"{file.stem}.detections.geojson")
        with progress_bar("tiles") as tick:
            result = detect_file(file, target, detector.value, lambda done, total: tick("", done, total))
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


def _say(result: dict[str, Any] | str) -> None:
    typer.echo(json.dumps(result, indent=2) if isinstance(result, dict) else result)
