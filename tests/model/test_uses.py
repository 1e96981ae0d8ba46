"""What a model is used for, on whichever backend: it gives numbers, or says why it cannot; files appear whole."""

import errno
import zipfile

import keras
import numpy as np
import pytest

import vaelib
from vaelib.model import vae as vae_module


@pytest.fixture(scope="module")
def vae(make_vae):
    vae = make_vae()
    vae.compile("adam")
    return vae


@pytest.fixture
def spoilt(vae):
    """The model while its weights are NaN."""
    weights = vae.get_weights()
    vae.set_weights([np.full_like(weight, np.nan) if weight.ndim else weight for weight in weights])
    yield vae
    vae.set_weights(weights)


@pytest.mark.parametrize("prior", ["StandardNormal", "MixturePrior", "VampPrior"])
def test_every_prior_generates(make_vae, images, prior):
    """Weights that a gradient follows are read as numbers; torch gives them only when asked in the right way."""
    vae = make_vae(prior=prior)
    assert vae.generate(3).shape == (3, 8, 8)
    assert np.isfinite(vae.elbo(images[:3])).all() and np.isfinite(vae.log_evidence(images[:3], 5)).all()


USES = {
    "encode": lambda vae, x: vae.encode(x),
    "decode": lambda vae, x: vae.decode(np.zeros((2, 2), "float32")),
    "reconstruct": lambda vae, x: vae.reconstruct(x),
    "generate": lambda vae, x: vae.generate(2),
    "elbo": lambda vae, x: vae.elbo(x),
    "log_evidence": lambda vae, x: vae.log_evidence(x, 3),
    "score": lambda vae, x: vaelib.evaluation.score(vae, x, 2, 2),
}


@pytest.mark.parametrize("use", USES)
def test_weights_that_are_nan_are_no_silent_nan(spoilt, images, use):
    with pytest.raises(FloatingPointError, match="^the model gives NaN, for . of . examples .*Build it anew"):
        USES[use](spoilt, images[:2])


def test_saving_them_warns(spoilt, tmp_path):
    with pytest.warns(UserWarning, match="the weights that are saved hold NaN"):
        spoilt.save(tmp_path / "nan.keras")
    assert (tmp_path / "nan.keras").exists()


@pytest.mark.parametrize("kind", ["Normal", "Bernoulli", "ContinuousBernoulli"])
@pytest.mark.parametrize(
    "change, advice",
    [
        (lambda x: x * 255, "Divide by 255"),
        (lambda x: 2 * x - 1, "Rescale it"),
        (lambda x: (255 * x).astype("uint8"), "Divide by 255"),
    ],
)
def test_pixels_of_another_range_are_refused(make_vae, images, kind, change, advice):
    vae = make_vae(likelihood=kind)
    vae.compile("adam")
    for use in (vae.fit, vae.elbo, vae.loss_terms):
        with pytest.raises(ValueError, match=rf"^x must .* \[0, 1\] for a {kind} likelihood; received .*{advice}"):
            use(change(images))
    if kind == "Normal":  # its own samples do not keep to [0, 1], and have a density all the same
        sample = keras.ops.convert_to_numpy(vae.likelihood.sample(np.ones((2, 128), "float32") * 5))
        assert sample.max() > 1
        assert np.isfinite(keras.ops.convert_to_numpy(vae.likelihood.log_prob(sample, np.zeros((2, 128)))).all())


def test_masked_entries_are_not_read(vae, images):
    masked = np.ma.masked_array(images, images > 0.5)
    for use in (vae.fit, vae.evaluate, vae.elbo, vae.encode, vae.loss_terms):
        with pytest.raises(ValueError, match="^x has masked entries, which the model would read like any other"):
            use(masked)


def test_what_fit_cannot_use_is_named(vae, images):
    with pytest.raises(ValueError, match="^x must be an array or a source of batches; received None"):
        vae.fit(None)
    with pytest.raises(ValueError, match="^class_weight weighs labels, and a VAE has none: pass sample_weight"):
        vae.fit(images, class_weight={0: 1.0})
    with pytest.raises(ValueError, match=r"^sample_weight must have shape \(60,\), one weight per example"):
        vae.fit(images, sample_weight=np.ones((60, 3)))


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_cut_off_is_not_said_to_be_missing(vae, tmp_path):
    vae.save(tmp_path / "whole.keras")
    whole = (tmp_path / "whole.keras").read_bytes()
    np.testing.assert_array_equal(vae_module.load(tmp_path / "whole.keras").get_weights()[0], vae.get_weights()[0])
    (tmp_path / "half.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half.keras is cut off, damaged or of another kind. Save it again"):
        vae_module.load(tmp_path / "half.keras")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as file:
        file.writestr("nothing", "")
    with pytest.raises(ValueError, match=r"empty.keras is damaged"):
        vae_module.load(tmp_path / "empty.keras")
    with pytest.raises(FileNotFoundError, match="there is no .*missing.keras"):
        vae_module.load(tmp_path / "missing.keras")
    with pytest.raises(ValueError, match="is a folder"):
        vae_module.load(tmp_path)


def test_a_full_disk_leaves_the_file_that_was_there(vae, tmp_path, monkeypatch):
    path = tmp_path / "good.keras"
    vae.save(path)
    good = path.read_bytes()

    def full(self, filepath, **_):
        with open(filepath, "wb") as file:
            file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full)
    for save in (lambda: vae.save(path), lambda: vae.save(str(path), overwrite=True)):
        with pytest.raises(OSError, match="No space left"):
            save()
        assert path.read_bytes() == good and [file.name for file in tmp_path.iterdir()] == ["good.keras"]


def test_a_model_saved_over_another_replaces_it(vae, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")
    vae.save(path)
    assert vae_module.load(path).latent_dim == 2
