"""Attacks that were tried on a running hub, each as a test of what repels it."""
