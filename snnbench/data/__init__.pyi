from .dataset import DataSet as DataSet, stored_images as stored_images
from .draw import Samples as Samples, draw_samples as draw_samples
from .open import open_set as open_set
