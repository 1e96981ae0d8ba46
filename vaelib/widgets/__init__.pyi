from .draw_digit import DrawDigit as DrawDigit
from .lab import Lab as Lab
from .latent_pad import LatentPad as LatentPad
from .png import to_png as to_png
from .sliders import LatentSliders as LatentSliders
from .sliders import latent_sliders as latent_sliders
