"""What the doctor says of the engines."""

from models.vessel import engines
from models.vessel.engines import NAMES, EngineStatus
from offing import doctor


def test_every_engine_has_a_line_that_says_why():
    lines = doctor.as_text(doctor.examine()).splitlines()
    first = lines.index("engines of the vessel network:") + 1
    assert [line.split(":")[0].strip() for line in lines[first : first + len(NAMES)]] == list(NAMES)
    assert (
        lines[first]
        == "  torch: yes, float32 on the CPU; the reference, the same bits for any tiling and any number of threads"
    )


def test_what_is_missing_comes_with_its_remedy(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    found = doctor.examine()
    assert found["engines"]["openvino"] == {"available": False, "why": "not installed: pip install 'offing[fast]'"}
    assert "  openvino: no, not installed: pip install 'offing[fast]'" in doctor.as_text(found)


def test_engines_are_told_as_data(monkeypatch):
    monkeypatch.setattr(doctor, "engine_report", lambda: [EngineStatus("torch", True, "made up")])
    assert doctor.examine()["engines"] == {"torch": {"available": True, "why": "made up"}}
