"""The pytest plugin: counts a model inside a test and holds it against a baseline.

plugin      hooks and options; the entry point
fixture     the fixture snn_benchmark
baselines   one file per test
"""
