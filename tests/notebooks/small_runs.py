"""Every notebook with parameters that are not its defaults: small, so that a run takes seconds."""

CHANGED = {
    "00_start_here": dict(num_points=300, seed=1),
    "01_latent_variable_models": dict(wide_latent_dim=10, num_samples=400, most_dims=3, seed=1),
    "02_elbo": dict(num_pairs=100_000, num_repeats=100, seed=1),
    "03_amortised_inference": dict(num_fitted=60, encoder_budget=30_000, seed=1),
    "04_forward_and_reverse_kl": dict(separation=3.0, weight=0.2, seed=1),
    "05_reparameterisation": dict(seed=1),
    "06_closed_form_kl": dict(num_samples=40_000, seed=1),
    "07_vae_in_keras": dict(latent_dim=3, hidden_units=50, epochs=2, batch_size=20, learning_rate=2e-3, seed=1),
    "08_modular_vae": dict(
        latent_dim=3,
        hidden_units=40,
        num_train=400,
        num_test=80,
        epochs=2,
        batch_size=50,
        learning_rate=5e-3,
        num_evidence=10,
        num_pca=400,
        pca_steps=1500,
        seed=1,
    ),  # fmt: skip
    "09_faces": dict(
        latent_dim=3, hidden_units=100, epochs=4, batch_size=60, num_seeds=2, num_planes=2, drawn_epochs=20, seed=1
    ),
    "10_wrong_losses": dict(
        num_train=1500, latent_dim=6, hidden_units=50, epochs=8, learning_rate=8e-3, num_checked=1, seed=1
    ),
    "11_bayesian_regression": dict(num_cases=30, prior_scale=1.0, num_steps=600, seed=1),
    "12_trusting_a_posterior": dict(
        num_train=60, prior_scale=1.0, num_draws=800, num_splits=10, num_steps=2000, seed=1
    ),
    "13_your_own_images": dict(
        likelihood="Normal",
        latent_dim=3,
        epochs=10,
        batch_size=25,
        learning_rate=3e-3,
        num_pictures=500,
        photo_epochs=8,
        num_seeds=2,
        seed=1,
    ),  # fmt: skip
    "14_importance_weighting": dict(
        num_draws=4_000,
        num_train=1_000,
        num_test=500,
        epochs=20,
        more_epochs=5,
        hidden_units=40,
        latent_dim=8,
        batch_size=50,
        num_importance_samples=30,
        seed=1,
    ),
    "15_normalizing_flows": dict(
        num_train=2_000,
        train_steps=150,
        num_test=300,
        num_fitted=10,
        fit_steps=120,
        num_starts=8,  # with fewer, rounding decides whether the search for four bends succeeds
        energy_steps=500,
        prior_steps=100,
        num_seeds=2,
        seed=1,
    ),
    "16_rate_and_distortion": dict(num_linear=2_000, num_train=2_500, epochs=16, hidden_units=60, seed=1),
    "17_discrete_latents": dict(
        num_draws=20_000, num_hidden=5, num_train=1_000, epochs=2, num_test=60, whole_run=False, seed=1
    ),
    "18_implicit_posteriors": dict(num_samples=1_000, num_repeats=2, num_starts=3, steps=2_000, num_seeds=1, seed=1),
    "19_deep_latents": dict(
        num_draws=20_000, num_hidden=4, num_steps=300, num_train=1_000, epochs=1, whole_run=False, seed=1
    ),
    "20_diffusion": dict(
        num_draws=20_000, plane_steps=60, code_steps=40, num_train=500, epochs=1, num_seeds=1, whole_run=False, seed=1
    ),
    "21_same_parts_elsewhere": dict(
        num_train=3_000,
        epochs=6,
        num_test=40,
        num_cells=2_000,
        cell_epochs=40,
        num_seeds=1,
        num_draws=20_000,
        whole_run=False,
        seed=1,
    ),
}
