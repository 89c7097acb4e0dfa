"""Reads values that another cache backend has stored, where OPTIONS["OLD_VALUES"] says which."""
