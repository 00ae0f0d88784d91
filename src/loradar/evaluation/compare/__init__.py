"""Comparing the runs of a grid: tables, intervals, plots."""
