"""Moves a cache from another backend or server to Upstash while the site runs."""
