"""The health panel in Django's admin; add `continuum_upstash.panel` to INSTALLED_APPS."""
