from .dataset import DataSet as DataSet
from .draw import Samples as Samples, draw_samples as draw_samples
from .open import open_set as open_set
from .stored import stored_images as stored_images
