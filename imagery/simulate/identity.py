"""Names and numbers that a simulated ship carries as a real one would."""

from __future__ import annotations

import numpy as np

# Maritime identification digits (ITU, Table of Maritime Identification Digits): China 412 413 414, Hong Kong 477,
# Panama 351-357 370-373, Republic of Korea 440 441, DPR Korea 445, Liberia 636, Marshall Islands 538, Togo 671,
# Sierra Leone 667, Mongolia 457, Russia 273, Viet Nam 574.
MID_BY_TRADE: dict[str, tuple[int, ...]] = {
    "local": (412, 412, 413, 413, 414, 445),
    "foreign": (
        351,
        352,
        353,
        354,
        355,
        356,
        357,
        370,
        371,
        372,
        373,
        477,
        538,
        636,
        671,
        667,
        457,
        273,
        574,
        440,
    ),
}
LOCAL_KINDS = frozenset({"fishing", "dredger", "barge", "tug", "patrol"})
# An IMO number is expected from 300 GT (SOLAS XI-1/3: passenger ships from 100, cargo ships from 300 GT).
IMO_FROM_GT = 300.0

_FIRST = (
    "HAI",
    "XIN",
    "DA",
    "FU",
    "JIN",
    "LONG",
    "TAI",
    "YUAN",
    "SHENG",
    "DONG",
    "MING",
    "RUI",
    "AN",
    "HONG",
)
_SECOND = (
    "FENG",
    "YANG",
    "HANG",
    "SHUN",
    "DA",
    "TONG",
    "YUN",
    "HE",
    "XING",
    "PENG",
    "LI",
    "CHENG",
    "HUA",
    "MING",
)
_TRADE = {
    "cargo": "",
    "tanker": " OIL",
    "passenger": " STAR",
    "dredger": " GONG",
    "barge": " BO",
    "tug": " TUO",
}
_FISHERS = ("LU RONG YU", "LIAO DAN YU", "LU WEI YU", "JI QIN YU")


def gross_tonnage(length_m: float, width_m: float) -> float:
    """Rough gross tonnage of a hull: .25 x length x width x depth, with depth .55 of the width.

    Reference: K1 = .2 + .02 log10 V of the International Convention on Tonnage Measurement 1969, V about the block.
    """
    return 0.25 * length_m * width_m * 0.55 * width_m


def imo_number(serial: int) -> int:
    """Seven digits: the six of ``serial`` and their check digit, sum of digits times 7, 6, ... 2 modulo 10."""
    digits = [int(d) for d in f"{serial:06d}"]
    return serial * 10 + sum(d * w for d, w in zip(digits, range(7, 1, -1), strict=True)) % 10


def mmsi_number(kind: str, rng: np.random.Generator) -> int:
    """A ship station's nine digits: MID and six more; foreign-going ships end in 000."""
    trade = "local" if kind in LOCAL_KINDS else "foreign"
    mid = int(rng.choice(MID_BY_TRADE[trade]))
    if trade == "foreign":
        return mid * 1_000_000 + int(rng.integers(1, 1000)) * 1000
    return mid * 1_000_000 + int(rng.integers(100_000, 1_000_000))


def ship_name(kind: str, rng: np.random.Generator) -> str:
    """A name in capitals, at most 20 characters as AIS carries it."""
    number = int(rng.integers(1, 100))
    if kind == "fishing":
        return f"{rng.choice(_FISHERS)} {int(rng.integers(10_000, 60_000))}"
    return f"{rng.choice(_FIRST)} {rng.choice(_SECOND)}{_TRADE.get(kind, '')} {number}"
