//! What a training step lowers: the mean loss of a batch of matrices, as a function of the network's
//! parameters.
//!
//! Features of all matrices of the batch go through the network in one product; each matrix then has the
//! loss of [`Chain`] for a few random vectors, and its derivative goes back the same way.

use crate::reference::chain::Chain;
use crate::reference::pgp::{Description, Patch, Stencils, Variant, matrix_stencil};
use crate::reference::stencil::Stencil;
use precondor_neural::net::{Activations, Net};
use precondor_neural::number::Number;
use precondor_neural::random::Random;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::grid::Grid;

/// One training matrix.
pub struct Sample<T> {
    description: Description<T>,
    a: Stencil<T>,
}

impl<T: Number> Sample<T> {
    /// Prepares a matrix.
    pub fn new(bands: &Bands) -> Self {
        Sample { description: Description::new(bands), a: matrix_stencil(bands) }
    }
}

/// The mean loss of batches of matrices on one grid, and its derivative by the network's parameters.
pub struct Objective<T> {
    net: Net,
    patch: Patch,
    grid: Grid,
    vectors: usize,
    cap: f64,
    inputs: Vec<T>,
    outputs: Vec<T>,
    derivative: Vec<T>,
    activations: Activations<T>,
    stencils: Stencils<T>,
    chain: Chain<T>,
    nodes: Vec<T>,
    z: Vec<T>,
}

impl<T: Number> Objective<T> {
    /// For batches of at most `batch` matrices with `vectors` random vectors each.
    pub fn new(
        net: &Net,
        (variant, patch): (Variant, Patch),
        grid: Grid,
        batch: usize,
        vectors: usize,
    ) -> Self {
        let columns = batch * grid.body().len();
        let stencils = Stencils::new(grid, variant);
        Objective {
            net: net.clone(),
            patch,
            grid,
            vectors,
            cap: f64::INFINITY,
            inputs: vec![T::zero(); patch.inputs() * columns],
            outputs: vec![T::zero(); net.outputs() * columns],
            derivative: vec![T::zero(); net.outputs() * columns],
            activations: net.activations(columns),
            chain: Chain::new(grid, &stencils),
            stencils,
            nodes: vec![T::zero(); grid.nodes()],
            z: vec![T::zero(); grid.plane()],
        }
    }

    /// The same, with losses `e` of single vectors entering as `cap·ln(1 + e/cap)`.
    #[must_use]
    pub fn capped(self, cap: f64) -> Self {
        Objective { cap, ..self }
    }

    /// Draws of 64 bits that [`evaluate`](Self::evaluate) takes a matrix.
    pub fn draws(&self) -> usize {
        self.vectors * Random::draws_of_signs(self.grid.nodes())
    }

    /// The mean loss over at most as many matrices as were announced, one at least; adds its derivative
    /// to `gradient`.
    pub fn evaluate<'a>(
        &mut self,
        parameters: &[T],
        batch: impl Iterator<Item = &'a Sample<T>> + Clone,
        random: &mut Random,
        gradient: &mut [T],
    ) -> f64 {
        let (grid, patch, n) = (self.grid, self.patch, self.grid.body().len());
        let columns = batch.clone().count() * n;
        let Objective { net, activations, inputs, outputs, derivative, .. } = self;
        let inputs = &mut inputs[..patch.inputs() * columns];
        let outputs = &mut outputs[..net.outputs() * columns];
        let derivative = &mut derivative[..net.outputs() * columns];
        for (b, sample) in batch.clone().enumerate() {
            sample.description.patches(patch, grid.body(), inputs, columns, b * n);
        }
        net.forward(parameters, inputs, columns, activations, outputs);
        let weight = n as f64 / (columns * self.vectors) as f64;
        let size = T::rounded(1.0 / (grid.nodes() as f64).sqrt());
        let mut loss = 0.0;
        for (b, Sample { description, a }) in batch.enumerate() {
            self.stencils.decode(description, grid.body(), outputs, columns, b * n);
            self.chain.clear_gradient();
            for _ in 0..self.vectors {
                random.signs(size, &mut self.nodes);
                grid.to_plane(&self.nodes, &mut self.z);
                loss += self
                    .chain
                    .loss(a, &self.stencils, &self.z, T::rounded(weight), self.cap)
                    .wide();
            }
            let by_coefficients = self.chain.gradient();
            by_coefficients.encode_derivative(
                description,
                &self.stencils,
                derivative,
                columns,
                b * n,
            );
        }
        net.backward(parameters, inputs, columns, activations, derivative, gradient);
        loss * weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::stencil::tests::GRID;
    use crate::reference::train::network;
    use precondor_neural::check::random_bands;

    #[test]
    fn gradient_of_the_whole_objective_agrees_with_differences() {
        for variant in [Variant::Spd, Variant::Stencil, Variant::Sweep] {
            let mut random = Random::new(9, 0);
            let net = network(variant, Patch::Square, &[6, 6]);
            let batch: Vec<Sample<f64>> =
                (0..3).map(|_| Sample::new(&random_bands(&mut random, GRID))).collect();
            let mut parameters: Vec<f64> = net.start(&mut random, 0.1);
            for p in &mut parameters {
                *p += 0.02 * (random.unit() - 0.5);
            }
            // Half of the variants with a cap about as large as the loss.
            let cap = if variant == Variant::Spd { 0.1 } else { f64::INFINITY };
            let mut objective =
                Objective::new(&net, (variant, Patch::Square), GRID, 3, 2).capped(cap);
            let stream = Random::new(10, 0);
            let mut value = |parameters: &[f64], gradient: &mut [f64]| {
                objective.evaluate(parameters, batch.iter(), &mut stream.clone(), gradient)
            };
            let mut gradient = vec![0.0; net.len()];
            value(&parameters, &mut gradient);
            let mut ignored = vec![0.0; net.len()];
            for k in (0..net.len()).step_by(7) {
                let at = parameters[k];
                parameters[k] = at + 1e-5;
                let up = value(&parameters, &mut ignored);
                parameters[k] = at - 1e-5;
                let down = value(&parameters, &mut ignored);
                parameters[k] = at;
                let difference = (up - down) / 2e-5;
                let error = (difference - gradient[k]).abs();
                assert!(error < 1e-6 * (1.0 + gradient[k].abs()), "{variant:?} {k}: {difference}");
            }
            assert!(gradient.iter().filter(|g| **g != 0.0).count() > net.len() * 9 / 10);
        }
    }
}
