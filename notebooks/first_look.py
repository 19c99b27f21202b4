# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # First look at a scene
# One simulated Sentinel-1 scene of Haeju Bay: what it shows, the vessels found in it, and the truth behind it. Replace
# `source` with `FolderSource(Path("my_scenes"))` for your own GeoTIFFs. Open as a notebook with jupytext.

# %%
from datetime import UTC, datetime

import matplotlib.pyplot as plt
import numpy as np

from imagery.land import Land
from imagery.simulate import SimulatedSource
from imagery.surface import map_surface
from models.detector import detect
from offing.areas import load_area
from offing.detectors import DetectorChoice, make_detector

area = load_area("haeju").area
start, end = datetime(2019, 5, 11, tzinfo=UTC), datetime(2019, 5, 12, tzinfo=UTC)
source = SimulatedSource(area=area, seed=1, start=start, end=end)
ref = source.search(area, start, end)[0]
scene = source.fetch(ref)
print(scene.id, scene.bands, scene.unit, scene.shape_hw, scene.acquisition.source)

# %%
land = Land(polygons=source.land, source="simulated coast")
found = detect(scene, make_detector(DetectorChoice(), scene), map_surface(scene, land), land)
table = found.detections.to_geopandas()
print(table[["lon", "lat", "length_m", "length_low_m", "length_high_m", "probability", "surface"]].describe())

# %%
vv_db = 10 * np.log10(np.maximum(scene.read().data[0], 1e-6))
figure, axes = plt.subplots(figsize=(9, 10))
axes.imshow(vv_db, cmap="gray", vmin=-26, vmax=0)
axes.plot(table["col"], table["row"], "o", mfc="none", mec="tab:orange", label="found")
truth = source.truth(ref)
rows, cols = scene.geometry.rowcol(truth.apparent_lon[truth.visible], truth.apparent_lat[truth.visible])
axes.plot(cols, rows, "+", color="tab:cyan", label="true ships (simulated)")
axes.legend()
axes.set_title(f"{scene.id}: VV sigma0, dB")
plt.show()
