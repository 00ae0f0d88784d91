"""Metrics, calibration, score files, suites and reports."""
