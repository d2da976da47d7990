"""Where fetched data and weights made on this machine lie: they can be thrown away and had again."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """`$PLAN_CACHE`, else the platform's cache folder for this tool."""
    chosen = os.environ.get("PLAN_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("plan")
