"""Samples and labelled sets: embedded real data, images, CIFAR-10, event recordings.

draw            samples for counting, drawn from a labelled set or through load
load            samples drawn from folders and embedded data
dataset         what training asks of a data set
open            opens one: by kind, or by looking
stored          sets held in memory
folders         files of a folder, its parts, random draws
image_folders   folders of images
imagenet        the layout of ImageNet
images          decoding, cropping, resizing
cifar           files of CIFAR-10
embedded        scikit-learn's digits and photographs
events          events to frames
saccades        the simulated event camera
recordings      N-MNIST, DVS-Gesture, CIFAR10-DVS
camera_files    files of event cameras
frame_cache     framed recordings kept on disk
augment         shift and mirror
feed            batches in order, fetched ahead
"""

from typing import TYPE_CHECKING

from snnbench.core.lazy import lazy

if TYPE_CHECKING:
    from snnbench.data.draw import draw_samples as draw_samples
    from snnbench.data.load import Samples as Samples
    from snnbench.data.load import load_samples as load_samples
    from snnbench.data.open import open_set as open_set
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__, draw="draw_samples", load="Samples load_samples", open="open_set"
    )
