from datetime import UTC, datetime

import pytest

from imagery.errors import AreaError
from offing.areas import Period, load_area, parse_area, shipped_areas
from offing.errors import ConfigError

GOOD = 'name = "x"\nbbox = [125.6, 37.72, 125.84, 37.94]\n'


def parse(text, tmp_path):
    return parse_area(text, where="x.toml", folder=tmp_path)


def test_shipped_areas_are_those_promised():
    assert set(shipped_areas()) == {"busan", "haeju", "west_sea", "zhoushan"}
    boxes = {name: load_area(name).area.bounds for name in shipped_areas()}
    assert boxes["haeju"] == pytest.approx((125.60, 37.72, 125.84, 37.94))
    assert boxes["west_sea"] == pytest.approx((124.80, 38.62, 125.17, 38.76))
    assert boxes["zhoushan"] == pytest.approx((122.28, 29.62, 122.78, 30.02))
    haeju = load_area("haeju")
    assert haeju.period == Period(start=datetime(2019, 3, 1, tzinfo=UTC), end=datetime(2019, 9, 1, tzinfo=UTC))
    assert [p.start.year for p in haeju.reference] == [2017, 2018]
    assert haeju.control in shipped_areas()


def test_days_are_included_at_both_ends(tmp_path):
    config = parse(GOOD + "from = 2020-02-28\nto = 2020-02-29\n", tmp_path)
    assert (config.period.end - config.period.start).days == 2


def test_other_shapes(tmp_path):
    (tmp_path / "a.geojson").write_text('{"type": "Polygon", "coordinates": [[[0,0],[1,0],[1,1],[0,0]]]}')
    config = parse('name = "x"\ngeojson = "a.geojson"\n', tmp_path)
    assert config.area.bounds == (0, 0, 1, 1)
    config = parse('name = "x"\nwkt = "POLYGON ((0 0, 1 0, 1 1, 0 0))"\n', tmp_path)
    assert config.area.bounds == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "not TOML"),
        (GOOD + "colour = 1\n", "unknown key 'colour'"),
        ("bbox = [1, 2, 3, 4]\n", "name is missing"),
        ('name = "x"\n', "exactly one of bbox"),
        (GOOD + 'wkt = "POLYGON ((0 0, 1 0, 1 1, 0 0))"\n', "exactly one of bbox"),
        ('name = "x"\nbbox = [1, 2, 3]\n', "four numbers"),
        ('name = "x"\nbbox = ["a", 2, 3, 4]\n', "four numbers"),
        (GOOD + "from = 2020-02-01\n", "both from and to"),
        (GOOD + 'from = "2020-02-01"\nto = 2020-02-03\n', "both from and to"),
        (GOOD + "from = 2020-03-01\nto = 2020-02-01\n", "ends before it starts"),
        (GOOD + "reference = [1]\n", "reference must be"),
        (GOOD + "control = 5\n", "control is 5"),
        ('name = "x"\ngeojson = "absent.geojson"\n', r"absent\.geojson cannot be read"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        parse(text, tmp_path)
    assert "\n" not in str(caught.value)


def test_bad_geometry_in_a_file(tmp_path):
    with pytest.raises(AreaError, match="S < N"):
        parse('name = "x"\nbbox = [1, 4, 3, 2]\n', tmp_path)


def test_absent_area_lists_the_names():
    with pytest.raises(ConfigError, match="busan, haeju, west_sea, zhoushan"):
        load_area("atlantis")


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="cannot be read as a TOML"):
        load_area(str(path))
