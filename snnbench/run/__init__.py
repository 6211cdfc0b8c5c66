"""One run: the order of passes, and each pass.

runner          the order of passes
config          defaults of a run
building_pass   networks and samples, built and calibrated
counting_pass   pass 1; what an interrupted run has counted
engine_pass     compile, compare and count in the event engine
timing_pass     pass 2: time the networks against each other, batch by batch
checks          counts and folding against independent sources
layer_latency   times of a benchmark's layers by firing rate
single          a module and an input to a result: the one way
target          models and neurons of the user's own, imported by name
timing/         wall-clock times, taken in processes of their own
"""
