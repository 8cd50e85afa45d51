"""Networks whose weights are random, which makes no difference to speed, and needs no download."""

from __future__ import annotations

import keras

from srstudy.networks import perceptual
from srstudy.settings import Content


def untrained_vgg(content: Content) -> keras.Model:
    """The network of a content loss as Keras builds it."""
    loading = perceptual._from_hed, perceptual._from_imagenet
    perceptual._from_hed = perceptual._from_imagenet = lambda convs: {
        name: conv.get_weights() for name, conv in convs.items()
    }
    try:
        return perceptual.feature_network(content.network, (content.layer,))
    finally:
        perceptual._from_hed, perceptual._from_imagenet = loading
