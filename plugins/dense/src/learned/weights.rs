//! A learned map from a matrix to its dense inverse, and its model file.
//!
//! `M = decode(mean + Bᵀ (R s + net(s)))` with the standardised inputs `s`, the ridge regression `R`, the
//! network and the components `B` (nothing in their place where there are none); or, *plain*,
//! `vec(M) = net(a)` row after row.

use linfa::traits::Predict;
use ndarray::{Array1, Array2};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value};

use crate::learned::data::{Expansion, Inputs, LARGEST};
use crate::learned::frame::{Frame, triangle};
use crate::ridge::regression::{Fitted, Standard};
use precondor_neural::model::{self, Card, Kind, Part, Reader};
use precondor_neural::net::{Activation, Net};
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::grid::Grid;

/// Shape of a map, as the model file keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
pub struct Architecture {
    /// Nodes in a row and number of rows.
    pub grid: [usize; 2],
    /// What the map is told of the matrix.
    pub inputs: Inputs,
    /// Whether the inverses are whitened.
    pub whiten: bool,
    /// Whether there is a linear part.
    pub ridge: bool,
    /// Components of the output; 0: none.
    pub components: usize,
    /// Widths of the hidden layers; none: no network.
    pub hidden: Vec<usize>,
    /// What hidden layers do to their sums.
    #[serde(default, skip_serializing_if = "Activation::is_default")]
    pub activation: Activation,
}

impl Architecture {
    /// The grid.
    pub fn grid(&self) -> Grid {
        Grid { mx: self.grid[0], my: self.grid[1] }
    }

    /// A network alone, from raw inputs to raw entries.
    pub fn plain(&self) -> bool {
        !self.whiten && !self.ridge && self.components == 0 && !self.hidden.is_empty()
    }

    /// Numbers that are predicted.
    pub fn outputs(&self) -> usize {
        let n = self.grid().nodes();
        match self.components {
            _ if self.plain() => n * n,
            0 => triangle(n),
            components => components,
        }
    }

    /// The network, where there is one.
    pub fn net(&self) -> Option<Net> {
        let inputs = self.inputs.count(self.grid());
        (!self.hidden.is_empty()).then(|| {
            Net::new(inputs, &self.hidden, self.outputs(), false).with_activation(self.activation)
        })
    }

    fn check(&self) -> std::result::Result<(), String> {
        let [mx, my] = self.grid;
        let nodes = mx.saturating_mul(my);
        if !(1..=LARGEST).contains(&nodes) {
            return Err(format!("a {mx} by {my} grid (1 to {LARGEST} nodes)"));
        }
        if self.components > triangle(nodes) {
            return Err(format!("{} components of {nodes} unknowns", self.components));
        }
        if self.hidden.len() > 8 || self.hidden.iter().any(|&w| !(1..=65_536).contains(&w)) {
            return Err(format!("hidden layers {:?} (at most 8 of 65536)", self.hidden));
        }
        Ok(())
    }
}

/// The map.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Its shape.
    pub architecture: Architecture,
    /// How inputs are standardised; not in a plain network.
    pub standard: Option<Standard>,
    /// The linear part: standardised inputs to targets.
    pub linear: Option<Fitted>,
    /// The network and its parameters.
    pub net: Option<(Net, Vec<f32>)>,
    /// What targets stand for; not in a plain network.
    pub expansion: Option<Expansion>,
}

/// The precision of the large arrays of a model file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Precision {
    /// 4 bytes a number.
    #[default]
    F32,
    /// 2 bytes a number: the upper half of an f32.
    Bf16,
}

fn single(values: impl IntoIterator<Item = f64>) -> Vec<f32> {
    values.into_iter().map(|v| v as f32).collect()
}

fn double(values: &[f32]) -> Array1<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

impl Weights {
    /// The approximate inverse of a matrix, row after row; the matrix is on the map's grid.
    pub fn inverse(&self, bands: &Bands) -> Vec<f64> {
        let inputs = self.architecture.inputs.describe(bands);
        let x = Array2::from_shape_fn((1, inputs.len()), |(_, j)| f64::from(inputs[j]));
        let s = match &self.standard {
            Some(standard) => single(standard.apply(&x)),
            None => inputs,
        };
        let mut y = vec![0.0; self.architecture.outputs()];
        if let Some((net, parameters)) = &self.net {
            net.forward(parameters, &s, 1, &mut net.activations(1), &mut y);
        }
        if let Some(linear) = &self.linear {
            let parts: Array2<f64> = linear.predict(&x);
            y.iter_mut().zip(&parts).for_each(|(y, &p)| *y += p as f32);
        }
        match &self.expansion {
            Some(expansion) => expansion.matrix(&y),
            None => y.into_iter().map(f64::from).collect(),
        }
    }

    /// The mean of the training inverses, row after row; of a plain network, which has none, zeros.
    pub fn mean_inverse(&self) -> Vec<f64> {
        let n = self.architecture.grid().nodes();
        let mean = self.expansion.as_ref().map(|e| e.frame.decode(&e.mean));
        mean.unwrap_or_else(|| vec![0.0; n * n])
    }

    /// Floating-point operations to evaluate the map, products alone.
    pub fn flops(&self) -> usize {
        let n = self.architecture.grid().nodes();
        let net = self.net.as_ref().map_or(0, |(net, _)| net.flops());
        let linear = self.linear.as_ref().map_or(0, |l| 2 * l.weights.len());
        let basis = self.expansion.as_ref().and_then(|e| e.basis.as_ref());
        let back = if self.architecture.whiten { 4 * n * n * n } else { 0 };
        net + linear + 2 * basis.map_or(0, Vec::len) + back
    }

    /// Numbers learned.
    pub fn parameters(&self) -> usize {
        let expansion = self.expansion.as_ref();
        let basis = expansion.and_then(|e| e.basis.as_ref()).map_or(0, Vec::len);
        self.net.as_ref().map_or(0, |(net, _)| net.len())
            + self.linear.as_ref().map_or(0, |l| l.weights.len())
            + expansion.map_or(0, |e| e.mean.len())
            + basis
    }

    /// Writes a model file.
    ///
    /// # Errors
    /// [`Error::Data`] where the file format refuses.
    pub fn write(&self, card: &Card, precision: Precision) -> Result<Vec<u8>> {
        let part = |name: &str, shape: &[usize], values| Part {
            name: name.into(),
            shape: shape.to_vec(),
            values,
        };
        let standard =
            self.standard.iter().map(|s| [single(s.centre.clone()), single(s.scale.clone())]);
        let standard: Vec<[Vec<f32>; 2]> = standard.collect();
        let slope: Vec<Vec<f32>> =
            self.linear.iter().map(|l| single(l.weights.t().iter().copied())).collect();
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for [centre, scale] in &standard {
            small.push(part(CENTRE, &[centre.len()], centre));
            small.push(part(SCALE, &[scale.len()], scale));
        }
        let outputs = self.architecture.outputs();
        for slope in &slope {
            large.push(part(RIDGE, &[outputs, slope.len() / outputs], slope));
        }
        if let Some(Expansion { mean, basis, .. }) = &self.expansion {
            small.push(part(MEAN, &[mean.len()], mean));
            if let Some(basis) = basis {
                large.push(part(BASIS, &[outputs, mean.len()], basis));
            }
        }
        if let Some((net, parameters)) = &self.net {
            large.extend(model::parts_of(net, parameters));
        }
        match precision {
            Precision::F32 => {
                small.extend(large);
                model::write(card, &small)
            }
            Precision::Bf16 => model::write_with_halves(card, &small, &large),
        }
    }

    /// Reads a model file of `method`.
    ///
    /// # Errors
    /// [`Error::Data`] with what does not fit.
    pub fn read(bytes: &[u8], method: &str) -> Result<Self> {
        let mut reader = Reader::new(bytes, method, Kind::Model)?;
        let bad = |why: String| Error::Data(format!("not a usable model: architecture: {why}"));
        let architecture: Architecture = serde_json::from_value(reader.card.architecture.clone())
            .map_err(|e| bad(e.to_string()))?;
        architecture.check().map_err(bad)?;
        let (grid, plain) = (architecture.grid(), architecture.plain());
        let (inputs, outputs) = (architecture.inputs.count(grid), architecture.outputs());
        let mut standard = None;
        if !plain && (architecture.ridge || !architecture.hidden.is_empty()) {
            let centre = double(&reader.take(CENTRE, &[inputs])?);
            standard = Some(Standard { centre, scale: double(&reader.take(SCALE, &[inputs])?) });
        }
        let linear = match &standard {
            Some(standard) if architecture.ridge => {
                let slope = reader.take(RIDGE, &[outputs, inputs])?;
                let weight = |(i, j)| f64::from(slope[j * inputs + i]);
                Some(Fitted {
                    standard: standard.clone(),
                    intercept: Array1::zeros(outputs),
                    weights: Array2::from_shape_fn((inputs, outputs), weight),
                })
            }
            _ => None,
        };
        let mut expansion = None;
        if !plain {
            let frame = Frame::new(grid, architecture.whiten);
            let mean = reader.take(MEAN, &[frame.length()])?;
            let basis = (architecture.components > 0)
                .then(|| reader.take(BASIS, &[outputs, mean.len()]))
                .transpose()?;
            expansion = Some(Expansion { frame, mean, basis });
        }
        let mut net = None;
        if let Some(shape) = architecture.net() {
            let parameters = reader.take_net(&shape)?;
            net = Some((shape, parameters));
        }
        reader.finish()?;
        Ok(Weights { architecture, standard, linear, net, expansion })
    }
}

/// Names of the arrays beside those of the network.
const CENTRE: &str = "input.centre";
const SCALE: &str = "input.scale";
const RIDGE: &str = "ridge";
const MEAN: &str = "mean";
const BASIS: &str = "basis";

/// The architecture as the card holds it.
///
/// # Errors
/// None that can happen for this type.
pub fn to_json(architecture: &Architecture) -> Result<Value> {
    serde_json::to_value(architecture).map_err(|e| Error::Data(format!("architecture: {e}")))
}
