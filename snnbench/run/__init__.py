"""One run: the order of passes, and each pass.

runner          the order of passes
config          defaults of a run
building_pass   networks and samples, built and calibrated
counting_pass   pass 1: count the networks, and keep the counts of an interrupted run
engine_pass     compile, compare and count in the event engine
timing_pass     pass 2: time the networks against each other, batch by batch
checks          comparison of counts and folding with independent sources
layer_latency   times of a benchmark's layers by firing rate
single          one model counted on one input
target          import of a user's models and neurons by name
timing/         wall-clock times, taken in another process
"""
