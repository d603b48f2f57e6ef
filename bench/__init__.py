"""Measurements of the promises that have a number, each printed as a table."""
