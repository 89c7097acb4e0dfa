"""The key browser in Django's admin: finds keys, shows values safely, edits expiries, deletes."""
