//! Optimisers over the parameter vector of a [`Net`](crate::net::Net), and the schedule of their rate.
//!
//! - **Adam**: D. Kingma, J. Ba, *Adam: a method for stochastic optimization*, ICLR 2015.
//! - **Muon**: `W ← W − rate · √max(1, rows/columns) · U`, where `U` is nearly the orthogonal factor of
//!   the momentum, by five Newton–Schulz steps with the odd polynomial `3.4445 x − 4.7750 x³ + 2.0315 x⁵`;
//!   Nesterov momentum 0.95. K. Jordan et al., *Muon: an optimizer for hidden layers in neural networks*
//!   (2024).

use crate::net::{Operand, Role, Tensor, multiply};
use crate::number::Number;

/// Adam on some entries of the parameter vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam<T> {
    decay: [f64; 2],
    steps: u64,
    mean: Vec<T>,
    square: Vec<T>,
}

impl<T: Number> Adam<T> {
    /// For a vector of `len` entries with the given decay rates of mean and square.
    pub fn new(len: usize, decay: [f64; 2]) -> Self {
        Adam { decay, steps: 0, mean: vec![T::zero(); len], square: vec![T::zero(); len] }
    }

    /// The state as numbers: steps taken, running means, running squares.
    pub fn state(&self) -> (u64, &[T], &[T]) {
        (self.steps, &self.mean, &self.square)
    }

    /// The decay rates of mean and square.
    pub fn decay(&self) -> [f64; 2] {
        self.decay
    }

    /// With a state given by [`state`](Self::state).
    pub fn restored(decay: [f64; 2], steps: u64, mean: Vec<T>, square: Vec<T>) -> Self {
        Adam { decay, steps, mean, square }
    }

    /// Starts a step; then [`update`](Self::update) each range once.
    pub fn begin(&mut self) {
        self.steps += 1;
    }

    /// Moves the entries of one range against their gradient.
    pub fn update(
        &mut self,
        range: std::ops::Range<usize>,
        rate: f64,
        gradient: &[T],
        parameters: &mut [T],
    ) {
        let [first, second] = self.decay;
        let steps = self.steps.min(i32::MAX as u64) as i32;
        let rate = T::rounded(rate / (1.0 - first.powi(steps)));
        let unbias = T::rounded(1.0 / (1.0 - second.powi(steps)));
        let (first, second, tiny) = (T::rounded(first), T::rounded(second), T::rounded(1e-8));
        let moments = self.mean[range.clone()].iter_mut().zip(&mut self.square[range.clone()]);
        let entries = parameters[range.clone()].iter_mut().zip(&gradient[range]);
        for ((p, &g), (mean, square)) in entries.zip(moments) {
            *mean = first * *mean + (T::one() - first) * g;
            *square = second * *square + (T::one() - second) * g * g;
            *p = *p - rate * *mean / ((*square * unbias).sqrt() + tiny);
        }
    }
}

/// Muon on the weight matrices of the parameter vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Muon<T> {
    momentum: Vec<T>,
}

/// Decay of Muon's momentum.
const MOMENTUM: f64 = 0.95;

impl<T: Number> Muon<T> {
    /// For a parameter vector of `len` entries.
    pub fn new(len: usize) -> Self {
        Muon { momentum: vec![T::zero(); len] }
    }

    /// The momentum, with the layout of the parameter vector.
    pub fn state(&self) -> &[T] {
        &self.momentum
    }

    /// Takes up a state given by [`state`](Self::state).
    pub fn restore(&mut self, momentum: Vec<T>) {
        self.momentum = momentum;
    }

    /// Moves one weight matrix.
    pub fn update(&mut self, tensor: &Tensor, rate: f64, gradient: &[T], parameters: &mut [T]) {
        let decay = T::rounded(MOMENTUM);
        let momentum = &mut self.momentum[tensor.range()];
        let gradient = &gradient[tensor.range()];
        let mut direction = Vec::with_capacity(gradient.len());
        for (m, &g) in momentum.iter_mut().zip(gradient) {
            *m = decay * *m + g;
            direction.push(g + decay * *m);
        }
        orthogonalise(&mut direction, tensor.rows, tensor.columns);
        let tall = (tensor.rows as f64 / tensor.columns as f64).max(1.0).sqrt();
        let rate = T::rounded(rate * tall);
        for (p, &d) in parameters[tensor.range()].iter_mut().zip(&direction) {
            *p = *p - rate * d;
        }
    }
}

/// Pulls the singular values of `x` (`rows × columns`) to the neighbourhood of 1.
fn orthogonalise<T: Number>(x: &mut [T], rows: usize, columns: usize) {
    let scale = T::one() / (norm(x) + T::rounded(1e-7));
    for value in x.iter_mut() {
        *value = *value * scale;
    }
    let [a, b, c] = [3.4445, -4.7750, 2.0315].map(T::rounded);
    let short = rows.min(columns);
    let mut gram = vec![T::zero(); short * short];
    let mut poly = gram.clone();
    let mut old = x.to_vec();
    for _ in 0..5 {
        old.copy_from_slice(x);
        let view = Operand::new(&old, rows, columns);
        let (left, right) =
            if rows <= columns { (view, view.transposed()) } else { (view.transposed(), view) };
        multiply(T::one(), left, right, T::zero(), &mut gram);
        poly.copy_from_slice(&gram);
        let square = Operand::new(&gram, short, short);
        multiply(c, square, square, b, &mut poly);
        let poly = Operand::new(&poly, short, short);
        let (left, right) = if rows <= columns { (poly, view) } else { (view, poly) };
        multiply(T::one(), left, right, a, x);
    }
}

fn norm<T: Number>(x: &[T]) -> T {
    x.iter().fold(T::zero(), |sum, &v| sum + v * v).sqrt()
}

/// Scales `gradient` down to norm `limit` if it is longer; returns its norm before.
pub fn clip<T: Number>(gradient: &mut [T], limit: f64) -> T {
    let size = norm(gradient);
    let factor = T::rounded(limit) / (size + T::rounded(1e-6));
    if factor < T::one() {
        for g in gradient {
            *g = *g * factor;
        }
    }
    size
}

/// How the learning rates change over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Half a wave of the cosine, down to zero.
    Cosine,
    /// Linear warm-up, constant, then linear to zero.
    Ramps {
        /// Steps of the warm-up.
        warm_up: u64,
        /// Fraction of the run after which the rates start to fall.
        flat: f64,
    },
}

impl Schedule {
    /// The factor of the rates at `step` of `steps`, counted from 0.
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        let done = step as f64 / steps.max(1) as f64;
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps.max(1) as f64).cos())
            }
            Schedule::Ramps { warm_up, flat } => {
                let rise = ((step + 1) as f64 / warm_up.max(1) as f64).min(1.0);
                let fall = if done < flat { 1.0 } else { (1.0 - done) / (1.0 - flat) };
                rise * fall.max(0.0)
            }
        }
    }
}

/// What moves the parameters of a network: Adam, or Muon on the layers' weights and Adam on biases and skip.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimiser<T> {
    adam: Adam<T>,
    adam_rate: f64,
    muon: Option<(Muon<T>, f64)>,
}

impl<T: Number> Optimiser<T> {
    /// Adam alone, for a parameter vector of `len` entries, with the given decay rates of mean and square.
    pub fn adam_alone(len: usize, decay: [f64; 2], rate: f64) -> Self {
        Optimiser { adam: Adam::new(len, decay), adam_rate: rate, muon: None }
    }

    /// The same with Muon on the layers' weights.
    #[must_use]
    pub fn with_muon(self, rate: f64) -> Self {
        let muon = Muon::new(self.adam.mean.len());
        Optimiser { muon: Some((muon, rate)), ..self }
    }

    /// The rate of the layers' weights.
    pub fn rate(&self) -> f64 {
        self.muon.as_ref().map_or(self.adam_rate, |(_, rate)| *rate)
    }

    /// Adam, with its state.
    pub fn adam(&self) -> &Adam<T> {
        &self.adam
    }

    /// Muon's momentum, where Muon takes part.
    pub fn momentum(&self) -> Option<&[T]> {
        self.muon.as_ref().map(|(muon, _)| muon.state())
    }

    /// Takes up the states of an earlier step.
    pub fn restore(&mut self, adam: Adam<T>, momentum: Option<Vec<T>>) {
        self.adam = adam;
        if let (Some((muon, _)), Some(momentum)) = (&mut self.muon, momentum) {
            muon.restore(momentum);
        }
    }

    /// Moves all parameters against their gradient, at the rates times `factor`.
    pub fn step(&mut self, tensors: &[Tensor], factor: f64, gradient: &[T], parameters: &mut [T]) {
        self.adam.begin();
        for tensor in tensors {
            match (&mut self.muon, tensor.role) {
                (Some((muon, rate)), Role::Weight) => {
                    muon.update(tensor, *rate * factor, gradient, parameters);
                }
                _ => {
                    let rate = self.adam_rate * factor;
                    self.adam.update(tensor.range(), rate, gradient, parameters);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Net;
    use crate::random::Random;

    #[test]
    fn first_adam_step_is_the_rate_against_the_sign() {
        let mut adam = Adam::<f64>::new(3, [0.9, 0.99]);
        let mut parameters = [1.0, 1.0, 1.0];
        adam.begin();
        adam.update(0..3, 0.1, &[5.0, -1e-3, 0.0], &mut parameters);
        for (p, expected) in parameters.iter().zip([0.9, 1.1, 1.0]) {
            assert!((p - expected).abs() < 1e-5, "{p}");
        }
    }

    #[test]
    fn second_adam_step_is_the_published_recursion() {
        let mut adam = Adam::<f64>::new(1, [0.9, 0.99]);
        let mut parameters = [0.0];
        for g in [1.0, 3.0] {
            adam.begin();
            adam.update(0..1, 0.1, &[g], &mut parameters);
        }
        let mean = (0.9 * 0.1 + 0.1 * 3.0) / (1.0 - 0.81);
        let square = (0.99 * 0.01 + 0.01 * 9.0) / (1.0 - 0.9801);
        assert!((parameters[0] + 0.1 + 0.1 * mean / f64::sqrt(square)).abs() < 1e-7);
    }

    #[test]
    fn orthogonalised_matrices_have_singular_values_near_one() {
        for (rows, columns) in [(4, 9), (9, 4), (6, 6)] {
            let mut random = Random::new(5, 0);
            let mut x: Vec<f64> = (0..rows * columns).map(|_| random.unit() - 0.5).collect();
            orthogonalise(&mut x, rows, columns);
            // Singular values in [0.3, 1.3] bound the mean square of the entries.
            let mean = norm(&x).powi(2) / rows.min(columns) as f64;
            assert!(mean > 0.3 && mean < 1.7, "{rows} by {columns}: {mean}");
        }
    }

    #[test]
    fn clipping_keeps_the_direction() {
        let mut gradient = [3.0f64, 4.0];
        assert_eq!(clip(&mut gradient, 1.0), 5.0);
        assert!(
            (norm(&gradient) - 1.0).abs() < 1e-6
                && (gradient[1] / gradient[0] - 4.0 / 3.0).abs() < 1e-12
        );
        let mut short = [0.3, 0.4];
        clip(&mut short, 1.0);
        assert_eq!(short, [0.3, 0.4]);
    }

    #[test]
    fn schedule_rises_stays_and_falls_to_zero() {
        let ramps = |step| Schedule::Ramps { warm_up: 100, flat: 0.4 }.factor(step, 1000);
        assert_eq!(ramps(0), 0.01);
        assert_eq!(ramps(200), 1.0);
        assert!((ramps(700) - 0.5).abs() < 1e-12);
        assert!(ramps(999) < 0.002);
        let cosine = |step| Schedule::Cosine.factor(step, 1000);
        assert!(cosine(0) == 1.0 && (cosine(500) - 0.5).abs() < 1e-12 && cosine(999) < 1e-5);
        assert_eq!(Schedule::Constant.factor(999, 1000), 1.0);
    }

    #[test]
    fn both_optimisers_together_fit_a_linear_map() {
        let net = Net::new(3, &[8], 2, true);
        let mut random = Random::new(4, 0);
        let mut parameters: Vec<f64> = net.start(&mut random, 0.1);
        let adam = Optimiser::adam_alone(net.len(), [0.9, 0.99], 0.02);
        let mut optimiser = adam.with_muon(0.02);
        let (n, steps) = (32, 400);
        let schedule = Schedule::Ramps { warm_up: 10, flat: 0.4 };
        let mut loss = f64::INFINITY;
        for k in 0..steps {
            let x: Vec<f64> = (0..3 * n).map(|_| random.unit() - 0.5).collect();
            let mut y = vec![0.0; 2 * n];
            let mut activations = net.activations(n);
            net.forward(&parameters, &x, n, &mut activations, &mut y);
            for s in 0..n {
                y[s] -= x[s] + 2.0 * x[n + s];
                y[n + s] -= 3.0 * x[2 * n + s] - 1.0;
            }
            loss = y.iter().map(|e| e * e).sum::<f64>() / n as f64;
            let dy: Vec<f64> = y.iter().map(|e| 2.0 * e / n as f64).collect();
            let mut gradient = vec![0.0; net.len()];
            net.backward(&parameters, &x, n, &mut activations, &dy, &mut gradient);
            let factor = schedule.factor(k, steps);
            optimiser.step(net.tensors(), factor, &gradient, &mut parameters);
        }
        assert!(loss < 1e-4, "{loss}");
    }
}
