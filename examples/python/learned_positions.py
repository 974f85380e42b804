"""Can a network tell from the matrix how far the nodes of a grid are shifted? And for less than it takes to compute it?

`reference` interpolates to the nodes' true positions, which about halves its iterations; where coordinates do not come along it
estimates the shifts δ of A δ = −A i, i the places on the grid, by four steps of Chebyshev's iteration and one solve with
the unshifted A0. Here a network takes the place of the steps: from the six couplings of each node, over its diagonal entry
(free of units), a small perceptron writes a first guess at δ, and the 2 × 2 weights of what is left of the equation after it; A0⁻¹ closes
it as before. It is trained on meshes of 31 × 31 nodes, shifted by up to .43 spacings, and tried on finer ones of other seeds:

    python3 examples/python/learned_positions.py                    # three trainings, some two minutes

Printed: the error of δ, and iterations of `reference` in its post-only form to 1e-8 with b = 1, of fractions, with these positions; beside them the
same number of products without learning, what `reference` does by itself, and the true positions. Needs NumPy, PyTorch and precondor.
"""

import argparse
import math

import numpy as np
import torch
from torch.nn.functional import pad

import precondor

AROUND = [(-1, -1), (0, -1), (-1, 0), (1, 0), (0, 1), (1, 1)]  # of a triangulated grid, along x and y
TRAINING, TEST = range(1000, 1016), range(1, 4)  # seeds


def moved(x, step):
    """x at the node a step away, zero beyond the walls; (..., m, m), y before x."""
    m, (i, j) = x.shape[-1], step
    return pad(x, (1, 1, 1, 1))[..., 1 + j : 1 + j + m, 1 + i : 1 + i + m]


class Mesh:
    """The matrix of a triangulated grid of m × m nodes as planes, the equation of its shifts, and A0⁻¹."""

    def __init__(self, level, shift, seed):
        self.problem = precondor.problem("poisson", level=level, shift=shift, seed=seed)
        A = self.problem.A.tocoo()
        m = self.m = math.isqrt(A.shape[0])
        j, i = np.divmod(np.arange(m * m), m)
        self.grid = np.stack([i, j])
        self.delta = torch.tensor(self.problem.coordinates.T * (m + 1) - 1 - self.grid).reshape(2, m, m).float()

        step = self.grid[:, A.col] - self.grid[:, A.row]
        planes = np.zeros((3, 3, m * m))
        planes[step[1] + 1, step[0] + 1, A.row] = A.data
        at = lambda i, j: torch.tensor(planes[j + 1, i + 1]).reshape(m, m)  # noqa: E731
        self.diagonal, self.couplings = at(0, 0).float(), torch.stack([at(*s) for s in AROUND]).float()
        self.scale = 1 / (self.diagonal + self.couplings.abs().sum(0))

        # −A i, whose walls are a spacing beyond the last nodes; those of a corner share what they hold.
        load = -sum(torch.tensor(s).reshape(2, 1, 1) * at(*s) for s in AROUND)
        held = at(0, 0) + sum(at(*s) for s in AROUND)
        ends = torch.zeros(2, m, m, dtype=held.dtype)
        ends[0, :, 0], ends[0, :, -1], ends[1, 0], ends[1, -1] = -1, 1, -1, 1
        self.load = (load + held * ends / ends.abs().sum(0).clamp(min=1)).float()

        k = torch.arange(1, m + 1)
        self.sines = torch.sin(math.pi * torch.outer(k, k) / (m + 1)) * math.sqrt(2 / (m + 1))
        values = 2 - 2 * torch.cos(math.pi * k / (m + 1))
        self.values = values[:, None] + values

    def product(self, x):
        return self.diagonal * x + sum(a * moved(x, s) for a, s in zip(self.couplings, AROUND))

    def coarse(self, r):
        """A0⁻¹ r by sine transforms."""
        return self.sines @ (self.sines @ r @ self.sines / self.values) @ self.sines

    def closed(self, x):
        return x + self.coarse(self.load - self.product(x))

    def error(self, x):
        return ((x - self.delta).norm() / self.delta.norm()).item()

    def iterations(self, positions):
        """Of `reference` to 1e-8, the last one in part; `positions` as a parameter, or shifts."""
        given = not isinstance(positions, str)
        system = self.problem.A
        if given:
            places = self.grid + positions.double().numpy().reshape(2, -1)
            system = precondor.System(self.problem.A, coordinates=places.T)
        method = {"name": "reference", "variant": "post-only", "degree": 4, "positions": "given" if given else positions}
        result = precondor.solve(system, np.ones(self.m**2), "richardson", method, tolerance=1e-8)
        first, *_, before, last = result.residuals
        return result.iterations - 1 + math.log(1e-8 * first / before) / math.log(last / before)


class Network(torch.nn.Module):
    """A guess at the shifts and `products` corrections, each with weights of its own at every node."""

    def __init__(self, products, hidden):
        super().__init__()
        self.products = products
        self.first, self.second = torch.nn.Linear(len(AROUND), hidden), torch.nn.Linear(hidden, 2 + 4 * products)
        torch.nn.init.zeros_(self.second.weight), torch.nn.init.zeros_(self.second.bias)
        self.usual = torch.nn.Parameter(torch.full((1 + products,), 1.5))

    def forward(self, mesh):
        features = (mesh.couplings / mesh.diagonal).permute(1, 2, 0)
        written = self.second(torch.relu(self.first(features))).permute(2, 0, 1)
        x = self.usual[0] * mesh.scale * mesh.load + written[:2]
        for k in range(self.products):
            rest = mesh.scale * (mesh.load - mesh.product(x))
            weights = written[2 + 4 * k :][:4].reshape(2, 2, mesh.m, mesh.m)
            x = x + self.usual[1 + k] * rest + torch.einsum("abij,bij->aij", weights, rest)
        return x


def chebyshev(mesh, steps, ratio=5.0):
    """What is done without a network: steps of Chebyshev's iteration on [1 / ratio, 1]."""
    theta, delta = (1 + 1 / ratio) / 2, (1 - 1 / ratio) / 2
    x = step = mesh.scale * mesh.load / theta
    rho = delta / theta
    for _ in range(1, steps):
        following = 1 / (2 * theta / delta - rho)
        step = 2 * following / delta * mesh.scale * (mesh.load - mesh.product(x)) + following * rho * step
        x, rho = x + step, following
    return x


def train(network, meshes, steps, seed):
    generator = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, steps)
    for _ in range(steps):
        mesh = meshes[generator.integers(len(meshes))]
        optimizer.zero_grad()
        loss = ((mesh.closed(network(mesh)) - mesh.delta).norm() / mesh.delta.norm()) ** 2
        loss.backward()
        optimizer.step()
        schedule.step()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="of training, a mesh each")
    parser.add_argument("--hidden", type=int, default=8, help="neurons")
    parser.add_argument("--level", type=int, default=8, help="of the meshes it is tried on, 2^level − 1 nodes a side")
    parser.add_argument("--trainings", type=int, default=3, help="from as many seeds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    shifts = [0.1, 0.25, 0.35]
    meshes = [Mesh(5, shift, seed) for shift in (0.1, 0.2, 0.3, 0.43) for seed in TRAINING]
    tests = {shift: [Mesh(arguments.level, shift, seed) for seed in TEST] for shift in shifts}
    print(f"trained on 31 × 31 nodes, seeds {TRAINING}; tried on {tests[0.25][0].m}², seeds {TEST}\n")
    print("| shifts from | products | " + " | ".join(f"error at {s} | iterations" for s in shifts) + " |")
    print("|---" * (2 + 2 * len(shifts)) + "|")

    def row(label, products, positions):
        with torch.no_grad():
            found = {shift: [(mesh, positions(mesh)) for mesh in tests[shift]] for shift in shifts}
        error = lambda x, mesh: math.nan if isinstance(x, str) else mesh.error(x)  # noqa: E731
        cells = []
        for shift in shifts:
            cells.append(np.mean([error(x, mesh) for mesh, x in found[shift]]))
            cells.append(np.mean([mesh.iterations(x) for mesh, x in found[shift]]))
        print(f"| {label} | {products} | " + " | ".join("–" if math.isnan(c) else f"{c:.2f}" for c in cells) + " |", flush=True)

    row("none", 0, lambda mesh: "none")
    for steps in (1, 2, 3, 4):
        row(f"Chebyshev({steps}), A0⁻¹", steps, lambda mesh: mesh.closed(chebyshev(mesh, steps)))
    for products in (0, 1, 2):
        for seed in range(arguments.trainings):
            torch.manual_seed(seed)
            network = Network(products, arguments.hidden)
            train(network, meshes, arguments.steps, seed)
            row(f"network, A0⁻¹; seed {seed}", products + 1, lambda mesh: mesh.closed(network(mesh)))
    row("estimated by `reference`", 4, lambda mesh: "estimated")
    row("true positions", 0, lambda mesh: mesh.delta)


if __name__ == "__main__":
    main()
