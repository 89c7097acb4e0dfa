"""The health panel in Django's admin: put `continuum_upstash.panel` into INSTALLED_APPS."""
