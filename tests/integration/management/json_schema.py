"""Schemas of the commands' JSON: a type or types, [schema] for a list, or a dict of schemas."""

from __future__ import annotations

NUMBER, OPTIONAL = (int, float), (int, float, type(None))


def assert_follows(value, schema):
    """Assert that a value has exactly the names of a schema, and its types."""
    if isinstance(schema, dict):
        assert value.keys() == schema.keys(), value.keys() ^ schema.keys()
        for name, inner in schema.items():
            assert_follows(value[name], inner)
    elif isinstance(schema, list):
        for each in value:
            assert_follows(each, schema[0])
    else:
        assert isinstance(value, schema), (value, schema)
