"""MarineCadastre CSV files to the canonical table, and back.

Files may be plain, gzip or zstd. What is dropped is counted by reason; what is repaired is said in `AisData.notes`.
The layouts are described in `offing.ais.marinecadastre`.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from offing.ais.marinecadastre import NAMES, REQUIRED, canonical, repaired_cog
from offing.ais.schema import DUPLICATE_KEY, AisData
from offing.errors import AisError


def read_ais(paths: str | Path | Iterable[str | Path]) -> AisData:
    """Reports of one file or several.

    Args:
        paths: a file, or several; for now each is a MarineCadastre CSV.

    Returns:
        All reports; one that stands in two files is kept once.

    Raises:
        AisError: a file cannot be read.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    return AisData.concatenate([read_marinecadastre(file) for file in files])


def read_marinecadastre(path: str | Path) -> AisData:
    """Reports of one MarineCadastre CSV file.

    Args:
        path: the file; plain, gzip or zstd, whatever its ending says.

    Returns:
        The reports, what was dropped and why, what was repaired. A file with a header and no row gives no reports.

    Raises:
        AisError: the file is missing, empty, not such a CSV, or none of its rows can be used.
    """
    path = Path(path)
    _refuse_unreadable(path)
    names = _column_names(path)
    raw, broken = _read_strings(path, names)
    cog, notes = repaired_cog(raw["cog_deg"], path.name)
    missing = [name for name in NAMES if name not in names]
    if missing:
        notes.append(f"{path.name} has no column for {', '.join(missing)}; offing goes on without")
    table = canonical(raw.with_columns(cog), path.name)
    kept = table.filter(pl.col("reason").is_null()).drop("reason")
    counts = {"broken line": broken} if broken else {}
    counts |= dict(table["reason"].drop_nulls().value_counts().sort("reason").iter_rows())
    if counts and not kept.height:
        worst = max(counts, key=lambda reason: counts[reason])
        raise AisError(
            f"none of the {sum(counts.values())} rows of {path} can be used (most often: {worst}); "
            "check that it is a MarineCadastre AIS file and was not edited"
        )
    unique = kept.unique(subset=list(DUPLICATE_KEY), keep="first", maintain_order=True)
    if kept.height > unique.height:
        counts["duplicate"] = kept.height - unique.height
    return AisData(reports=unique, dropped=counts, notes=tuple(notes), sources=(path.name,))


def write_marinecadastre(data: AisData, path: str | Path) -> None:
    """Write reports as a MarineCadastre CSV of the 2018 to 2023 layout.

    The format keeps whole seconds, five decimals of a degree and one of a knot; the antenna's place on the hull and
    the source are lost.

    Args:
        data: what to write.
        path: where to; an ending ``.gz`` compresses.
    """
    path = Path(path)

    def text(expression: pl.Expr, decimals: int, unknown: str = "") -> pl.Expr:
        return expression.round(decimals).cast(pl.String).fill_null(unknown)

    table = data.reports.select(
        pl.col("mmsi").alias("MMSI"),
        pl.col("t").dt.round("1s").dt.strftime("%Y-%m-%dT%H:%M:%S").alias("BaseDateTime"),
        text(pl.col("lat"), 5).alias("LAT"),
        text(pl.col("lon"), 5).alias("LON"),
        text(pl.col("sog_kn"), 1, "102.3").alias("SOG"),
        text(pl.col("cog_deg"), 1, "360.0").alias("COG"),
        text(pl.col("heading_deg"), 0, "511.0").alias("Heading"),
        pl.col("name").alias("VesselName"),
        ("IMO" + pl.col("imo").cast(pl.String).str.zfill(7)).alias("IMO"),
        pl.col("callsign").alias("CallSign"),
        pl.col("ship_type").alias("VesselType"),
        pl.col("nav_status").alias("Status"),
        text(pl.col("length_m"), 0).alias("Length"),
        text(pl.col("width_m"), 0).alias("Width"),
        text(pl.col("draught_m"), 1).alias("Draft"),
        pl.lit(None, dtype=pl.String).alias("Cargo"),
        pl.col("ais_class").alias("TransceiverClass"),
    )
    content = table.write_csv().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _refuse_unreadable(path: Path) -> None:
    """One clear sentence for what is no file at all."""
    if path.is_dir():
        raise AisError(f"{path} is a directory; name an AIS CSV file in it")
    if not path.exists():
        raise AisError(f"the AIS file {path} does not exist; check the path")
    if path.stat().st_size == 0:
        raise AisError(f"the AIS file {path} is empty, without even a header line; fetch it again")


def _column_names(path: Path) -> dict[str, str]:
    """Our names -> the file's own, of the columns that it has."""
    try:
        header = pl.scan_csv(path, infer_schema=False, encoding="utf8-lossy").collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise AisError(
            f"{path} is not a readable CSV file ({_first_line(error)}); give a MarineCadastre CSV"
        ) from error
    plain = {name.strip().lstrip("\ufeff").lower().replace("_", ""): name for name in header}
    names = {ours: plain[alias] for ours, aliases in NAMES.items() for alias in aliases if alias in plain}
    missing = [theirs for ours, theirs in REQUIRED.items() if ours not in names]
    if missing:
        shown = ", ".join(name[:20] for name in header[:6] if name.isprintable()) or "unreadable bytes"
        raise AisError(
            f"{path} is not a MarineCadastre CSV file that offing can use: its header has no column "
            f"{', '.join(missing)} (it begins: {shown}); give a file with the columns {', '.join(REQUIRED.values())}"
        )
    return names


def _read_strings(path: Path, names: dict[str, str]) -> tuple[pl.DataFrame, int]:
    """The columns as text under our names, and the number of lines that had to be left out."""
    select = [pl.col(theirs).str.strip_chars().replace("", None).alias(ours) for ours, theirs in names.items()]
    try:
        try:
            frame = pl.scan_csv(path, infer_schema=False).select(select).collect()
            broken = 0
        except pl.exceptions.ComputeError:  # other characters than UTF-8, too many fields, a stray quotation mark
            text, broken = _whole_lines(path)
            frame = pl.read_csv(text.encode(), infer_schema=False).select(select)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise AisError(
            f"{path} cannot be read to its end ({_first_line(error)}); it may be cut off: fetch it again"
        ) from error
    if _ends_in_mid_line(path):
        frame, broken = frame.head(max(frame.height - 1, 0)), broken + 1
    return frame, broken


def _whole_lines(path: Path) -> tuple[str, int]:
    """The lines with as many fields as the header and closed quotation marks, and the number of others."""
    lines = pl.scan_csv(
        path,
        has_header=False,
        separator="\x1f",
        quote_char=None,
        infer_schema=False,
        encoding="utf8-lossy",
        new_columns=["line"],
        truncate_ragged_lines=True,
    ).collect()["line"]
    lines = lines.drop_nulls()
    outside_quotes = lines.str.replace_all(r'"[^"]*"', "")
    fields = outside_quotes.str.count_matches(",", literal=True)
    good = (fields == fields[0]) & ~outside_quotes.str.contains('"', literal=True)
    return "\n".join(lines.filter(good)), int((~good).sum())


def _ends_in_mid_line(path: Path) -> bool:
    """True where a plain file's last line has no end and fewer fields than its header: a download cut off."""
    with path.open("rb") as file:
        header = file.readline()
        file.seek(max(path.stat().st_size - 4096, 0))
        tail = file.read().rsplit(b"\n", 1)
    if header[:2] == b"\x1f\x8b" or header[:4] == b"\x28\xb5\x2f\xfd" or len(tail) < 2:
        return False  # compressed: a cut is an error of its own
    return bool(tail[1]) and tail[1].count(b",") < header.count(b",")


def _first_line(error: BaseException) -> str:
    """The first line of a library's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
