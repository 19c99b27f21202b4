"""Sentinel Hub and the Copernicus Data Space as a source of scenes."""

from imagery.fetchers.sentinelhub.hosts import CDSE, COMMERCIAL, Deployment, deployment_from_environment
from imagery.fetchers.sentinelhub.source import SentinelHubSource

__all__ = ["CDSE", "COMMERCIAL", "Deployment", "SentinelHubSource", "deployment_from_environment"]
