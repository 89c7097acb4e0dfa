"""Exports statistics to Prometheus and OpenTelemetry."""
