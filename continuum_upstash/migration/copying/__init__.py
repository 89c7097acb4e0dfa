"""Copies the keys of one alias to another and compares them; `cache_migrate` runs these plans."""
