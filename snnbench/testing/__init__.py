"""The pytest plugin: count a model inside a test, and compare it with a baseline.

plugin      hooks and options; the entry point
fixture     the fixture snn_benchmark
baselines   one file per test
"""
