"""The model in vaelib."""

from contenders.setting import Contender


def fit(x, setting):
    """vaelib's `fit`: a block of steps is one XLA program."""
    import vaelib

    vae = model(setting)

    def train(after_epoch=None):
        schedule = [vaelib.CosineLearningRate(setting.peak)] if setting.peak else []
        callbacks = [*schedule, *after(after_epoch)]
        return vae.fit(x, epochs=setting.epochs, batch_size=setting.batch_size, callbacks=callbacks, verbose=0)

    return Contender(train, lambda x_test: vae.evaluate(x_test)[0])


def steps(x, setting):
    """The same model in Keras's own loop, step by step."""
    vae = model(setting)

    def train(after_epoch=None):
        options = dict(epochs=setting.epochs, batch_size=setting.batch_size, verbose=0, blocks=False)
        return vae.fit(x, callbacks=after(after_epoch), **options)

    return Contender(train, lambda x_test: vae.evaluate(x_test)[0])


def model(setting):
    """Return the setting's VAE, compiled."""
    import vaelib

    posterior, likelihood = vaelib.DiagonalNormal(setting.latent_dim), vaelib.Bernoulli((28, 28))
    if setting.filters:
        encoder = vaelib.conv_encoder((28, 28), posterior.params_size, setting.maps)
        decoder = vaelib.conv_decoder(setting.latent_dim, (28, 28), likelihood.params_size, setting.maps[::-1])
    else:
        widths = (setting.units,) * setting.depth
        encoder = vaelib.dense_encoder((28, 28), posterior.params_size, widths)
        spread = setting.spread or None
        decoder = vaelib.dense_decoder(setting.latent_dim, likelihood.params_size, widths, spread=spread)
    objective = vaelib.IWAE(setting.num_samples) if setting.num_samples > 1 else vaelib.ELBO()
    prior = vaelib.StandardNormal(setting.latent_dim)
    vae = vaelib.VAE(encoder, decoder, posterior, likelihood, prior, objective)
    vae.compile("adam")
    return vae


def after(after_epoch):
    """Return the callbacks that call a function after each epoch."""
    import keras

    return [keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: after_epoch())] if after_epoch else []
