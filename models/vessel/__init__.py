"""The vessel network: what goes in, what comes out, and the way from a scene to its hulls."""
