"""The model in PyTorch."""

import math

from contenders.setting import Contender


def eager(x, setting, compiled=False):
    """A PyTorch loop with fused Adam, data in memory."""
    import torch
    from torch.nn import functional

    d, k = setting.latent_dim, setting.num_samples
    encoder, decoder = _networks(setting)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=setting.rate(0), fused=True)
    data = torch.from_numpy(x.reshape(len(x), 784))

    def loss_of(batch):
        mu, log_var = encoder(batch).chunk(2, dim=1)
        eps = torch.randn((k, *mu.shape))
        z = mu + torch.exp(0.5 * log_var) * eps
        logits = decoder(z.reshape(-1, d)).reshape(k, -1, 784)
        if k == 1:
            reconstruction = functional.binary_cross_entropy_with_logits(logits[0], batch, reduction="sum")
            kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum()
            return (reconstruction + kl) / len(batch)
        x = batch.expand(k, -1, -1)
        reconstruction = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=-1)
        log_ratio = 0.5 * (eps**2 + log_var - z**2).sum(dim=-1)
        return math.log(k) - torch.logsumexp(log_ratio - reconstruction, dim=0).mean()

    step_loss = torch.compile(loss_of) if compiled else loss_of

    def train(after_epoch=None):
        for epoch in range(setting.epochs):
            batches = torch.randperm(len(data)).split(setting.batch_size)
            for i, rows in enumerate(batches):
                optimiser.param_groups[0]["lr"] = setting.rate(epoch + i / len(batches))
                optimiser.zero_grad()
                loss = step_loss(data[rows])
                loss.backward()
                optimiser.step()
            if after_epoch:
                after_epoch()
        return loss.detach()

    @torch.no_grad()
    def nelbo(x_test):
        return float(loss_of(torch.from_numpy(x_test.reshape(len(x_test), 784))))

    return Contender(train, nelbo)


def compiled(x, setting):
    """The same loop with `torch.compile` around the loss."""
    return eager(x, setting, compiled=True)


def _networks(setting):
    from torch import nn

    d = setting.latent_dim
    if setting.filters:
        few, many = setting.maps
        encoder = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, few, 3, 2, padding=1),
            nn.ReLU(),
            nn.Conv2d(few, many, 3, 2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(49 * many, 2 * d),
        )
        decoder = nn.Sequential(
            nn.Linear(d, 49 * many),
            nn.ReLU(),
            nn.Unflatten(1, (many, 7, 7)),
            nn.ConvTranspose2d(many, many, 3, 2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(many, few, 3, 2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.Conv2d(few, 1, 3, padding=1),
            nn.Flatten(),
        )
        return encoder, decoder

    def dense(inputs, outputs):
        sizes, layers = [inputs, *[setting.units] * setting.depth], []
        for n, m in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(n, m), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))

    return dense(784, 2 * d), dense(d, 784)
