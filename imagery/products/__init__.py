"""Products as the agencies pack them: Sentinel-1 and Sentinel-2 SAFE, Landsat; see `imagery.products.safe`."""
