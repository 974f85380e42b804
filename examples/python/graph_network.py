"""A network for any sparse symmetric positive definite matrix: a graph network that writes an incomplete factor.

The matrix is a graph: unknowns are nodes, entries are edges. Two rounds of messages between them give every entry of the
lower triangle a factor that it is multiplied by, and every diagonal entry one of its own; the product L is used as
M = (L Lᵀ)⁻¹. A network that says nothing gives symmetric Gauss-Seidel. The loss is ‖(L Lᵀ − A) x‖² for solutions x of
random systems, in which the smooth errors weigh most that a factor of this pattern leaves (the loss of PreCorrector,
Trifonov et al. 2024; without solutions, with random x, it is that of NeuralIF, Häusner et al. 2023).

    python examples/python/graph_network.py --steps 600
"""

import argparse

import numpy as np
import scipy.sparse as sp
import torch

import precondor


class Graph:
    """What the network sees of a matrix: no unit of A plays a part in it."""

    def __init__(self, A):
        A = sp.csr_matrix(A)
        self.scale = np.sqrt(A.diagonal())
        lower = sp.coo_matrix(sp.tril(A, -1))
        self.n, self.rows, self.cols = A.shape[0], lower.row, lower.col
        values = lower.data / (self.scale[lower.row] * self.scale[lower.col])
        self.i, self.j = (torch.tensor(part, dtype=torch.long) for part in (lower.row, lower.col))
        self.values = torch.tensor(values, dtype=torch.float32)
        ones = torch.ones(len(values))
        self.degree = self.to_nodes(ones).clamp(min=1)[:, None]
        sums = [self.to_nodes(self.values), self.to_nodes(self.values**2), torch.log(self.degree[:, 0])]
        self.nodes = torch.stack(sums, 1)
        self.edges = torch.stack([self.values, self.values.abs()], 1)
        self.solutions = None

    def with_solutions(self, A, count, seed):
        """Right-hand sides of the scaled matrix, and their solutions."""
        scaled = sp.diags(1 / self.scale) @ sp.csr_matrix(A) @ sp.diags(1 / self.scale)
        rhs = np.random.default_rng(seed).standard_normal((self.n, count))
        x = precondor.solve(scaled, rhs, "cg", "amg", tolerance=1e-6).x
        self.solutions = [torch.tensor(v, dtype=torch.float32) for v in (x, rhs)]
        return self

    def to_nodes(self, messages):
        """Sums of what the edges of every node say."""
        out = torch.zeros((self.n, *messages.shape[1:]))
        return out.index_add(0, self.i, messages).index_add(0, self.j, messages)


def layers(*sizes):
    parts = [part for a, b in zip(sizes, sizes[1:]) for part in (torch.nn.Linear(a, b), torch.nn.SiLU())]
    return torch.nn.Sequential(*parts[:-1])


class GraphNetwork(torch.nn.Module):
    """Entries of L, relative to those of symmetric Gauss-Seidel."""

    def __init__(self, width):
        super().__init__()
        self.edge = torch.nn.ModuleList([layers(2 + 2 * 3, width, width), layers(width + 2 * width, width, width)])
        self.node = torch.nn.ModuleList([layers(3 + width, width, width), layers(2 * width, width, width)])
        self.of_edge, self.of_node = layers(width + 2 * width, width, 1), layers(width, width, 1)
        for last in (self.of_edge[-1], self.of_node[-1]):
            torch.nn.init.zeros_(last.weight)
            torch.nn.init.zeros_(last.bias)

    def forward(self, graph):
        nodes, edges = graph.nodes, graph.edges
        for edge, node in zip(self.edge, self.node):
            edges = edge(torch.cat([edges, nodes[graph.i], nodes[graph.j]], 1))
            nodes = node(torch.cat([nodes, graph.to_nodes(edges) / graph.degree], 1))
        factors = self.of_edge(torch.cat([edges, nodes[graph.i], nodes[graph.j]], 1))[:, 0]
        return graph.values * (1 + torch.tanh(factors)), torch.exp(torch.tanh(self.of_node(nodes)[:, 0]))


def loss(network, graph):
    """‖L Lᵀ x − b‖² / ‖b‖², with the matrix scaled to a unit diagonal."""
    below, diagonal = network(graph)
    x, b = graph.solutions
    first = (diagonal[:, None] * x).index_add(0, graph.j, below[:, None] * x[graph.i])
    product = (diagonal[:, None] * first).index_add(0, graph.i, below[:, None] * first[graph.j])
    return torch.log(((product - b) ** 2).sum() / (b**2).sum())


def train(matrices, width, steps, seed):
    torch.manual_seed(seed)
    network = GraphNetwork(width)
    graphs = [Graph(A).with_solutions(A, 8, k) for k, A in enumerate(matrices)]
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for step in range(steps):
        value = loss(network, graphs[step % len(graphs)])
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(value.item())
    return network.eval(), losses


def matrices(seed, count, level):
    """Diffusion with coefficients that jump and vary, and graphs: no two have the same pattern."""
    kinds = [
        {"kind": "diffusion", "level": level, "coefficient": "blocks"},
        {"kind": "poisson", "level": level, "shift": 0.25},
        {"kind": "graph", "nodes": (2**level - 1) ** 2},
    ]
    return [precondor.problem(**kinds[k % len(kinds)], seed=seed, index=k) for k in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", type=int, default=4)
    parser.add_argument("--systems", type=int, default=60, help="to learn from")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--report", help="folder for a page")
    arguments = parser.parse_args()

    learn = [p.A for p in matrices(1, arguments.systems, arguments.level)]
    network, losses = train(learn, arguments.width, arguments.steps, seed=1)
    print(f"loss {np.mean(losses[:20]):.3g} before, {np.mean(losses[-20:]):.3g} after {arguments.steps} steps\n")

    @precondor.register("graph-factor", symmetric=True, positive_definite=True)
    def graph_factor(A, params):
        """Incomplete factor by a graph network, in PyTorch."""
        graph = Graph(A)
        with torch.no_grad():
            below, diagonal = network(graph)
        L = sp.coo_matrix((below.double().numpy(), (graph.rows, graph.cols)), shape=A.shape).tocsr()
        L = sp.diags(graph.scale) @ (L + sp.diags(diagonal.double().numpy()))
        return L.tocsr(), L.T.tocsr()

    assert precondor.check("graph-factor")
    # Larger than any that it has learned from.
    unseen = matrices(2, 3, arguments.level + 1)
    table = precondor.compare(
        {problem.parameters["kind"]: problem for problem in unseen},
        methods=[
            "jacobi",
            {"name": "gauss-seidel", "sweep": "symmetric"},
            "ic",
            "fsai",
            "amg",
            {"name": "mlp-fsai", "group": "networks"},
            {"name": "graph-factor", "group": "networks"},
            {"name": "amg", "method": "graph-factor", "label": "graph-factor in amg", "group": "networks"},
        ],
        tolerance=1e-8,
    )
    print(table)
    if arguments.report:
        table.report(arguments.report)


if __name__ == "__main__":
    main()
