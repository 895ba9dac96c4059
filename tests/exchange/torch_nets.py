"""Networks of PyTorch, exported to ONNX.  Run by a Python that has torch and onnxscript: torch_nets.py FOLDER.

Writes FOLDER/NAME.EXPORTER.onnx for each network and both exporters, and FOLDER/NAME.npz: images, and what torch makes of them.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Digits(nn.Module):
    """A dense autoencoder of 28 x 28 pixels, which scales them itself."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 16))
        self.decode = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Dropout(0.1), nn.Linear(64, 784), nn.Sigmoid())

    def forward(self, image):
        z = self.encode(image / 255)
        return self.decode(z).view(-1, 1, 28, 28), z


class Mixed(nn.Module):
    """Convolutions, then a dense bottleneck: flattened and unflattened, channels first."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.ELU(0.5), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3, padding="same"), nn.PReLU(4),
            nn.Flatten(), nn.Linear(4 * 7 * 7, 10),
        )  # fmt: skip
        self.widen = nn.Linear(10, 4 * 7 * 7)
        self.decode = nn.Sequential(
            nn.ReLU6(), nn.ConvTranspose2d(4, 8, 3, 2, 1, output_padding=1), nn.Softplus(), nn.Conv2d(8, 4, 3, 1, 1),
            nn.PixelShuffle(2), nn.Hardtanh(0, 1),
        )  # fmt: skip

    def forward(self, image):
        z = self.encode(image)
        return self.decode(torch.relu(self.widen(z)).view(z.size(0), 4, 7, 7)), z


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(n, n, 3, 1, 1, bias=False), nn.BatchNorm2d(n), nn.SiLU(), nn.Conv2d(n, n, 1)
        )

    def forward(self, x):
        return x + self.inner(x)


class Photo(nn.Module):
    """A variational autoencoder of any height and width, with residual blocks and a join."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.LeakyReLU(0.2), Block(8))
        self.second = nn.Conv2d(16, 12, 5, 2, 2)
        self.back = nn.Sequential(nn.ConvTranspose2d(6, 8, 4, 2, 1), Block(8), nn.GELU())
        self.last = nn.Conv2d(8, 3, 3, 1, 1)

    def forward(self, image):
        x = self.first(image)
        mean, log_variance = self.second(torch.cat([x, torch.tanh(x)], 1)).chunk(2, 1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        x = nn.functional.interpolate(self.back(z), scale_factor=2, mode="nearest")
        return torch.tanh(self.last(x)), mean


class Normed(nn.Module):
    """What has no form: a norm whose factors depend on the image."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.Mish(), nn.Conv2d(8, 4, 1))
        self.decode = nn.ConvTranspose2d(4, 3, 4, 2, 1)

    def forward(self, image):
        z = self.encode(image)
        return self.decode(z), z


# name: (network, the shape of a row, axes of any size, what a pixel is: value 0 and value 255)
NETS = {
    "digits": (Digits, (1, 28, 28), {0: "rows"}, (0, 255)),
    "mixed": (Mixed, (1, 28, 28), {0: "rows"}, (0, 1)),
    "photo": (Photo, (3, 32, 32), {0: "rows", 2: "height", 3: "width"}, (-1, 1)),
    "normed": (Normed, (3, 16, 16), {0: "rows", 2: "height", 3: "width"}, (0, 1)),
}


def trained(kind):
    """A network whose norms have seen something, with weights that show every mistake."""
    torch.manual_seed(0)
    net = kind()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.5, 1.5)
    return net.eval()


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    for name, (kind, shape, axes, (black, white)) in NETS.items():
        net, row = trained(kind), torch.rand(1, *shape)
        names = {"input_names": ["image"], "output_names": ["decoded", "z"]}
        torch.onnx.export(
            net, (row,), folder / f"{name}.dynamo.onnx", dynamo=True, dynamic_shapes={"image": axes}, **names
        )
        for opset in (17, 20):  # 17 has no Gelu
            torch.onnx.export(
                net, (row,), folder / f"{name}.script{opset}.onnx", dynamo=False, dynamic_axes={"image": axes},
                opset_version=opset, **names,
            )  # fmt: skip
        images = torch.randint(0, 256, (5, *shape), dtype=torch.uint8)
        with torch.no_grad():
            rows = images.float() / 255 * (white - black) + black
            _, z = net(rows)
            decoded = net.back(z) if name == "photo" else net(rows)[0]
            if name == "photo":  # without what draws at random
                decoded = torch.tanh(net.last(nn.functional.interpolate(decoded, scale_factor=2.0, mode="nearest")))
        np.savez(folder / f"{name}.npz", images=images.numpy(), z=z.numpy(), decoded=decoded.numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
