"""The script behind the figures of lesson 16, and the file that it wrote."""

import json

import numpy as np
import pytest

import vaelib
from vaelib.data.synthetic_faces import synthetic_faces
from vaelib.pretrained import FOLDER
from vaelib.teaching import train_betas as script


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(200)


def test_the_scores_of_codes_that_are_the_factors(faces):
    factors = np.stack([faces.pose, faces.expression], axis=1)
    rng = np.random.default_rng(0)
    codes = np.concatenate([factors, rng.standard_normal((200, 1))], axis=1)
    found = script.scores(codes, faces)
    assert found["disentanglement"] > 0.9 and found["completeness"] > 0.6
    assert found["pose"] == pytest.approx(1) and found["expression"] == pytest.approx(1)
    turn = np.array([[1, 1, 0], [1, -1, 0], [0, 0, np.sqrt(2)]]) / np.sqrt(2)
    turned = script.scores(codes @ turn, faces)
    assert turned["mig"] < 0.2 < found["mig"]
    assert turned["disentanglement"] < 0.1 < found["disentanglement"]
    assert turned["expression"] == pytest.approx(1)


@pytest.mark.slow
def test_a_run_reports_the_rate_and_error_of_its_model_and_starts_anew(faces):
    vae = script.build(0, faces.frames, latent_dim=2, epochs=60)
    first, again, other = (script.train(vae, 4.0, seed, faces, epochs=60) for seed in (0, 0, 1))
    assert first == pytest.approx(again, rel=1e-3) and first["rate"] != other["rate"]
    assert set(first) == set(script.SCORES)
    settled = script.train(vae, 1e4, 0, faces, epochs=60)
    assert settled["rate"] < 0.05 < first["rate"]
    decoded = np.asarray(vae.decode(vae.encode(faces.frames)))  # nothing is coded: any code will do
    assert settled["error"] == pytest.approx(np.sum((faces.frames - decoded) ** 2) / 200, rel=0.1)
    assert vae.likelihood.trainable_variables == []
    assert float(vae.likelihood.log_var) == pytest.approx(np.log(script.NOISE_VAR))


def test_the_script_writes_what_the_lesson_reads(tmp_path, capsys):
    options = ["--folder", str(tmp_path), "--seeds", "2", "--epochs", "1", "--betas", "1", "16", "--frames", "120"]
    script.main(options)
    record = json.loads((tmp_path / "betas.json").read_text("utf-8"))
    assert list(record["betas"]) == ["1", "16"]
    for row in record["betas"].values():
        assert list(row) == list(script.SCORES)
        assert all(len(values) == 2 and np.all(np.isfinite(values)) for values in row.values())
    assert "beta 16: rate" in capsys.readouterr().out


def test_the_file_that_ships_is_of_this_script():
    record = json.loads((FOLDER / "betas.json").read_text("utf-8"))
    assert record["script"] == "python -m vaelib.teaching.train_betas"
    assert (record["latent_dim"], record["noise_var"]) == (script.LATENT_DIM, script.NOISE_VAR)
    assert (record["epochs"], record["seeds"], record["frames"]) == (script.EPOCHS, script.NUM_SEEDS, 1965)
    assert list(record["betas"]) == [f"{beta:g}" for beta in script.BETAS]
    assert record["data"] == vaelib.synthetic_faces(1).source.name
    for row in record["betas"].values():
        assert list(row) == list(script.SCORES)
        assert all(len(values) == script.NUM_SEEDS for values in row.values())
