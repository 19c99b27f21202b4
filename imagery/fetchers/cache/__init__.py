"""A cache: a fetcher around a fetcher, whose tiles are kept on disk."""

from imagery.fetchers.cache.fetcher import CachedFetcher
from imagery.fetchers.cache.store import TileStore

__all__ = ["CachedFetcher", "TileStore"]
