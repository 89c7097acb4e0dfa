"""Statistics of the caches: counters of this process, totals of all processes, and exporters."""
