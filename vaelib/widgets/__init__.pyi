from .draw_digit import DrawDigit as DrawDigit
from .encoder import NumpyEncoder as NumpyEncoder
from .frames import NumpyDecoder as NumpyDecoder
from .frames import to_png as to_png
from .lab import Lab as Lab
from .latent_pad import LatentPad as LatentPad
from .sliders import LatentSliders as LatentSliders
from .sliders import latent_sliders as latent_sliders
