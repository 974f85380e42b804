//! What the training minimises on small matrices, each term less what FSAI's factor gives:
//!
//! ```text
//! log κ(B) + μ/√κ₀ · n log K(B),   B = G A Gᵀ,   K(B) = (trace(B)/n) / det(B)^(1/n)
//! ```
//!
//! κ rules the conjugate gradients on large matrices, where they take about ½√κ log(2/ε) iterations;
//! Kaporin's K rules them on small ones, n log₂ K + log₂(1/ε) iterations at most. A change of log κ
//! counts as part of the iterations, one of n log K as a number of them: hence the division by √κ₀, κ₀
//! the condition that FSAI gives. FSAI is the factor with the least K, so the second term is a price on
//! the distance from it. As diag(B) is one and G triangular, n log K(B) = −2 Σ log Gᵢᵢ − log det A.
//!
//! With λ and u an extreme eigenvalue of B = G A Gᵀ and its eigenvector of length one,
//! dλ = 2 uᵀ dG w with w = A Gᵀ u. Both ends are found by Lanczos steps ([`ends`](super::ends)); from
//! there the derivative goes back through the scaling of the rows ([`super::row`]) into the
//! network, at the cost of a few products.
//!
//! Reference for K: I. Kaporin, *New convergence results and preconditioning strategies for the
//! conjugate gradient method*, Numer. Linear Algebra Appl. 1 (1994).

use precondor_sdk::core::host::Host;
use precondor_sdk::prelude::*;

use super::ends::{Pair, ends};
use super::factor::{Gather, Plain, normal, scaled};
use super::features::{Description, FEATURES, Surroundings};
use super::row;
use precondor_neural::net::{Activations, Net};
use precondor_neural::number::Number;
use precondor_neural::random::Random;

/// Residual of an eigenpair as part of the eigenvalue.
const TOLERANCE: f64 = 1e-5;

/// A training matrix, with all that stays the same when the network changes.
pub struct Sample<T> {
    a: Csr,
    row_ptr: Vec<u32>,
    cols: Vec<u32>,
    /// FSAI's factor with a unit diagonal.
    ratios: Vec<f64>,
    /// A(J, J) of every row.
    blocks: Vec<f64>,
    /// Features of the entries off the diagonal, first as they are, then as the network takes them:
    /// feature after feature.
    inputs: Vec<T>,
    random: Random,
    /// log κ and −2 Σ log Gᵢᵢ of FSAI itself.
    plain: Loss,
}

/// The two terms of the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// log κ(G A Gᵀ), less FSAI's.
    pub condition: f64,
    /// n log K(G A Gᵀ), less FSAI's: not negative.
    pub kaporin: f64,
}

impl Loss {
    /// log κ + `price` · n log K.
    pub fn value(&self, price: f64) -> f64 {
        self.condition + price * self.kaporin
    }
}

/// Memory for evaluations.
pub struct Scratch<T> {
    activations: Activations<T>,
    outputs: Vec<T>,
    room: usize,
}

impl<T: Number> Scratch<T> {
    /// For a network.
    pub fn new(net: &Net) -> Self {
        Scratch { activations: net.activations(0), outputs: Vec::new(), room: 0 }
    }
}

/// Sums over the features of samples: count, sum, sum of squares.
pub struct Moments {
    count: f64,
    sums: [[f64; 2]; FEATURES],
}

impl Moments {
    /// Of samples that are not scaled yet.
    pub fn of<'a, T: Number>(samples: impl Iterator<Item = &'a Sample<T>>) -> Self {
        let mut moments = Moments { count: 0.0, sums: [[0.0; 2]; FEATURES] };
        for sample in samples.filter(|s| !s.inputs.is_empty()) {
            let count = sample.count();
            moments.count += count as f64;
            for (sums, feature) in moments.sums.iter_mut().zip(sample.inputs.chunks_exact(count)) {
                for x in feature {
                    *sums = [sums[0] + x.wide(), sums[1] + x.wide() * x.wide()];
                }
            }
        }
        moments
    }

    /// Mean, and 1 over the standard deviation, of every feature. One that hardly varies is taken to
    /// deviate by `LEAST`, so that it does not become noise.
    pub fn scales(&self) -> (Vec<f32>, Vec<f32>) {
        let count = self.count.max(1.0);
        let scales = self.sums.iter().map(|[sum, squares]| {
            let mean = sum / count;
            let deviation = (squares / count - mean * mean).max(0.0).sqrt();
            (mean as f32, (1.0 / deviation.max(LEAST)) as f32)
        });
        scales.unzip()
    }
}

/// The least deviation of a feature.
const LEAST: f64 = 0.01;

impl<T: Number> Sample<T> {
    /// Describes a matrix; `random` starts the eigenvalue solver, the same way every time.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a matrix that is not symmetric, [`Error::Breakdown`] for one that is
    /// not positive definite.
    pub fn new(host: &dyn Host, a: &DistCsr, power: u32, random: Random) -> Result<Self> {
        a.require_symmetric(super::NAME)?;
        let (scaled, _) = scaled(a)?;
        let plain = Plain::new(host, &scaled, power)?;
        let surroundings = Surroundings::new(&plain.reach);
        let (mut work, mut gather) =
            (Description::new(surroundings.len()), Gather::new(surroundings.len()));
        let (mut features, mut blocks) = (Vec::new(), Vec::new());
        let mut ratios = plain.entries.clone();
        let row_ptr = &plain.pattern.row_ptr;
        for i in 0..a.n_own() {
            let (columns, g) = (plain.pattern.row(i), &mut ratios[row_ptr[i] as usize..]);
            let g = &mut g[..columns.len()];
            surroundings.describe(i, columns, g, &mut work, |f| features.push(*f));
            let diagonal = g[g.len() - 1];
            g.iter_mut().for_each(|g| *g /= diagonal);
            gather.fill(&plain.reach, columns);
            blocks.extend_from_slice(&gather.block);
        }
        let feature = |f: usize| features.iter().map(move |x: &[f64; FEATURES]| T::rounded(x[f]));
        let mut sample = Sample {
            a: scaled.own().clone(),
            row_ptr: row_ptr.clone(),
            cols: plain.pattern.cols.clone(),
            blocks,
            inputs: (0..FEATURES).flat_map(feature).collect(),
            ratios,
            random,
            plain: Loss { condition: 0.0, kaporin: 0.0 },
        };
        let [low, high] = sample.ends(&plain.entries);
        let diagonal = row_ptr[1..].iter().map(|&end| plain.entries[end as usize - 1].ln());
        let (condition, kaporin) = ((high.value / low.value).ln(), -2.0 * diagonal.sum::<f64>());
        sample.plain = Loss { condition, kaporin };
        Ok(sample)
    }

    /// Entries off the diagonal.
    fn count(&self) -> usize {
        self.inputs.len() / FEATURES
    }

    /// Turns the features into inputs of the network.
    pub fn scale(&mut self, mean: &[f32], inverse_deviation: &[f32]) {
        let count = self.count().max(1);
        for (f, inputs) in self.inputs.chunks_exact_mut(count).enumerate() {
            for x in inputs {
                *x = T::rounded(normal(x.wide(), mean[f], inverse_deviation[f]).into());
            }
        }
    }

    /// Both ends of the spectrum of G A Gᵀ.
    fn ends(&self, g: &[f64]) -> [Pair; 2] {
        let n = self.a.n_rows();
        let (mut before, mut image) = (vec![0.0; n], vec![0.0; n]);
        ends(n, TOLERANCE, &mut self.random.clone(), |u, y| {
            self.image(g, u, &mut before, &mut image);
            self.rows(g, &image, y);
        })
    }

    /// `w = A Gᵀ u`.
    fn image(&self, g: &[f64], u: &[f64], before: &mut [f64], w: &mut [f64]) {
        before.fill(0.0);
        for (i, &u) in u.iter().enumerate() {
            for k in self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize {
                before[self.cols[k] as usize] += g[k] * u;
            }
        }
        let a = self.a.view();
        for (i, w) in w.iter_mut().enumerate() {
            *w = a.row(i).map(|(j, v)| v * before[j]).sum();
        }
    }

    /// `y = G w`.
    fn rows(&self, g: &[f64], w: &[f64], y: &mut [f64]) {
        for (i, y) in y.iter_mut().enumerate() {
            let range = self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize;
            *y = range.map(|k| g[k] * w[self.cols[k] as usize]).sum();
        }
    }

    /// The price on K of this matrix, μ/√κ₀.
    pub fn price(&self, mu: f64) -> f64 {
        mu * (-0.5 * self.plain.condition).exp()
    }

    /// The objective with the network's G. Given (μ, weight, gradient), adds the derivative by the
    /// parameters, times `weight`, to `gradient`.
    pub fn evaluate(
        &self,
        net: &Net,
        parameters: &[T],
        scratch: &mut Scratch<T>,
        gradient: Option<(f64, T, &mut [T])>,
    ) -> Loss {
        let (n, count) = (self.a.n_rows(), self.count());
        if count == 0 {
            return Loss { condition: 0.0, kaporin: 0.0 };
        }
        if scratch.room < count {
            scratch.activations = net.activations(count);
            scratch.outputs = vec![T::zero(); count];
            scratch.room = count;
        }
        let Scratch { activations, outputs, .. } = scratch;
        let outputs = &mut outputs[..count];
        net.forward(parameters, &self.inputs, count, activations, outputs);
        // v, A(J, J) v and the lengths of the rows; then G.
        let (mut v, mut images) = (self.ratios.clone(), vec![0.0; self.ratios.len()]);
        let (mut lengths, mut sample, mut block) = (vec![0.0; n], 0, 0);
        for (i, length) in lengths.iter_mut().enumerate() {
            let range = self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize;
            let k = range.len();
            for v in &mut v[range.start..range.end - 1] {
                *v = row::corrected(*v, outputs[sample]);
                sample += 1;
            }
            let image = &mut images[range.clone()];
            *length = row::length(&self.blocks[block..block + k * k], &v[range], image);
            block += k * k;
        }
        let mut g = v.clone();
        for (i, length) in lengths.iter().enumerate() {
            let range = self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize;
            g[range].iter_mut().for_each(|g| *g /= length);
        }
        let [low, high] = self.ends(&g);
        let kaporin = 2.0 * lengths.iter().map(|length| length.ln()).sum::<f64>();
        let loss = Loss {
            condition: (high.value / low.value).ln() - self.plain.condition,
            kaporin: kaporin - self.plain.kaporin,
        };
        let Some((mu, weight, gradient)) = gradient else { return loss };
        let price = self.price(mu);
        let (mut before, mut w) = (vec![0.0; n], vec![0.0; n]);
        let mut h = vec![0.0; g.len()];
        for (pair, sign) in [(&high, 2.0), (&low, -2.0)] {
            self.image(&g, &pair.vector, &mut before, &mut w);
            for (i, u) in pair.vector.iter().enumerate() {
                let factor = sign * u / pair.value;
                for k in self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize {
                    h[k] += factor * w[self.cols[k] as usize];
                }
            }
        }
        let mut sample = 0;
        for (i, length) in lengths.iter().enumerate() {
            let range = self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize;
            row::backward(
                *length,
                &v[range.clone()],
                &images[range.clone()],
                &mut h[range.clone()],
            );
            for k in range.start..range.end - 1 {
                let by_entry = h[k] + 2.0 * price * images[k] / (length * length);
                let by_output =
                    by_entry * row::corrected_derivative(self.ratios[k], outputs[sample]);
                outputs[sample] = weight * T::rounded(by_output);
                sample += 1;
            }
        }
        net.backward(parameters, &self.inputs, count, activations, outputs, gradient);
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsai::train::network;
    use precondor_neural::net::Activation;
    use precondor_sdk::core::comm::Comm;
    use precondor_sdk::core::host::Alone;
    use precondor_sdk::core::problem::Problem;
    use precondor_sdk::serde_json::json;

    fn samples(power: u32) -> Vec<Sample<f64>> {
        let kinds = [
            json!({"kind": "diffusion", "nodes": 6, "coefficient": "white", "anisotropy": 0.3}),
            json!({"kind": "diffusion", "nodes": 5, "mesh": "delaunay"}),
            json!({"kind": "cube", "nodes": 3, "deviation": 1.0}),
        ];
        let make = |(k, kind)| {
            let (system, _) = Problem::from_json(kind).unwrap().generate(Comm::solo()).unwrap();
            Sample::new(&Alone, system.a(), power, Random::new(3, k as u64)).unwrap()
        };
        let mut samples: Vec<Sample<f64>> = kinds.iter().enumerate().map(make).collect();
        let (mean, inverse_deviation) = Moments::of(samples.iter()).scales();
        samples.iter_mut().for_each(|s| s.scale(&mean, &inverse_deviation));
        samples
    }

    #[test]
    fn gradient_agrees_with_differences() {
        for power in [1, 2] {
            let net = network(&[5, 5], Activation::Relu);
            let mut random = Random::new(9, 0);
            let mut parameters: Vec<f64> = net.start(&mut random, 1.0);
            let mut scratch = Scratch::new(&net);
            for (s, sample) in samples(power).iter().enumerate() {
                let mut gradient = vec![0.0; net.len()];
                let into = Some((0.3, 1.0, gradient.as_mut_slice()));
                let loss = sample.evaluate(&net, &parameters, &mut scratch, into);
                // FSAI has the least K.
                assert!(loss.condition.is_finite() && loss.kaporin > 0.0, "{loss:?}");
                for k in (0..net.len()).step_by(5) {
                    let (at, step) = (parameters[k], 1e-5);
                    let mut value = |x: f64| {
                        parameters[k] = x;
                        let loss = sample.evaluate(&net, &parameters, &mut scratch, None);
                        loss.value(sample.price(0.3))
                    };
                    let difference = (value(at + step) - value(at - step)) / (2.0 * step);
                    parameters[k] = at;
                    let error = (difference - gradient[k]).abs();
                    assert!(
                        error < 2e-4 * (0.1 + gradient[k].abs()),
                        "{s} {k}: {difference} {}",
                        gradient[k]
                    );
                }
                assert!(gradient.iter().filter(|g| **g != 0.0).count() > net.len() / 2);
            }
        }
    }

    #[test]
    fn a_network_that_gives_zero_changes_nothing() {
        let net = network(&[4], Activation::Relu);
        for sample in samples(1) {
            let loss = sample.evaluate(&net, &vec![0.0; net.len()], &mut Scratch::new(&net), None);
            assert!(loss.condition.abs() < 1e-9 && loss.kaporin.abs() < 1e-11, "{loss:?}");
        }
    }

    #[test]
    fn features_are_scaled_to_mean_zero_and_deviation_one() {
        let samples = samples(1);
        let (mean, inverse_deviation) = Moments::of(samples.iter()).scales();
        // Those that vary at all; the far tails were cut off.
        let varied = inverse_deviation.iter().filter(|d| **d < 2.0).count();
        assert!(varied > 15, "{inverse_deviation:?}");
        assert!(mean.iter().all(|m| m.abs() < 0.05), "{mean:?}");
    }
}
