//! A multilayer perceptron with its derivative: `y = W_k σ(… σ(W_1 x + b_1) …) + b_k (+ L x)`.
//!
//! - Samples are columns: `x` is stored feature after feature, each with one number a sample, so that
//!   every product is one matrix multiplication and an output is a contiguous field over all samples.
//! - All parameters stand in one vector; [`Tensor`] says which part is what. Gradients, optimiser states
//!   and checkpoints are vectors of the same layout.
//! - Cost: `2 · (number of weights)` flops a sample forward, about twice that backward.
//! - Reference: D. Rumelhart, G. Hinton, R. Williams, *Learning representations by back-propagating
//!   errors*, Nature 323 (1986).

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::number::Number;
use crate::random::Random;

/// One named part of the parameter vector, a matrix stored row after row (a bias is a single column).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in model files.
    pub name: String,
    /// Rows: outputs of the layer.
    pub rows: usize,
    /// Columns: inputs of the layer, or 1 for a bias.
    pub columns: usize,
    /// Where it starts in the parameter vector.
    pub start: usize,
    /// What it is for.
    pub role: Role,
}

/// What a tensor is for; the optimiser treats them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weights of a layer.
    Weight,
    /// Bias of a layer.
    Bias,
    /// Weights of the linear skip from the inputs to the outputs.
    Skip,
}

impl Tensor {
    /// Its part of the parameter vector.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.rows * self.columns
    }
}

/// σ, what a hidden layer does to each of its sums. Those whose derivative follows from their value: nothing more is kept
/// for the way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(0, s).
    #[default]
    Relu,
    /// s where that is positive, else s/100: no unit is ever dead.
    LeakyRelu,
    /// s where that is positive, else eˢ − 1: smooth, but for its second derivative.
    Elu,
    /// tanh s: smooth and bounded.
    Tanh,
}

/// The slope of [`Activation::LeakyRelu`] below zero.
const LEAK: f32 = 0.01;

impl Activation {
    /// Whether it is the one that is meant where nothing is said; model files do not name it.
    pub fn is_default(&self) -> bool {
        *self == Activation::default()
    }

    /// σ of every number.
    fn apply<T: Number>(self, values: &mut [T]) {
        let leak: T = LEAK.into();
        match self {
            Activation::Relu => values.iter_mut().for_each(|s| *s = s.max(T::zero())),
            Activation::LeakyRelu => values.iter_mut().for_each(|s| *s = s.max(leak * *s)),
            Activation::Elu => values.iter_mut().for_each(|s| {
                if *s < T::zero() {
                    *s = s.exp_m1();
                }
            }),
            Activation::Tanh => values.iter_mut().for_each(|s| *s = s.tanh()),
        }
    }

    /// Multiplies `derivative` by that of σ, whose values are `values`.
    fn differentiate<T: Number>(self, values: &[T], derivative: &mut [T]) {
        let all = derivative.iter_mut().zip(values);
        let leak: T = LEAK.into();
        match self {
            Activation::Relu => {
                all.for_each(|(d, &h)| *d = if h > T::zero() { *d } else { T::zero() })
            }
            Activation::LeakyRelu => {
                all.for_each(|(d, &h)| *d = if h > T::zero() { *d } else { leak * *d })
            }
            Activation::Elu => {
                all.for_each(|(d, &h)| *d = if h > T::zero() { *d } else { *d * (T::one() + h) })
            }
            Activation::Tanh => all.for_each(|(d, &h)| *d = *d * (T::one() - h * h)),
        }
    }
}

/// A matrix operand: values, and whether it is read transposed.
#[derive(Clone, Copy)]
pub struct Operand<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a, T: Number> Operand<'a, T> {
    /// A matrix stored row after row.
    pub fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Operand { values, rows, columns, transposed: false }
    }

    /// The same read transposed.
    pub fn transposed(self) -> Self {
        Operand { transposed: !self.transposed, ..self }
    }

    fn view(self) -> ArrayView2<'a, T> {
        let view = ArrayView2::from_shape((self.rows, self.columns), self.values)
            .expect("an operand has one value an entry");
        if self.transposed { view.reversed_axes() } else { view }
    }
}

/// `c = alpha a b + beta c`, with `c` stored row after row.
pub fn multiply<T: Number>(alpha: T, a: Operand<'_, T>, b: Operand<'_, T>, beta: T, c: &mut [T]) {
    let (a, b) = (a.view(), b.view());
    let shape = (a.nrows(), b.ncols()).into_shape_with_order();
    let mut c = ArrayViewMut2::from_shape(shape, c).expect("the result has one value an entry");
    general_mat_mul(alpha, &a, &b, beta, &mut c);
}

/// A dense layer `y = W x + b`; where its numbers stand in the parameter vector.
#[derive(Clone, Debug)]
struct Dense {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Dense {
    /// `y = keep·y + W x + b` for `n` samples.
    fn forward<T: Number>(&self, parameters: &[T], x: &[T], n: usize, keep: T, y: &mut [T]) {
        let (out, inputs) = (self.weight.rows, self.weight.columns);
        let mut beta = keep;
        if let Some(bias) = &self.bias {
            for (row, &b) in y.chunks_exact_mut(n).zip(&parameters[bias.range()]) {
                for value in row {
                    *value = keep * *value + b;
                }
            }
            beta = T::one();
        }
        let w = Operand::new(&parameters[self.weight.range()], out, inputs);
        multiply(T::one(), w, Operand::new(x, inputs, n), beta, y);
    }

    /// Adds the derivative with respect to the parameters to `gradient`; `dy` is that of the output.
    fn gradient<T: Number>(&self, x: &[T], dy: &[T], n: usize, gradient: &mut [T]) {
        let (out, inputs) = (self.weight.rows, self.weight.columns);
        if let Some(bias) = &self.bias {
            for (g, row) in gradient[bias.range()].iter_mut().zip(dy.chunks_exact(n)) {
                *g = *g + row.iter().fold(T::zero(), |sum, &d| sum + d);
            }
        }
        let (dy, x) = (Operand::new(dy, out, n), Operand::new(x, inputs, n).transposed());
        multiply(T::one(), dy, x, T::one(), &mut gradient[self.weight.range()]);
    }

    /// Writes the derivative with respect to the input to `dx`.
    fn input_gradient<T: Number>(&self, parameters: &[T], dy: &[T], n: usize, dx: &mut [T]) {
        let (out, inputs) = (self.weight.rows, self.weight.columns);
        let w = Operand::new(&parameters[self.weight.range()], out, inputs).transposed();
        multiply(T::one(), w, Operand::new(dy, out, n), T::zero(), dx);
    }
}

/// The shape of a network; its parameters are a separate vector.
#[derive(Clone, Debug)]
pub struct Net {
    layers: Vec<Dense>,
    skip: Option<Dense>,
    tensors: Vec<Tensor>,
    activation: Activation,
}

/// The numbers of one layer, for an evaluation of one's own.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a, T> {
    /// Weights, one row an output.
    pub weight: &'a [T],
    /// Bias, one number an output.
    pub bias: Option<&'a [T]>,
    outputs: usize,
}

impl<T> Layer<'_, T> {
    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.weight.len() / self.outputs
    }
}

/// What [`Net::forward`] leaves for [`Net::backward`]: the output of every hidden layer.
#[derive(Clone, Debug)]
pub struct Activations<T> {
    hidden: Vec<Vec<T>>,
    derivative: [Vec<T>; 2],
}

impl Net {
    /// A network with hidden layers of the given widths; `skip` adds the linear map without bias.
    pub fn new(inputs: usize, hidden: &[usize], outputs: usize, skip: bool) -> Self {
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut part = |name: String, rows: usize, columns: usize, role: Role| {
            let start = tensors.last().map_or(0, |t| t.range().end);
            let tensor = Tensor { name, rows, columns, start, role };
            tensors.push(tensor.clone());
            tensor
        };
        let mut layers = Vec::new();
        let mut width = inputs;
        for (k, &next) in hidden.iter().chain([&outputs]).enumerate() {
            let weight = part(format!("layer{}.weight", k + 1), next, width, Role::Weight);
            let bias = Some(part(format!("layer{}.bias", k + 1), next, 1, Role::Bias));
            layers.push(Dense { weight, bias });
            width = next;
        }
        let skip = skip.then(|| Dense {
            weight: part("skip.weight".into(), outputs, inputs, Role::Skip),
            bias: None,
        });
        Net { layers, skip, tensors, activation: Activation::default() }
    }

    /// The same with another σ.
    #[must_use]
    pub fn with_activation(self, activation: Activation) -> Self {
        Net { activation, ..self }
    }

    /// σ.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// The parts of the parameter vector, in order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |t| t.range().end)
    }

    /// Whether there are no parameters at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Neurons of each hidden layer.
    pub fn hidden(&self) -> Vec<usize> {
        self.layers[..self.layers.len() - 1].iter().map(|layer| layer.weight.rows).collect()
    }

    /// Number of inputs of a sample.
    pub fn inputs(&self) -> usize {
        self.layers[0].weight.columns
    }

    /// Number of outputs of a sample.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].weight.rows
    }

    /// The layers and the skip with their numbers.
    pub fn layers<'a, T>(&self, parameters: &'a [T]) -> (Vec<Layer<'a, T>>, Option<Layer<'a, T>>) {
        let layer = |dense: &Dense| Layer {
            weight: &parameters[dense.weight.range()],
            bias: dense.bias.as_ref().map(|bias| &parameters[bias.range()]),
            outputs: dense.weight.rows,
        };
        (self.layers.iter().map(layer).collect(), self.skip.as_ref().map(layer))
    }

    /// Floating-point operations for one sample.
    pub fn flops(&self) -> usize {
        let weights = self.tensors.iter().filter(|t| t.role != Role::Bias);
        2 * weights.map(|t| t.rows * t.columns).sum::<usize>()
    }

    /// Random starting parameters: uniform in `±1/√inputs` a layer, weights of the last layer times
    /// `last`, skip zero.
    pub fn start<T: Number>(&self, random: &mut Random, last: f64) -> Vec<T> {
        let mut parameters = vec![T::zero(); self.len()];
        for (k, layer) in self.layers.iter().enumerate() {
            let bound = 1.0 / (layer.weight.columns as f64).sqrt();
            let shrink = if k + 1 == self.layers.len() { last } else { 1.0 };
            for (tensor, shrink) in [(Some(&layer.weight), shrink), (layer.bias.as_ref(), 1.0)] {
                for p in &mut parameters[tensor.map_or(0..0, Tensor::range)] {
                    *p = T::rounded(shrink * bound * (2.0 * random.unit() - 1.0));
                }
            }
        }
        parameters
    }

    /// Memory for up to `n` samples.
    pub fn activations<T: Number>(&self, n: usize) -> Activations<T> {
        let hidden = &self.layers[..self.layers.len() - 1];
        let widest = hidden.iter().map(|l| l.weight.rows).max().unwrap_or(0);
        Activations {
            hidden: hidden.iter().map(|l| vec![T::zero(); l.weight.rows * n]).collect(),
            derivative: [vec![T::zero(); widest * n], vec![T::zero(); widest * n]],
        }
    }

    /// Writes the outputs for `n` samples to `y`.
    pub fn forward<T: Number>(
        &self,
        parameters: &[T],
        x: &[T],
        n: usize,
        activations: &mut Activations<T>,
        y: &mut [T],
    ) {
        let (last, hidden) = (self.layers.len() - 1, &mut activations.hidden);
        for (k, layer) in self.layers.iter().enumerate() {
            let (done, rest) = hidden.split_at_mut(k);
            let input = if k == 0 { x } else { &done[k - 1][..layer.weight.columns * n] };
            if k == last {
                layer.forward(parameters, input, n, T::zero(), y);
            } else {
                let out = &mut rest[0][..layer.weight.rows * n];
                layer.forward(parameters, input, n, T::zero(), out);
                self.activation.apply(out);
            }
        }
        if let Some(skip) = &self.skip {
            skip.forward(parameters, x, n, T::one(), y);
        }
    }

    /// Adds to `gradient` the derivative whose derivative by the outputs is `dy`, after a
    /// [`forward`](Self::forward) with the same `parameters`, `x` and `n`.
    pub fn backward<T: Number>(
        &self,
        parameters: &[T],
        x: &[T],
        n: usize,
        activations: &mut Activations<T>,
        dy: &[T],
        gradient: &mut [T],
    ) {
        let Activations { hidden, derivative: [current, next] } = activations;
        for (k, layer) in self.layers.iter().enumerate().rev() {
            let last = k + 1 == self.layers.len();
            let output = if last { dy } else { &current[..layer.weight.rows * n] };
            if k == 0 {
                layer.gradient(x, output, n, gradient);
                break;
            }
            let input = &hidden[k - 1][..layer.weight.columns * n];
            layer.gradient(input, output, n, gradient);
            let before = &mut next[..layer.weight.columns * n];
            layer.input_gradient(parameters, output, n, before);
            self.activation.differentiate(input, before);
            std::mem::swap(current, next);
        }
        if let Some(skip) = &self.skip {
            skip.gradient(x, dy, n, gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(random: &mut Random, n: usize) -> Vec<f64> {
        (0..n).map(|_| 2.0 * random.unit() - 1.0).collect()
    }

    /// `Σ weight·output` for given parameters.
    fn value(net: &Net, parameters: &[f64], x: &[f64], n: usize, weight: &[f64]) -> f64 {
        let mut y = vec![0.0; net.outputs() * n];
        net.forward(parameters, x, n, &mut net.activations(n), &mut y);
        y.iter().zip(weight).map(|(y, w)| y * w).sum()
    }

    #[test]
    fn gradient_agrees_with_central_differences() {
        let all = [Activation::Relu, Activation::LeakyRelu, Activation::Elu, Activation::Tanh];
        let shapes = [(vec![], false), (vec![5], true), (vec![6, 4, 7], true)];
        for ((hidden, skip), activation) in
            shapes.iter().flat_map(|shape| all.map(|activation| (shape.clone(), activation)))
        {
            let net = Net::new(3, &hidden, 2, skip).with_activation(activation);
            let n = 11;
            let mut random = Random::new(8, 0);
            let mut parameters = noise(&mut random, net.len());
            let (x, weight) = (noise(&mut random, 3 * n), noise(&mut random, 2 * n));
            let mut activations = net.activations(n);
            let mut y = vec![0.0; 2 * n];
            net.forward(&parameters, &x, n, &mut activations, &mut y);
            let mut gradient = vec![0.0; net.len()];
            net.backward(&parameters, &x, n, &mut activations, &weight, &mut gradient);
            for k in 0..net.len() {
                let (at, step) = (parameters[k], 1e-6);
                parameters[k] = at + step;
                let up = value(&net, &parameters, &x, n, &weight);
                parameters[k] = at - step;
                let down = value(&net, &parameters, &x, n, &weight);
                parameters[k] = at;
                let difference = (up - down) / (2.0 * step);
                assert!((difference - gradient[k]).abs() < 1e-7, "{k}: {difference}");
            }
        }
    }

    #[test]
    fn activations_are_what_they_are_called() {
        for (activation, expected) in [
            (Activation::Relu, [0.0, 0.0, 1.5]),
            (Activation::LeakyRelu, [-0.02, 0.0, 1.5]),
            (Activation::Elu, [(-2.0f64).exp() - 1.0, 0.0, 1.5]),
            (Activation::Tanh, [(-2.0f64).tanh(), 0.0, 1.5f64.tanh()]),
        ] {
            let mut values = [-2.0, 0.0, 1.5];
            activation.apply(&mut values);
            let off = values.iter().zip(expected).map(|(a, b): (&f64, f64)| (a - b).abs());
            assert!(off.fold(0.0, f64::max) < 1e-9, "{activation:?}: {values:?}");
        }
    }

    #[test]
    fn output_is_the_formula() {
        let net = Net::new(2, &[2], 1, true);
        // W1 = [1 2; 3 4], b1 = [0, -10], W2 = [5 6], b2 = 7, L = [8 9]
        let parameters = [1.0, 2.0, 3.0, 4.0, 0.0, -10.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let mut y = [0.0];
        net.forward(&parameters, &[1.0, 1.0], 1, &mut net.activations(1), &mut y);
        assert_eq!(y[0], 5.0 * 3.0 + 6.0 * 0.0 + 7.0 + 17.0);
    }

    #[test]
    fn fewer_samples_than_the_memory_holds_are_fine() {
        let net = Net::new(3, &[4, 4], 2, true);
        let parameters: Vec<f64> = net.start(&mut Random::new(1, 0), 1.0);
        let x = noise(&mut Random::new(2, 0), 15);
        let mut all = net.activations(64);
        let (mut y, mut z) = (vec![0.0; 10], vec![0.0; 10]);
        net.forward(&parameters, &x, 5, &mut all, &mut y);
        net.forward(&parameters, &x, 5, &mut net.activations(5), &mut z);
        assert_eq!(y, z);
    }

    #[test]
    fn flops_count_every_weight_twice() {
        assert_eq!(
            Net::new(45, &[32, 32], 14, true).flops(),
            2 * (45 * 32 + 32 * 32 + 32 * 14 + 45 * 14)
        );
    }
}
