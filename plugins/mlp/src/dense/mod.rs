//! `mlp-dense`: the plain network, from the bands of `A` to the dense inverse.
//!
//! `vec(M) = W₄ relu(W₃ relu(W₂ relu(W₁ a + b₁) + b₂) + b₃) + b₄` with `a` the diagonal of `A` and its upper
//! diagonals 1, `mx`, `mx + 1` at full length, three hidden layers as wide as `A`, and `n²` outputs.
//! Trained by the mean square of `M − A⁻¹`.
//!
//! - **Works for** one size only: the network's input and output are those of the matrices it was
//!   trained on. Shipped for level 2 (9 unknowns). It shows what the plain approach gives:
//!   a constant matrix, the inverse of the unshifted mesh's, is better from 49 unknowns on.
//! - **Setup**: about `2n³` flops in the output layer. **Application**: `2n²` flops, a dense product; `n²`
//!   stored numbers. **Communication**: the ghost exchange of a dense matrix.
//! - **Reference**: the "NN" rows of the method this project reproduces: three hidden layers of width
//!   `n`, 10 000 matrices, 1000 epochs of Adam with rate 1e-3 and batches of 100.

use precondor_sdk::core::matrix::{Explicit, ExplicitKind};
use precondor_sdk::core::train::{Progress, Samples, Trainable, Training};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};

use crate::grid::{BANDS, Bands, Grid};
use crate::model::{Card, Kind, Reader};
use crate::net::{Activations, Net};
use crate::random::Random;
use crate::run::{self, Run, State};

/// Parameters of [`MlpDense`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars", extend("x-precondor-models" = models()))]
pub struct Params {
    /// A model file to use instead of the shipped one, which is for 3 by 3 nodes.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Nodes in a row and number of rows; recognised from the matrix where it is left out.
    pub grid: Option<[usize; 2]>,
}

/// Parameters of training `mlp-dense`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct TrainParams {
    /// Hidden layers; each is as wide as the matrix.
    #[schemars(range(min = 1, max = 8))]
    pub hidden: usize,
    /// Training matrices.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub matrices: usize,
    /// Passes over them.
    #[schemars(range(min = 1))]
    pub epochs: u64,
    /// Matrices a step.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch: usize,
    /// Learning rate of Adam.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rate: f64,
    /// Seed of the matrices, the starting weights and the order.
    pub seed: u64,
}

impl Default for TrainParams {
    fn default() -> Self {
        let (matrices, epochs, batch) = (10_000, 1000, 100);
        TrainParams { hidden: 3, matrices, epochs, batch, rate: 1e-3, seed: 1 }
    }
}

/// The method.
pub struct MlpDense;

/// Adam's decay rates of mean and square.
const DECAY: [f64; 2] = [0.9, 0.999];

/// Most unknowns a dense network makes sense for.
const LARGEST: usize = 1024;

/// The shipped models.
const SHIPPED: [(Grid, &[u8]); 1] =
    [(Grid { mx: 3, my: 3 }, include_bytes!("../../models/mlp-dense-level2.safetensors"))];

/// What the schema tells of the shipped models.
fn models() -> Value {
    let describe = |(_, bytes): &(Grid, &'static [u8])| {
        ("level 2", "models/mlp-dense-level2.safetensors", *bytes)
    };
    crate::model::shipped(&SHIPPED.iter().map(describe).collect::<Vec<_>>())
}

/// Where the network's inputs stand: `(band, node)`, every diagonal at its full length.
fn inputs(grid: Grid) -> Vec<(usize, usize)> {
    let n = grid.nodes();
    let diagonal = |(dx, dy): (isize, isize)| dx as usize + dy as usize * grid.mx;
    let band = |(band, &step)| (0..n.saturating_sub(diagonal(step))).map(move |k| (band, k));
    BANDS.iter().enumerate().flat_map(band).collect()
}

fn network(grid: Grid, hidden: usize) -> Net {
    let n = grid.nodes();
    Net::new(inputs(grid).len(), &vec![n; hidden], n * n, false)
}

/// The network's inputs for a matrix.
fn describe(bands: &Bands) -> Vec<f32> {
    let grid = bands.grid;
    let mut nodes = vec![vec![0.0; grid.nodes()]; BANDS.len()];
    for (band, nodes) in nodes.iter_mut().enumerate() {
        grid.to_nodes(bands.plane(band), nodes);
    }
    inputs(grid).into_iter().map(|(band, node)| nodes[band][node] as f32).collect()
}

/// A trained network for one grid.
struct Weights {
    grid: Grid,
    net: Net,
    parameters: Vec<f32>,
}

impl Weights {
    fn read(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
        struct Architecture {
            grid: [usize; 2],
            hidden: usize,
        }
        let mut reader = Reader::new(bytes, MlpDense::NAME, Kind::Model)?;
        let bad = |why: String| Error::Data(format!("not a usable model: architecture: {why}"));
        let Architecture { grid: [mx, my], hidden } =
            serde_json::from_value(reader.card.architecture.clone())
                .map_err(|e| bad(e.to_string()))?;
        let nodes = mx.saturating_mul(my);
        if !(1..=LARGEST).contains(&nodes) || !(1..=8).contains(&hidden) {
            return Err(bad(format!("{hidden} hidden layers for a {mx} by {my} grid")));
        }
        let grid = Grid { mx, my };
        let net = network(grid, hidden);
        let mut parameters = Vec::new();
        for tensor in net.tensors() {
            parameters.extend(reader.take(&tensor.name, &[tensor.rows, tensor.columns])?);
        }
        reader.finish()?;
        Ok(Weights { grid, net, parameters })
    }

    /// The shipped model for a grid.
    fn shipped(grid: Grid) -> Result<Self> {
        let found = SHIPPED.iter().find(|(of, _)| *of == grid);
        let (_, bytes) = found.ok_or_else(|| {
            let known: Vec<String> =
                SHIPPED.iter().map(|(g, _)| format!("{} by {}", g.mx, g.my)).collect();
            Error::Unsupported(format!(
                "no shipped network for a {} by {} grid, only for {}; train one and give model = \"…\", or use \
                 mlp-reference, which fits any size",
                grid.mx,
                grid.my,
                known.join(" and ")
            ))
        })?;
        Self::read(bytes)
    }
}

/// The dense approximate inverse of one matrix.
pub struct DenseInverse {
    m: DistCsr,
}

impl Generator for MlpDense {
    const NAME: &'static str = "mlp-dense";
    const SUMMARY: &'static str = "dense inverse straight from a plain network, for one fixed size";
    const CAPABILITIES: Capabilities =
        Capabilities { explicit: true, transpose: false, refresh: false, many: false };
    type Params = Params;
    type Output = DenseInverse;

    fn generate(params: &Params, system: &System) -> Result<DenseInverse> {
        let a = system.a();
        let bands = Bands::of(a, params.grid)?;
        let weights = match &params.model {
            None => Weights::shipped(bands.grid)?,
            Some(path) => Weights::read(&system.host().read(path)?)
                .map_err(|e| e.inside(format!("model '{path}'")))?,
        };
        let (Grid { mx, my }, of) = (bands.grid, weights.grid);
        if bands.grid != of {
            return Err(Error::Unsupported(format!(
                "the model is for a {} by {} grid, the matrix has {mx} by {my} nodes",
                of.mx, of.my
            )));
        }
        let n = of.nodes();
        let mut inverse = vec![0.0; n * n];
        let mut activations = weights.net.activations(1);
        weights.net.forward(
            &weights.parameters,
            &describe(&bands),
            1,
            &mut activations,
            &mut inverse,
        );
        let first = a.space().start() as usize;
        let own = &inverse[first * n..(first + a.n_own()) * n];
        let values: Vec<f64> = own.iter().map(|&v| f64::from(v)).collect();
        let columns: Vec<u64> = (0..a.n_own()).flat_map(|_| 0..n as u64).collect();
        let rows: Vec<u32> = (0..=a.n_own()).map(|i| (i * n) as u32).collect();
        Ok(DenseInverse { m: DistCsr::from_rows(a.space(), &rows, &columns, &values)? })
    }
}

impl Preconditioner for DenseInverse {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.spmv(r, z)
    }
    fn properties(&self) -> Properties {
        Properties::GENERAL
    }
    fn stored_entries(&self) -> usize {
        self.m.nnz_own()
    }
    fn bytes(&self) -> usize {
        self.m.bytes()
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        Some(Explicit::of(ExplicitKind::Inverse, &self.m))
    }
}

/// The inverse of a matrix given by its bands, row after row, by Gauss–Jordan elimination (the matrix
/// is positive definite, so no pivoting).
fn inverse(bands: &Bands) -> Vec<f64> {
    let grid = bands.grid;
    let n = grid.nodes();
    let mut a = vec![0.0; n * n];
    let mut nodes = vec![0.0; n];
    for (band, (dx, dy)) in BANDS.into_iter().enumerate() {
        grid.to_nodes(bands.plane(band), &mut nodes);
        let step = dx as usize + dy as usize * grid.mx;
        for (k, &value) in nodes.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            a[k * n + k + step] = value;
            a[(k + step) * n + k] = value;
        }
    }
    for k in 0..n {
        let pivot = 1.0 / a[k * n + k];
        a[k * n + k] = 1.0;
        for value in &mut a[k * n..(k + 1) * n] {
            *value *= pivot;
        }
        let row = a[k * n..(k + 1) * n].to_vec();
        for i in (0..n).filter(|&i| i != k) {
            let factor = std::mem::replace(&mut a[i * n + k], 0.0);
            for (value, r) in a[i * n..(i + 1) * n].iter_mut().zip(&row) {
                *value -= factor * r;
            }
        }
    }
    a
}

/// A training run.
struct Trainer {
    params: TrainParams,
    description: Value,
    grid: Grid,
    net: Net,
    /// Inputs and inverses, matrix after matrix.
    inputs: Vec<f32>,
    targets: Vec<f32>,
    order: Vec<usize>,
    x: Vec<f32>,
    y: Vec<f32>,
    activations: Activations<f32>,
    gradient: Vec<f32>,
    state: State,
}

impl Trainer {
    fn new(params: &TrainParams, samples: &dyn Samples) -> Result<Self> {
        let (mut inputs, mut targets, mut grid) = (Vec::new(), Vec::new(), None);
        for index in 0..params.matrices {
            let system = samples.sample(0, params.seed, index as u64)?;
            let known = grid.map(|Grid { mx, my }| [mx, my]);
            let bands = Bands::of(system.a(), known)
                .map_err(|e| e.inside(format!("training system {index}")))?;
            if bands.grid.nodes() > LARGEST {
                return Err(Error::Unsupported(format!(
                    "{} unknowns are too many for a dense network (at most {LARGEST})",
                    bands.grid.nodes()
                )));
            }
            grid = Some(bands.grid);
            inputs.extend(describe(&bands));
            targets.extend(inverse(&bands).into_iter().map(|v| v as f32));
        }
        let grid = grid.ok_or_else(|| Error::Data("there are no training systems".into()))?;
        let net = network(grid, params.hidden);
        let batch = params.batch.min(params.matrices);
        let mut random = Random::new(params.seed, 1);
        let parameters = net.start(&mut random, 1.0);
        Ok(Trainer {
            description: serde_json::from_str(&samples.describe()).unwrap_or(Value::Null),
            grid,
            inputs,
            targets,
            order: (0..params.matrices).collect(),
            x: vec![0.0; net.inputs() * batch],
            y: vec![0.0; net.outputs() * batch],
            activations: net.activations(batch),
            gradient: vec![0.0; net.len()],
            state: State::new(parameters, DECAY, random),
            params: TrainParams { batch, ..params.clone() },
            net,
        })
    }

    fn card(&self) -> Result<Card> {
        let Grid { mx, my } = self.grid;
        let architecture = json!({ "grid": [mx, my], "hidden": self.params.hidden });
        run::card(MlpDense::NAME, architecture, &self.params, &self.description)
    }

    fn steps_an_epoch(&self) -> u64 {
        (self.params.matrices / self.params.batch) as u64
    }

    /// The order of an epoch depends on its number only.
    fn shuffle(&mut self, epoch: u64) {
        for (k, place) in self.order.iter_mut().enumerate() {
            *place = k;
        }
        Random::new(self.params.seed, 2 + epoch).shuffle(&mut self.order);
    }
}

impl Run for Trainer {
    fn steps(&self) -> (u64, u64) {
        (self.state.step, self.params.epochs * self.steps_an_epoch())
    }

    fn advance(&mut self) -> Progress {
        let (step, steps) = self.steps();
        let (epoch, within) = (step / self.steps_an_epoch(), step % self.steps_an_epoch());
        if within == 0 {
            self.shuffle(epoch);
        }
        let Trainer { params, net, x, y, activations, gradient, state, .. } = self;
        let batch = params.batch;
        let picked = &self.order[within as usize * batch..][..batch];
        let (ni, no) = (net.inputs(), net.outputs());
        for (b, &k) in picked.iter().enumerate() {
            for (i, &value) in self.inputs[k * ni..(k + 1) * ni].iter().enumerate() {
                x[i * batch + b] = value;
            }
        }
        net.forward(&state.parameters, x, batch, activations, y);
        let weight = 1.0 / y.len() as f32;
        let mut loss = 0.0;
        for (b, &k) in picked.iter().enumerate() {
            for (o, &target) in self.targets[k * no..(k + 1) * no].iter().enumerate() {
                let difference = y[o * batch + b] - target;
                loss += difference * difference;
                y[o * batch + b] = 2.0 * weight * difference;
            }
        }
        let loss = f64::from(loss * weight);
        gradient.fill(0.0);
        net.backward(&state.parameters, x, batch, activations, y, gradient);
        state.adam.begin();
        state.adam.update(0..net.len(), params.rate, gradient, &mut state.parameters);
        state.count(steps, loss);
        Progress { step: state.step, steps, loss, learning_rate: params.rate }
    }

    fn model(&self) -> Result<Vec<u8>> {
        self.state.model(self.card()?, &self.net, self.steps().1)
    }

    fn checkpoint(&self) -> Result<Vec<u8>> {
        self.state.checkpoint(self.card()?, &[])
    }

    fn resume(&mut self, checkpoint: &[u8]) -> Result<()> {
        let card = self.card()?;
        self.state.resume(checkpoint, &card, &[])?;
        self.shuffle(self.state.step / self.steps_an_epoch());
        Ok(())
    }
}

impl Trainable for MlpDense {
    type TrainParams = TrainParams;

    fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
        run::drive(&mut Trainer::new(params, training.samples)?, training)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::pgp::tests::random_bands;

    #[test]
    fn inputs_are_the_full_diagonals() {
        // The numbers of stored entries that the bands of levels 2 to 5 have.
        for (m, count) in [(3, 28), (7, 180), (15, 868), (31, 3780)] {
            assert_eq!(inputs(Grid { mx: m, my: m }).len(), count);
        }
    }

    #[test]
    fn inverse_is_the_inverse() {
        let grid = Grid { mx: 4, my: 3 };
        let bands = random_bands(&mut Random::new(3, 0), grid);
        let inverse = inverse(&bands);
        let a = crate::reference::pgp::matrix_stencil::<f64>(&bands);
        for column in 0..12 {
            let nodes: Vec<f64> = (0..12).map(|row| inverse[row * 12 + column]).collect();
            let (mut x, mut y) = (vec![0.0; grid.plane()], vec![0.0; grid.plane()]);
            grid.to_plane(&nodes, &mut x);
            a.add(&x, 1.0, &mut y);
            let mut product = vec![0.0; 12];
            grid.to_nodes(&y, &mut product);
            for (row, value) in product.iter().enumerate() {
                assert!((value - f64::from(u8::from(row == column))).abs() < 1e-12);
            }
        }
    }
}
