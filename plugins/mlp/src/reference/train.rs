//! Training of `mlp-reference`.
//!
//! Each step draws a batch of matrices from a pool of one of the families in turn, a few random
//! vectors for each, and moves the weights against the derivative of the mean loss of
//! [`chain`](crate::reference::chain): Muon on the layers, Adam on biases and skip, the gradient clipped to norm 1,
//! the rates by [`Schedule`]. A step costs about `3 · 7.5` kflop a node of the batch in the network and as
//! much time again in the vectors; the default budget takes under a minute on one core.

use std::sync::Arc;

use precondor_sdk::core::train::{Progress, Samples};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};

use crate::grid::{Bands, Grid};
use crate::model::{Card, Kind, Reader};
use crate::net::{Activations, Net};
use crate::number::Number;
use crate::optim::{self, Muon, Schedule, clip};
use crate::random::Random;
use crate::reference::chain::Chain;
use crate::reference::pgp::{Description, INPUTS, Stencils, Variant, matrix_stencil};
use crate::reference::stencil::Stencil;
use crate::run::{self, Run, State};

/// Parameters of training `mlp-reference`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct TrainParams {
    /// Form of the smoother S: `spd` (diagonal) or `stencil` (nine-point).
    pub variant: Variant,
    /// Neurons of a hidden layer.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Hidden layers.
    #[schemars(range(min = 1, max = 8))]
    pub hidden: usize,
    /// Steps of the optimiser.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Matrices a step where they have 225 unknowns; larger ones in proportion, at least 2.
    #[schemars(range(min = 1, max = 4096))]
    pub batch: usize,
    /// Random vectors a matrix.
    #[schemars(range(min = 1, max = 256))]
    pub vectors: usize,
    /// Matrices in the pool, shared evenly by the families.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub pool: usize,
    /// Learning rate of Muon, for the layers' weights.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rate: f64,
    /// Learning rate of Adam, for biases and the linear skip.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub skip_rate: f64,
    /// Seed of the pool, the starting weights and the batches.
    pub seed: u64,
}

impl Default for TrainParams {
    fn default() -> Self {
        TrainParams {
            variant: Variant::Spd,
            width: 32,
            hidden: 2,
            steps: 12_000,
            batch: 16,
            vectors: 4,
            pool: 3000,
            rate: 0.006,
            skip_rate: 0.003,
            seed: 1,
        }
    }
}

/// Bytes a node of a training matrix, at most: bands, features and the scaling in single precision.
const SAMPLE_BYTES: usize = 64;
/// Bytes that the pool of a family may take.
const POOL_BYTES: usize = 8 << 30;

/// Steps over which the rates rise.
const WARM_UP: u64 = 100;
/// Fraction of the run after which they fall.
const FLAT: f64 = 0.4;
/// Longest gradient that is taken as it is.
const LONGEST: f64 = 1.0;
/// Adam's decay rates of mean and square.
const DECAY: [f64; 2] = [0.9, 0.99];
/// Unknowns of the matrices that `batch` is counted in.
const BATCH_NODES: usize = 225;

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
    grid: Grid,
    vectors: usize,
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
    /// For batches of `batch` matrices with `vectors` random vectors each.
    pub fn new(net: &Net, variant: Variant, grid: Grid, batch: usize, vectors: usize) -> Self {
        let columns = batch * grid.body().len();
        let stencils = Stencils::new(grid, variant);
        Objective {
            net: net.clone(),
            grid,
            vectors,
            inputs: vec![T::zero(); INPUTS * columns],
            outputs: vec![T::zero(); net.outputs() * columns],
            derivative: vec![T::zero(); net.outputs() * columns],
            activations: net.activations(columns),
            chain: Chain::new(grid, &stencils),
            stencils,
            nodes: vec![T::zero(); grid.nodes()],
            z: vec![T::zero(); grid.plane()],
        }
    }

    /// The mean loss over as many matrices as were announced; adds its derivative to `gradient`.
    pub fn evaluate<'a>(
        &mut self,
        parameters: &[T],
        batch: impl Iterator<Item = &'a Sample<T>> + Clone,
        random: &mut Random,
        gradient: &mut [T],
    ) -> f64 {
        let (grid, n) = (self.grid, self.grid.body().len());
        let columns = self.inputs.len() / INPUTS;
        for (b, sample) in batch.clone().enumerate() {
            sample.description.patches(grid.body(), &mut self.inputs, columns, b * n);
        }
        let Objective { net, activations, inputs, outputs, derivative, .. } = self;
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
                loss += self.chain.loss(a, &self.stencils, &self.z, T::rounded(weight)).wide();
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

/// The matrices of one family and the memory for their batches.
struct Family {
    pool: Vec<Sample<f32>>,
    batch: usize,
    objective: Objective<f32>,
}

/// A training run: everything it needs, and its state.
pub(crate) struct Trainer {
    params: TrainParams,
    description: Value,
    net: Net,
    families: Vec<Family>,
    schedule: Schedule,
    gradient: Vec<f32>,
    muon: Muon<f32>,
    state: State,
}

/// The network of a variant.
pub fn network(variant: Variant, width: usize, hidden: usize) -> Net {
    Net::new(INPUTS, &vec![width; hidden], variant.outputs(), true)
}

impl Trainer {
    /// Makes the pool and the starting weights.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where a sample is no structured grid, or a family mixes grids.
    pub fn new(params: &TrainParams, samples: &dyn Samples) -> Result<Self> {
        let net = network(params.variant, params.width, params.hidden);
        let each = params.pool.div_ceil(samples.families().max(1)).max(1);
        let mut families = Vec::new();
        for family in 0..samples.families() {
            let mut pool = Vec::with_capacity(each);
            let mut grid = None;
            for index in 0..each {
                let a = samples.sample(family, params.seed, index as u64)?;
                let bands = match grid {
                    None => Bands::of(a.a(), None),
                    Some(Grid { mx, my }) => Bands::of(a.a(), Some([mx, my])),
                };
                let bands = bands.map_err(|e| {
                    e.inside(format!("training system {index} of problem {family}"))
                })?;
                if index == 0 && each.saturating_mul(bands.grid.plane() * SAMPLE_BYTES) > POOL_BYTES
                {
                    return Err(Error::Parameter(format!(
                        "parameter 'pool': {each} matrices of {} unknowns do not fit into memory; \
                         take fewer or smaller ones",
                        bands.grid.nodes()
                    )));
                }
                grid = Some(bands.grid);
                pool.push(Sample::new(&bands));
            }
            let Some(grid) = grid else { continue };
            let batch = match grid.nodes() {
                small if small <= BATCH_NODES => params.batch,
                large => (params.batch * BATCH_NODES / large).max(2),
            };
            let objective = Objective::new(&net, params.variant, grid, batch, params.vectors);
            families.push(Family { pool, batch, objective });
        }
        if families.is_empty() {
            return Err(Error::Data("there are no training systems".into()));
        }
        let mut random = Random::new(params.seed, 1);
        let parameters = net.start(&mut random, 0.1);
        Ok(Trainer {
            description: serde_json::from_str(&samples.describe()).unwrap_or(Value::Null),
            families,
            schedule: Schedule { steps: params.steps, warm_up: WARM_UP, flat: FLAT },
            gradient: vec![0.0; net.len()],
            muon: Muon::new(net.len()),
            state: State::new(parameters, DECAY, random),
            params: params.clone(),
            net,
        })
    }

    fn card(&self) -> Result<Card> {
        let TrainParams { variant, width, hidden, .. } = self.params;
        let architecture = json!({ "variant": variant, "width": width, "hidden": hidden });
        run::card(NAME, architecture, &self.params, &self.description)
    }
}

/// Muon's array in a checkpoint.
const MOMENTUM: &str = "muon.momentum";

impl Run for Trainer {
    fn steps(&self) -> (u64, u64) {
        (self.state.step, self.params.steps)
    }

    fn advance(&mut self) -> Progress {
        let Trainer { params, state, families, gradient, .. } = self;
        let factor = self.schedule.factor(state.step);
        let which = (state.step % families.len() as u64) as usize;
        let Family { pool, batch, objective } = &mut families[which];
        let picked: Vec<&Sample<f32>> =
            (0..*batch).map(|_| &pool[state.random.below(pool.len())]).collect();
        gradient.fill(0.0);
        let batch = picked.iter().copied();
        let loss = objective.evaluate(&state.parameters, batch, &mut state.random, gradient);
        if clip(gradient, LONGEST).is_finite() {
            optim::step(
                self.net.tensors(),
                (&mut self.muon, params.rate * factor),
                (&mut state.adam, params.skip_rate * factor),
                gradient,
                &mut state.parameters,
            );
        } else {
            state.skipped += 1;
        }
        state.count(params.steps, loss);
        Progress {
            step: state.step,
            steps: params.steps,
            loss,
            learning_rate: params.rate * factor,
        }
    }

    fn model(&self) -> Result<Vec<u8>> {
        self.state.model(self.card()?, &self.net, self.params.steps)
    }

    fn checkpoint(&self) -> Result<Vec<u8>> {
        self.state.checkpoint(self.card()?, &[(MOMENTUM, self.muon.state())])
    }

    fn resume(&mut self, checkpoint: &[u8]) -> Result<()> {
        let card = self.card()?;
        for momentum in self.state.resume(checkpoint, &card, &[MOMENTUM])? {
            self.muon.restore(momentum);
        }
        Ok(())
    }
}

/// The method these models are for.
pub const NAME: &str = "mlp-reference";

/// Weights ready for use.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Form of the smoother.
    pub variant: Variant,
    /// The network.
    pub net: Net,
    /// Its parameters.
    pub parameters: Arc<[f32]>,
}

impl Weights {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Data`] with what does not fit.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
        struct Architecture {
            variant: Variant,
            width: usize,
            hidden: usize,
        }
        let mut reader = Reader::new(bytes, NAME, Kind::Model)?;
        let bad = |why: String| Error::Data(format!("not a usable model: architecture: {why}"));
        let Architecture { variant, width, hidden } =
            serde_json::from_value(reader.card.architecture.clone())
                .map_err(|e| bad(e.to_string()))?;
        if !(1..=1024).contains(&width) || !(1..=8).contains(&hidden) {
            return Err(bad(format!("{hidden} layers of width {width} (at most 8 of 1024)")));
        }
        let net = network(variant, width, hidden);
        let mut parameters = Vec::new();
        for tensor in net.tensors() {
            parameters.extend(reader.take(&tensor.name, &[tensor.rows, tensor.columns])?);
        }
        reader.finish()?;
        Ok(Weights { variant, net, parameters: parameters.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::pgp::tests::random_bands;
    use crate::reference::stencil::tests::GRID;

    #[test]
    fn gradient_of_the_whole_objective_agrees_with_differences() {
        for variant in [Variant::Spd, Variant::Stencil] {
            let mut random = Random::new(9, 0);
            let net = network(variant, 6, 2);
            let batch: Vec<Sample<f64>> =
                (0..3).map(|_| Sample::new(&random_bands(&mut random, GRID))).collect();
            let mut parameters: Vec<f64> = net.start(&mut random, 0.1);
            for p in &mut parameters {
                *p += 0.02 * (random.unit() - 0.5);
            }
            let mut objective = Objective::new(&net, variant, GRID, 3, 2);
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
