"""A second simulator of Sentinel-1 sea scenes, for evaluation only; it shares no code with the first.

Everything it gives is simulated. Nothing is trained on it or tuned to it.
"""

from imagery.second_sea.compose import KINDS, evaluation_scene
from imagery.second_sea.files import truth_json, write_geotiff
from imagery.second_sea.oracle import OraclePeaks, oracle_scores
from imagery.second_sea.truth import EvaluationScene, Ghosts, ShipTruth, Structures

__all__ = [
    "KINDS",
    "EvaluationScene",
    "Ghosts",
    "OraclePeaks",
    "ShipTruth",
    "Structures",
    "evaluation_scene",
    "oracle_scores",
    "truth_json",
    "write_geotiff",
]
