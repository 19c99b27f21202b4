"""Pixels: areas, geometry, scenes, tiles, sources, radiometry, masks, simulators."""
