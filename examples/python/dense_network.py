"""A network of one's own: the dense network of Ruelmann, Geveler and Turek (2018), in plain PyTorch.

It takes the bands of a matrix on a small grid and writes all entries of an approximate inverse. It is trained on perturbed
Poisson systems against their exact inverses, and then compared with classical methods, and with the networks that come
with Precondor, on systems that it has not seen. `--save FILE` writes it as a model of the method `mlp-dense`, which needs
no Python: for configurations, PETSc and mpirun.

    python examples/python/dense_network.py --level 3 --steps 3000
"""

import argparse

import numpy as np
import torch

import precondor


def systems(level, seed, count):
    """Matrices of perturbed Poisson problems on the same grid."""
    return [precondor.problem("poisson", level=level, shift=0.25, seed=seed, index=k) for k in range(count)]


def bands(A, level):
    """What the network is told of A: its diagonals that a triangulated grid fills, from the main one upwards."""
    side = 2**level - 1
    return np.concatenate([A.diagonal(offset) for offset in (0, 1, side, side + 1)])


class DenseNetwork(torch.nn.Module):
    """Bands of A in, entries of M out; both are centred and scaled by what the training systems have."""

    def __init__(self, inputs, inverses, width):
        super().__init__()
        self.n = inverses.shape[1]
        for name, values in (("input", inputs), ("output", inverses.flatten(1))):
            self.register_buffer(f"{name}_mean", values.mean(0))
            self.register_buffer(f"{name}_scale", values.std() + 1e-12)
        sizes = [inputs.shape[1], width, width, self.n * self.n]
        self.layers = torch.nn.ModuleList([torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])])

    def forward(self, inputs):
        out = (inputs - self.input_mean) / self.input_scale
        for layer in self.layers[:-1]:
            out = torch.relu(layer(out))
        return (self.output_mean + self.output_scale * self.layers[-1](out)).unflatten(1, (self.n, self.n))

    def as_arrays(self):
        """The same map without its scales, which the first and the last layer take: as the method `mlp-dense` has it."""
        weights = [layer.weight.detach().double() for layer in self.layers]
        biases = [layer.bias.detach().double() for layer in self.layers]
        weights[0] = weights[0] / self.input_scale
        biases[0] = biases[0] - weights[0] @ self.input_mean.double()
        weights[-1] = weights[-1] * self.output_scale
        biases[-1] = biases[-1] * self.output_scale + self.output_mean
        arrays = {f"layer{k + 1}.weight": weight for k, weight in enumerate(weights)}
        return {**arrays, **{f"layer{k + 1}.bias": bias[:, None] for k, bias in enumerate(biases)}}


def train(problems, level, width, steps, seed):
    """Adam on the mean square of the entries' errors."""
    torch.manual_seed(seed)
    inputs = torch.tensor(np.array([bands(p.A, level) for p in problems]), dtype=torch.float32)
    inverses = torch.tensor(np.array([np.linalg.inv(p.A.toarray()) for p in problems]), dtype=torch.float32)
    network = DenseNetwork(inputs, inverses, width)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps)
    losses = []
    for _ in range(steps):
        batch = torch.randint(len(problems), (64,))
        error = (network(inputs[batch]) - inverses[batch]) / network.output_scale
        loss = (error * error).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return network.eval(), losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", type=int, default=3, help="grids of 2**level - 1 nodes a side")
    parser.add_argument("--systems", type=int, default=1000, help="to learn from")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--width", type=int, default=256, help="neurons of a hidden layer")
    parser.add_argument("--save", help="file for the model")
    parser.add_argument("--report", help="folder for a page")
    arguments = parser.parse_args()

    level, learn = arguments.level, systems(arguments.level, 1, arguments.systems)
    network, losses = train(learn, level, arguments.width, arguments.steps, seed=1)
    print(f"loss {losses[0]:.3g} before, {np.mean(losses[-50:]):.3g} after {arguments.steps} steps\n")

    @precondor.register("torch-dense", symmetric=True)
    def torch_dense(A, params):
        """The dense network of the paper, in PyTorch."""
        with torch.no_grad():
            M = network(torch.tensor(bands(A, level)[None], dtype=torch.float32))[0].double()
        return (M + M.T) / 2

    if arguments.save:
        shape = {"grid": [2**level - 1] * 2, "hidden": [arguments.width] * 2, "inputs": "bands"}
        plain = {"whiten": False, "ridge": False, "components": 0}
        precondor.write_model(arguments.save, "mlp-dense", {**shape, **plain}, network.as_arrays(), training={"seed": 1})

    unseen = systems(level, 2, 3)
    print(precondor.check("torch-dense", unseen[0]), "\n")
    methods = [
        "jacobi",
        {"name": "gauss-seidel", "sweep": "symmetric"},
        "spai",
        "fsai",
        "ic",
        "amg",
        {"name": "torch-dense", "group": "networks"},
        {"name": "mlp-fsai", "group": "networks"},
        {"name": "mlp-reference", "group": "networks"},
    ]
    if level in (2, 3):
        methods.append({"name": "mlp-dense", "group": "networks"})
    table = precondor.compare(
        {f"system {k}": problem for k, problem in enumerate(unseen)}, methods=methods, method="gmres", tolerance=1e-8
    )
    print(table)
    if arguments.report:
        table.report(arguments.report)


if __name__ == "__main__":
    main()
