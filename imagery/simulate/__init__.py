"""Simulated scenes with known truth: a seeded season of ships, dredgers, tides and clouds.

Nothing here is an observation; every scene says so in its provenance.
"""

from imagery.simulate.fleet import SimulatedVessel
from imagery.simulate.plume import PlumeSource
from imagery.simulate.source import SimulatedSource
from imagery.simulate.structures import FixedStructure
from imagery.simulate.tracks import Track, TrackState
from imagery.simulate.truth import SceneTruth
from imagery.simulate.world import HAEJU, World

__all__ = [
    "HAEJU",
    "FixedStructure",
    "PlumeSource",
    "SceneTruth",
    "SimulatedSource",
    "SimulatedVessel",
    "Track",
    "TrackState",
    "World",
]
