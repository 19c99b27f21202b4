"""When a simulated dredger works, and what it spills."""

from __future__ import annotations

import numpy as np

from imagery.simulate.fleet import SimulatedVessel
from imagery.simulate.plume import Grains, PlumeSource
from imagery.simulate.seeding import rng_for

STILL_M_S = 0.5  # a dredger that goes faster is on passage


def plume_source(seed: int, vessel: SimulatedVessel) -> PlumeSource:
    """The plume source that a dredger is on one visit: spells of 3-9 h of work with 1-4 h between.

    Args:
        seed: the world's seed.
        vessel: the dredger's visit.
    """
    rng = rng_for(seed, "dredging", vessel.id)
    track = vessel.track
    still = track.time_s[:-1][track.at_seconds(track.time_s[:-1]).speed_m_s < STILL_M_S]
    sessions = []
    now = float(still[0]) + 3600.0 * rng.uniform(0.3, 2.0)
    while now < still[-1]:
        end = min(now + 3600.0 * rng.uniform(3.0, 9.0), float(still[-1]))
        sessions.append((now, end))
        now = end + 3600.0 * rng.uniform(1.0, 4.0)
    return PlumeSource(
        id=vessel.id,
        track=track,
        sessions_s=np.array(sessions).reshape(-1, 2),
        rate_kg_s=float(np.exp(rng.uniform(np.log(2.0), np.log(25.0)))),
        settling_m_s=float(np.exp(rng.uniform(np.log(1e-4), np.log(1e-3)))),
        depth_m=rng.uniform(4.0, 9.0),
        sigma0_m=rng.uniform(10.0, 25.0),
        diffusion_m2_s=float(np.exp(rng.uniform(np.log(0.05), np.log(0.6)))),
        grains=Grains(
            absorption_m2_g=rng.uniform(0.02, 0.035),
            slope_per_nm=rng.uniform(0.001, 0.005),
            backscatter_m2_g=rng.uniform(0.009, 0.018),
            backscatter_power=rng.uniform(0.0, 0.5),
        ),
    )
