"""Samples and data sets: embedded real data, images, CIFAR-10, event recordings.

draw            a seeded draw from an opened set, with provenance
dataset         a data set: samples by index, labels if known; images in memory
open            opens a data set, by kind, by its layout, or embedded
folders         files of a folder, its parts and classes; random numbers
image_folders   folders of images
imagenet        the layout of ImageNet
images          decoding, cropping, resizing
cifar           files of CIFAR-10
embedded        scikit-learn's digits, as images and as events, and photographs
events          events to frames
saccades        the simulated event camera
recordings      N-MNIST, DVS-Gesture, CIFAR10-DVS
camera_files    files of event cameras
frame_cache     framed recordings kept on disk
augment         shift and mirror
feed            batches in order, fetched ahead
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
