"""The study's SRGAN in PyTorch, layer for layer, to compare its speed with; nothing here is trained for use."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Residual block: conv, BN, PReLU, conv, BN, add."""

    def __init__(self, filters: int):
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(filters, filters, 3, padding=1), nn.BatchNorm2d(filters, momentum=0.5), nn.PReLU(filters),
            nn.Conv2d(filters, filters, 3, padding=1), nn.BatchNorm2d(filters, momentum=0.5),
        )  # fmt: skip

    def forward(self, x):
        return x + self.path(x)


class Generator(nn.Module):
    """`architectures.srgan_generator`."""

    def __init__(self, filters: int = 64, blocks: int = 16):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, filters, 9, padding=4), nn.PReLU(filters))
        self.trunk = nn.Sequential(
            *(Block(filters) for _ in range(blocks)),
            nn.Conv2d(filters, filters, 3, padding=1), nn.BatchNorm2d(filters, momentum=0.5),
        )  # fmt: skip
        up = [nn.Conv2d(filters, 4 * filters, 3, padding=1), nn.PixelShuffle(2), nn.PReLU(filters)]
        again = [nn.Conv2d(filters, 4 * filters, 3, padding=1), nn.PixelShuffle(2), nn.PReLU(filters)]
        self.last = nn.Sequential(*up, *again, nn.Conv2d(filters, 3, 9, padding=4), nn.Tanh())

    def forward(self, x):
        first = self.first(x)
        return self.last(first + self.trunk(first))


def discriminator(side: int, filters: int = 64, dense: int = 1024) -> nn.Module:
    """`architectures.discriminator`."""
    layers, channels = [], 3
    for block in range(8):
        width = filters * 2 ** (block // 2)
        layers.append(nn.Conv2d(channels, width, 3, stride=1 + block % 2, padding=1))
        if block:
            layers.append(nn.BatchNorm2d(width, momentum=0.5))
        layers.append(nn.LeakyReLU(0.2))
        channels = width
    flat = channels * (side // 16) ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, dense), nn.LeakyReLU(0.2), nn.Linear(dense, 1))


def vgg19_to_block3_conv4() -> nn.Module:
    """VGG19's convolutions up to block3_conv4, untrained: weights make no difference to speed."""
    layers, channels = [], 3
    for block, (width, count) in enumerate(((64, 2), (128, 2), (256, 4))):
        if block:
            layers.append(nn.MaxPool2d(2))
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers).requires_grad_(False)


class Step:
    """One update of each network, as `step.Update` does it: call it with LR and HR in [-1, 1], NCHW."""

    def __init__(self, lr_side: int):
        self.generator, self.discriminator = Generator(), discriminator(4 * lr_side)
        self.vgg = vgg19_to_block3_conv4()
        for model in (self.generator, self.discriminator, self.vgg):
            model.to(memory_format=torch.channels_last)  # faster than NCHW on a CPU
        self.of_generator = torch.optim.Adam(self.generator.parameters(), 2e-4, fused=True)
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), 2e-4, fused=True)

    def __call__(self, lr, hr):
        sr = self.generator(lr)
        real, fake = self.discriminator(hr), self.discriminator(sr.detach())
        loss = 0.5 * (functional.softplus(-real).mean() + functional.softplus(fake).mean())
        self.of_discriminator.zero_grad(set_to_none=True)
        loss.backward()
        self.of_discriminator.step()
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            wanted = self.vgg(hr)
        content = functional.mse_loss(self.vgg(sr), wanted)
        loss = content + 1e-3 * functional.softplus(-self.discriminator(sr)).mean()
        self.of_generator.zero_grad(set_to_none=True)
        loss.backward()
        self.of_generator.step()
        self.discriminator.requires_grad_(True)
        return float(loss)
