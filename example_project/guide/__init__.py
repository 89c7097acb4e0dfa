"""The guide: the public API in steps, each of which shows its result, its time and its price.

python -m example_project.guide --only pipelines
"""
