//! The network at every node of a grid, fast: all layers for a few nodes at a time, so that only
//! features are read and only outputs written.
//!
//! A layer's inputs for consecutive nodes are rows of numbers in one buffer: for the first layer (and
//! the skip) the feature planes themselves, each of the nine neighbours at its own offset, so that no
//! patch is ever copied; for the others the previous layer's outputs, in the first-level cache. One
//! kernel does both: `ROWS` outputs for `LANES` nodes are accumulated in registers. It is the network of
//! [`net`](precondor_neural::net), which is trained; a test holds every output of both together.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use precondor_neural::net::{Layer, Net};

/// Nodes handled at a time.
pub const LANES: usize = 64;
/// Outputs accumulated at a time.
const ROWS: usize = 4;

/// What a layer does with the sums it has formed.
#[derive(Clone, Copy, PartialEq)]
enum Finish {
    /// `y = max(0, sum)`.
    Relu,
    /// `y = sum`.
    Store,
    /// `y += sum`.
    Add,
}

/// The outputs of [`ROWS`] neurons at [`LANES`] nodes.
type Block = [[f32; LANES]; ROWS];

/// A layer with its numbers in the order of use, neurons filled up with zeros to whole blocks.
struct Packed {
    inputs: usize,
    /// For each block of neurons, for each input, one weight a neuron.
    weights: Vec<[f32; ROWS]>,
    bias: Vec<[f32; ROWS]>,
}

impl Packed {
    fn new(layer: Layer<'_, f32>) -> Self {
        let (outputs, inputs) = (layer.outputs(), layer.inputs());
        let blocks = outputs.div_ceil(ROWS);
        let mut weights = vec![[0.0; ROWS]; blocks * inputs];
        let mut bias = vec![[0.0; ROWS]; blocks];
        for o in 0..outputs {
            for (k, &w) in layer.weight[o * inputs..(o + 1) * inputs].iter().enumerate() {
                weights[o / ROWS * inputs + k][o % ROWS] = w;
            }
            bias[o / ROWS][o % ROWS] = layer.bias.map_or(0.0, |b| b[o]);
        }
        Packed { inputs, weights, bias }
    }
}

/// `y = W x + b` for [`LANES`] nodes; input `k` of the first node stands at `from[starts[k]]`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn layer(packed: &Packed, from: &[f32], starts: &[usize], finish: Finish, y: &mut [Block]) {
    let blocks = packed.weights.chunks_exact(packed.inputs).zip(&packed.bias);
    for ((weights, bias), y) in blocks.zip(y) {
        let mut sum: Block = [[0.0; LANES]; ROWS];
        for r in 0..ROWS {
            sum[r] = [bias[r]; LANES];
        }
        for (w, &start) in weights.iter().zip(starts) {
            let x: &[f32; LANES] = from[start..][..LANES].try_into().expect("LANES numbers");
            for r in 0..ROWS {
                for v in 0..LANES {
                    sum[r][v] = if target_cfg_f!(target_feature = "fma") {
                        w[r].mul_add(x[v], sum[r][v])
                    } else {
                        sum[r][v] + w[r] * x[v]
                    };
                }
            }
        }
        for r in 0..ROWS {
            for v in 0..LANES {
                y[r][v] = match finish {
                    Finish::Relu => sum[r][v].max(0.0),
                    Finish::Store => sum[r][v],
                    Finish::Add => y[r][v] + sum[r][v],
                };
            }
        }
    }
}

/// A network ready for evaluation, with the memory for it.
pub struct Evaluator {
    layers: Vec<Packed>,
    skip: Option<Packed>,
    outputs: usize,
    starts: Vec<usize>,
    inner: Vec<usize>,
    hidden: [Vec<Block>; 2],
    result: Vec<Block>,
}

impl Evaluator {
    /// For a network whose input `k` at a node stands `offsets[k]` after the node's place in the
    /// buffer given to [`at`](Self::at).
    ///
    /// # Panics
    /// Where there is not one offset for each input.
    pub fn new(net: &Net, parameters: &[f32], offsets: Vec<usize>) -> Self {
        assert_eq!(net.inputs(), offsets.len(), "one offset for each input");
        let (layers, skip) = net.layers(parameters);
        let layers: Vec<Packed> = layers.into_iter().map(Packed::new).collect();
        let widest = layers.iter().map(|l| l.bias.len()).max().unwrap_or(0);
        let memory = || vec![[[0.0; LANES]; ROWS]; widest];
        Evaluator {
            layers,
            skip: skip.map(Packed::new),
            outputs: net.outputs(),
            starts: offsets,
            inner: (0..widest * ROWS).map(|k| k * LANES).collect(),
            hidden: [memory(), memory()],
            result: vec![[[0.0; LANES]; ROWS]; net.outputs().div_ceil(ROWS)],
        }
    }

    /// The outputs for the [`LANES`] nodes from `place` on, output after output.
    ///
    /// # Panics
    /// Where the buffer ends before the last of their inputs.
    pub fn at(&mut self, buffer: &[f32], place: usize) -> &[f32] {
        let Evaluator { layers, skip, starts, inner, hidden: [current, next], result, .. } = self;
        let buffer = &buffer[place..];
        let last = layers.len() - 1;
        for (k, packed) in layers.iter().enumerate() {
            let (from, starts) = match k {
                0 => (buffer, starts.as_slice()),
                _ => (current.as_flattened().as_flattened(), inner.as_slice()),
            };
            if k == last {
                layer(packed, from, starts, Finish::Store, result);
            } else {
                layer(packed, from, starts, Finish::Relu, next);
                std::mem::swap(current, next);
            }
        }
        if let Some(packed) = skip {
            layer(packed, buffer, starts, Finish::Add, result);
        }
        &result.as_flattened().as_flattened()[..self.outputs * LANES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_neural::random::Random;

    #[test]
    fn outputs_are_those_of_the_network() {
        for (hidden, outputs) in [(vec![], 3), (vec![9, 6], 14), (vec![32, 32], 18)] {
            let net = Net::new(5, &hidden, outputs, true);
            let mut random = Random::new(1, 0);
            let parameters: Vec<f32> = (0..net.len()).map(|_| random.unit() as f32 - 0.5).collect();
            let buffer: Vec<f32> = (0..300).map(|_| random.unit() as f32 - 0.5).collect();
            let offsets = vec![7, 0, 100, 101, 90];
            let mut inputs = Vec::new();
            for offset in &offsets {
                inputs.extend(&buffer[40 + offset..][..LANES]);
            }
            let mut expected = vec![0.0; outputs * LANES];
            net.forward(&parameters, &inputs, LANES, &mut net.activations(LANES), &mut expected);
            let mut evaluator = Evaluator::new(&net, &parameters, offsets);
            let found = evaluator.at(&buffer, 40);
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }
}
