"""Totals of all processes, stored in the database: how they are written, stored and read."""
