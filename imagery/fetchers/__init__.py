"""Sources of scenes; each obeys `imagery.fetchers.base.Fetcher`."""
