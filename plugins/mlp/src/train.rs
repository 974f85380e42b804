//! Training of the reference map's network.
//!
//! Each step draws a batch of matrices from a pool of one of the families in turn, a few random
//! vectors for each, and moves the weights against the derivative of the mean loss of
//! [`chain`](crate::chain): Muon on the layers, Adam on biases and skip, the gradient clipped to norm 1,
//! the rates by [`Schedule`].
//!
//! The budget is counted in steps and everything random comes from one small generator, so a run is a
//! function of its parameters and samples; its state after any step is a checkpoint, from which it
//! goes on to bitwise the same weights.

use std::sync::Arc;

use precondor_sdk::core::train::{Progress, Samples, Training};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};

use crate::chain::Chain;
use crate::grid::{Bands, Grid};
use crate::model::{self, Card, Kind, Part, Reader};
use crate::net::{Activations, Net};
use crate::number::Number;
use crate::optim::{Adam, Muon, Schedule, clip, step};
use crate::pgp::{Description, INPUTS, Stencils, Variant, matrix_stencil};
use crate::random::Random;
use crate::stencil::Stencil;

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
            steps: 30_000,
            batch: 16,
            vectors: 4,
            pool: 3000,
            rate: 0.006,
            skip_rate: 0.003,
            seed: 1,
        }
    }
}

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
/// Steps that the loss in a model's metrics is averaged over.
const LAST: u64 = 500;

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
pub struct Trainer {
    params: TrainParams,
    description: Value,
    net: Net,
    families: Vec<Family>,
    schedule: Schedule,
    gradient: Vec<f32>,
    parameters: Vec<f32>,
    muon: Muon<f32>,
    adam: Adam<f32>,
    random: Random,
    /// Steps done.
    step: u64,
    /// Sum of the losses of the last steps of the run, and those steps with no finite gradient.
    last: f64,
    skipped: u64,
}

/// The network of a variant.
pub fn network(variant: Variant, width: usize, hidden: usize) -> Net {
    Net::new(INPUTS, &vec![width; hidden], variant.outputs(), true)
}

impl Trainer {
    /// Makes the pool and the starting weights.
    ///
    /// # Errors
    /// [`Error::Data`] where a sample is no structured grid, or a family mixes grids.
    pub fn new(params: &TrainParams, samples: &dyn Samples) -> Result<Self> {
        let net = network(params.variant, params.width, params.hidden);
        let count = samples.families();
        let each = params.pool.div_ceil(count).max(1);
        let mut families = Vec::new();
        for family in 0..count {
            let mut pool = Vec::with_capacity(each);
            let mut grid = None;
            for index in 0..each {
                let system = samples.sample(family, params.seed, index as u64)?;
                let name = || format!("training system {index} of problem {family}");
                let bands = Bands::of(system.a(), *grid.get_or_insert(Bands::grid_of(system.a())?))
                    .map_err(|e| e.inside(name()))?;
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
        let mut random = Random::new(params.seed, 1);
        Ok(Trainer {
            description: serde_json::from_str(&samples.describe()).unwrap_or(Value::Null),
            families,
            schedule: Schedule { steps: params.steps, warm_up: WARM_UP, flat: FLAT },
            gradient: vec![0.0; net.len()],
            parameters: net.start(&mut random, 0.1),
            muon: Muon::new(net.len()),
            adam: Adam::new(net.len(), DECAY),
            random,
            step: 0,
            last: 0.0,
            skipped: 0,
            params: params.clone(),
            net,
        })
    }

    /// Whether the budget is used up.
    pub fn is_finished(&self) -> bool {
        self.step >= self.params.steps
    }

    /// Does one step.
    pub fn advance(&mut self) -> Progress {
        let factor = self.schedule.factor(self.step);
        let which = (self.step % self.families.len() as u64) as usize;
        let Family { pool, batch, objective } = &mut self.families[which];
        let picked: Vec<&Sample<f32>> =
            (0..*batch).map(|_| &pool[self.random.below(pool.len())]).collect();
        self.gradient.fill(0.0);
        let batch = picked.iter().copied();
        let loss =
            objective.evaluate(&self.parameters, batch, &mut self.random, &mut self.gradient);
        if clip(&mut self.gradient, LONGEST).is_finite() {
            step(
                self.net.tensors(),
                (&mut self.muon, self.params.rate * factor),
                (&mut self.adam, self.params.skip_rate * factor),
                &self.gradient,
                &mut self.parameters,
            );
        } else {
            self.skipped += 1;
        }
        self.step += 1;
        if self.step + LAST > self.params.steps {
            self.last += loss;
        }
        let Trainer { step, params: TrainParams { steps, rate, .. }, .. } = self;
        Progress { step: *step, steps: *steps, loss, learning_rate: *rate * factor }
    }

    fn card(&self, kind: Kind, metrics: Value) -> Result<Card> {
        let TrainParams { variant, width, hidden, .. } = self.params;
        Ok(Card {
            method: NAME.into(),
            kind,
            version: env!("CARGO_PKG_VERSION").into(),
            architecture: json!({ "variant": variant, "width": width, "hidden": hidden }),
            training: serde_json::to_value(&self.params)
                .map_err(|e| Error::Data(format!("training parameters: {e}")))?,
            samples: self.description.clone(),
            metrics,
        })
    }

    /// The model as it stands.
    pub fn model(&self) -> Result<Vec<u8>> {
        let averaged = LAST.min(self.params.steps);
        let metrics = json!({
            "steps": self.step,
            "loss": self.last / averaged as f64,
            "loss_averaged_over_steps": averaged,
            "skipped_steps": self.skipped,
            "parameters": self.net.len(),
            "flops_per_node": self.net.flops(),
        });
        let part = |tensor: &crate::net::Tensor| Part {
            name: tensor.name.clone(),
            shape: vec![tensor.rows, tensor.columns],
            values: &self.parameters[tensor.range()],
        };
        let parts: Vec<Part<'_>> = self.net.tensors().iter().map(part).collect();
        model::write(&self.card(Kind::Model, metrics)?, &parts)
    }

    /// The state after the steps done.
    pub fn checkpoint(&self) -> Result<Vec<u8>> {
        let (adam_steps, mean, square) = self.adam.state();
        let state = json!({
            "step": self.step,
            "adam_steps": adam_steps,
            "random": self.random,
            // As bits: text may round.
            "last": self.last.to_bits(),
            "skipped": self.skipped,
        });
        let parts = [self.parameters.as_slice(), self.muon.state(), mean, square];
        let part = |(name, values): (&&str, &'_ [f32])| (name.to_string(), vec![values.len()]);
        let parts: Vec<Part<'_>> = STATE
            .iter()
            .zip(parts)
            .map(|(name, values)| {
                let (name, shape) = part((name, values));
                Part { name, shape, values }
            })
            .collect();
        model::write(&self.card(Kind::Checkpoint, state)?, &parts)
    }

    /// Goes back to the state of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Data`] where it is damaged or belongs to a run with other parameters or samples.
    pub fn resume(&mut self, checkpoint: &[u8]) -> Result<()> {
        let mut reader = Reader::new(checkpoint, NAME, Kind::Checkpoint)?;
        let expected = self.card(Kind::Checkpoint, Value::Null)?;
        for (what, there, here) in [
            ("training parameters", &reader.card.training, &expected.training),
            ("training systems", &reader.card.samples, &expected.samples),
        ] {
            if there != here {
                return Err(Error::Data(format!(
                    "the checkpoint belongs to a run with other {what} ({there}, now {here})"
                )));
            }
        }
        let len = [self.net.len()];
        let parameters = reader.take(STATE[0], &len)?;
        let momentum = reader.take(STATE[1], &len)?;
        let mean = reader.take(STATE[2], &len)?;
        let square = reader.take(STATE[3], &len)?;
        let state = reader.finish()?.metrics;
        let number = |key: &str| {
            let missing = || Error::Data(format!("the checkpoint has no usable '{key}'"));
            state[key].as_u64().ok_or_else(missing)
        };
        self.random = serde_json::from_value(state["random"].clone())
            .map_err(|e| Error::Data(format!("the checkpoint has no usable 'random' ({e})")))?;
        self.step = number("step")?;
        self.last = f64::from_bits(number("last")?);
        self.skipped = number("skipped")?;
        self.parameters = parameters;
        self.muon.restore(momentum);
        self.adam.restore(number("adam_steps")?, mean, square);
        Ok(())
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after the watcher asked to stop.
    pub fn run(mut self, training: Training<'_>) -> Result<Vec<u8>> {
        if let Some(checkpoint) = training.resume {
            self.resume(checkpoint)?;
        }
        let watch = training.watch;
        let every = watch.checkpoint_every();
        while !self.is_finished() {
            if watch.cancelled() {
                watch.checkpoint(&self.checkpoint()?)?;
                return Err(Error::Interrupted);
            }
            let progress = self.advance();
            watch.progress(&progress);
            if every > 0 && self.step.is_multiple_of(every) {
                watch.checkpoint(&self.checkpoint()?)?;
            }
        }
        self.model()
    }
}

/// The method these models are for.
pub const NAME: &str = "mlp-reference";

/// Arrays of a checkpoint.
const STATE: [&str; 4] = ["parameters", "muon.momentum", "adam.mean", "adam.square"];

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
    use crate::pgp::tests::random_bands;
    use crate::stencil::tests::GRID;

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
