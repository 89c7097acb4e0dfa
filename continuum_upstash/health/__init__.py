"""How the caches of a site are doing, and what they cost."""
