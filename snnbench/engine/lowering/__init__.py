"""From a module to a plan; the only files of the engine that know PyTorch's modules.

trace       one forward of the model, recorded
axes        which axes are time and batch
terms       what is computed, term by term
functions   what runs between layers
lower       terms to plan
"""
