"""What every fetcher must hold to, for the tests of each: call `check_fetcher`, or its parts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon

from imagery.aoi import AreaOfInterest
from imagery.errors import SourceError
from imagery.geometry import Window, footprint, wrap_lon
from imagery.sensors import SENSORS

ALWAYS = (datetime(1972, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
STEP = timedelta(seconds=1)  # catalogues keep times to a millisecond or a second


def check_fetcher(fetcher, area, *, span=ALWAYS, elsewhere=None, at_least=1):
    """All checks.

    Args:
        fetcher: any `imagery.fetchers.base.Fetcher`.
        area: an area of which it has scenes.
        span: (start, end) in which to search.
        elsewhere: an area of which it has none, if there is one.
        at_least: how many scenes it must have of the area.

    Returns:
        The references found.
    """
    refs = check_search(fetcher, area, span=span, at_least=at_least)
    check_half_open(fetcher, area, refs)
    check_parts_of_the_area(fetcher, area, span=span)
    if elsewhere is not None:
        assert fetcher.search(elsewhere, *span) == []
    check_unknown_scene(fetcher, area, refs[0])
    for ref in refs[:2]:
        check_scene(fetcher, area, ref)
    return refs


def check_search(fetcher, area, *, span=ALWAYS, at_least=1):
    """Ordered by (time, id), each once, aware times, inside the interval and touching the area."""
    refs = fetcher.search(area, *span)
    assert len(refs) >= at_least
    assert [(r.time, r.id) for r in refs] == sorted((r.time, r.id) for r in refs)
    assert len({r.id for r in refs}) == len(refs)
    for ref in refs:
        assert ref.time.utcoffset() == timedelta(0)
        assert span[0] <= ref.time < span[1]
        assert ref.sensor_name in SENSORS
        assert isinstance(ref.footprint, MultiPolygon)
        assert ref.footprint.intersects(area.polygon)
        west, south, east, north = ref.footprint.bounds
        assert -180 <= west < east <= 180
        assert -90 <= south < north <= 90
    assert fetcher.search(area, *span) == refs
    return refs


def check_half_open(fetcher, area, refs):
    """start <= time < end, at the very time of a scene."""
    for ref in (refs[0], refs[-1]):
        assert ref.id in {r.id for r in fetcher.search(area, ref.time, ref.time + STEP)}
        assert ref.id not in {r.id for r in fetcher.search(area, ref.time - STEP, ref.time)}
        assert ref.id not in {r.id for r in fetcher.search(area, ref.time + STEP, ref.time + 2 * STEP)}
    assert fetcher.search(area, refs[0].time, refs[0].time) == []


def check_parts_of_the_area(fetcher, area, *, span=ALWAYS):
    """An area in parts, as across the antimeridian, gives the scenes of its parts, each once."""
    parts = [AreaOfInterest(name="part", polygon=MultiPolygon([part])) for part in area.polygon.geoms]
    found = [{r.id for r in fetcher.search(part, *span)} for part in parts]
    assert {r.id for r in fetcher.search(area, *span)} == set.union(*found)


def check_unknown_scene(fetcher, area, ref):
    """A reference that the source never gave is refused by name."""
    with pytest.raises(SourceError, match="no-such-scene"):
        fetcher.fetch(replace(ref, id="no-such-scene"), area)


def check_scene(fetcher, area, ref, *, minutes=2.0):
    """The scene is the one asked for, covers the area where its footprint does, and reads alike in any window.

    Returns:
        The scene.
    """
    scene = fetcher.fetch(ref, area)
    assert scene.id == ref.id
    assert scene.sensor.name == ref.sensor_name
    assert scene.time is not None
    assert abs(scene.time - ref.time) <= timedelta(minutes=minutes)
    assert len(scene.provenance.sha256) in (0, len(scene.provenance.ids))
    assert scene.provenance.source
    check_reads(scene)
    check_covers(scene, area, ref)
    seen = scene.acquisition.at(0.0, 0.0)
    assert abs(seen.time - np.datetime64(ref.time.replace(tzinfo=None), "us")) < np.timedelta64(5, "m")
    return scene


def check_covers(scene, area, ref):
    """Places of the area inside the footprint, well away from its border, are pixels of the scene."""
    inner = ref.footprint.intersection(area.polygon).buffer(-0.002)
    if inner.is_empty:
        return
    spots = shapely.get_coordinates(shapely.MultiPoint([p.representative_point() for p in shapely.get_parts(inner)]))
    rows, cols = scene.geometry.rowcol(spots[:, 0], spots[:, 1])
    height, width = scene.shape_hw
    assert ((rows >= -0.5) & (rows < height - 0.5) & (cols >= -0.5) & (cols < width - 0.5)).all()
    lon, lat = scene.geometry.lonlat(rows, cols)
    assert np.abs(wrap_lon(lon - spots[:, 0])).max() < 1e-5
    assert np.abs(lat - spots[:, 1]).max() < 1e-5
    assert footprint(scene.geometry).intersects(area.polygon)


def check_reads(scene, side=32):
    """Shapes, types, NaN exactly where not valid, and the same pixels in whatever windows they are read."""
    height, width = scene.shape_hw
    row, col = max(0, height // 2 - side), max(0, width // 2 - side)
    whole = Window(row=row, col=col, height=min(2 * side, height), width=min(2 * side, width))
    pixels = scene.read(whole)
    assert pixels.data.shape == pixels.valid.shape == (len(scene.bands), *whole.shape_hw)
    assert pixels.data.dtype == np.float32
    assert pixels.valid.dtype == bool
    np.testing.assert_array_equal(np.isnan(pixels.data), ~pixels.valid)
    part = Window(row=row + whole.height // 3, col=col + whole.width // 4, height=whole.height // 2, width=5)
    again = scene.read(part)
    rows, cols = part.slices_in(whole)
    np.testing.assert_array_equal(again.data, pixels.data[:, rows, cols])
    outside = scene.read(Window(row=-3, col=width - 2, height=3, width=4))
    assert not outside.valid.any()
    assert np.isnan(outside.data).all()
