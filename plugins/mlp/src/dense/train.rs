//! Training of `mlp-dense`.
//!
//! The data are made once ([`data`](crate::dense::data)). What the ridge regression leaves of the targets, scaled to mean square 1,
//! is what the network learns, by the mean square of its error; the plain network learns the entries of
//! the inverse themselves. Adam, an order of the systems of its own for every epoch; where some systems
//! are kept for validation, the weights that were best on them are what is returned.

use std::sync::Arc;

use precondor_sdk::core::train::{Progress, Samples};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};

use crate::dense::MlpDense;
use crate::dense::data::{Data, Shape, Targets, grid_of};
use crate::dense::frame::triangle;
use crate::dense::linear::{Linear, mean_square};
use crate::dense::weights::{Architecture, Precision, Weights, to_json};
use crate::model::{Card, Kind};
use crate::net::{Activations, Net};
use crate::random::Random;
use crate::run::{self, Run, State, Team};

pub use crate::dense::data::Inputs;

/// Parameters of training `mlp-dense`. The defaults are the paper's plain network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct TrainParams {
    /// What the network is told of the matrix: its `bands`, or the `full` matrix.
    pub inputs: Inputs,
    /// Measure errors of the inverse between roots of the unshifted mesh's matrix, A0^½ (M − A⁻¹) A0^½.
    pub whiten: bool,
    /// Penalty of the ridge regression that the network adds to, against inputs of mean square 1; no
    /// linear part where it is left out.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub ridge: Option<f64>,
    /// Principal components of the inverses that are predicted; 0 for whole inverses.
    #[schemars(range(max = 4096))]
    pub components: usize,
    /// Widths of the hidden layers; 0 for the number of unknowns.
    #[schemars(length(min = 1, max = 8))]
    pub hidden: Vec<usize>,
    /// Training matrices, those for validation included.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub matrices: usize,
    /// Part of them kept for validation: the weights best on them are returned; 0 for the last weights.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub validation: f64,
    /// Epochs without an improvement in validation after which the run ends; 0 for never.
    pub patience: u64,
    /// Passes over the matrices.
    #[schemars(range(min = 1))]
    pub epochs: u64,
    /// Matrices a step and rank.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch: usize,
    /// Learning rate of Adam.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rate: f64,
    /// How the rate changes over the run.
    pub schedule: Decay,
    /// How the large arrays of the model file are stored: `f32` or `bf16`.
    pub precision: Precision,
    /// Seed of the matrices, the starting weights and the order.
    pub seed: u64,
}

/// How a learning rate changes over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Decay {
    /// Not at all.
    #[default]
    Constant,
    /// Half a wave of the cosine, down to zero.
    Cosine,
}

impl Decay {
    fn factor(self, step: u64, steps: u64) -> f64 {
        match self {
            Decay::Constant => 1.0,
            Decay::Cosine => {
                0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps.max(1) as f64).cos())
            }
        }
    }
}

impl Default for TrainParams {
    fn default() -> Self {
        TrainParams {
            inputs: Inputs::Bands,
            whiten: false,
            ridge: None,
            components: 0,
            hidden: vec![0; 3],
            matrices: 10_000,
            validation: 0.0,
            patience: 0,
            epochs: 1000,
            batch: 100,
            rate: 1e-3,
            schedule: Decay::Constant,
            precision: Precision::F32,
            seed: 1,
        }
    }
}

/// Adam's decay rates of mean and square.
const DECAY: [f64; 2] = [0.9, 0.999];
/// Matrices of a step of the validation.
const VALIDATED: usize = 256;

/// Where a run stands beside its weights.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde")]
struct Standing {
    /// Sum of the losses of the epoch so far, and the mean loss of the one before; as bits.
    epoch: u64,
    before: u64,
    /// Least validation loss, as bits; epochs since.
    least: u64,
    since: u64,
    /// Whether it came to an early end.
    stopped: bool,
}

/// A training run.
pub(crate) struct Trainer {
    team: Team,
    params: TrainParams,
    description: Value,
    net: Net,
    /// Systems that the network learns from; those behind them are for validation.
    learned: usize,
    /// Systems a step, of all ranks together.
    batch: usize,
    /// Inputs of the network and what it has to give, system after system.
    inputs: Vec<f32>,
    targets: Vec<f32>,
    /// Which target each output has: the plain network's outputs meet most targets twice.
    place: Vec<usize>,
    /// What the network's outputs are multiplied by.
    size: f32,
    /// The map around the network, whose place is still empty.
    around: Weights,
    /// The part of the targets' variance that the ridge regression left.
    left: f64,
    order: Vec<usize>,
    x: Vec<f32>,
    y: Vec<f32>,
    activations: Activations<f32>,
    gradient: Vec<f32>,
    state: State,
    standing: Standing,
    best: Vec<f32>,
}

impl Trainer {
    /// Makes the data and does what needs no steps.
    pub fn new(
        params: &TrainParams,
        samples: &dyn Samples,
        host: &Arc<dyn Host>,
        comm: &Comm,
    ) -> Result<Self> {
        let team = Team::new(comm);
        let grid = grid_of(samples, params.seed)?;
        let n = grid.nodes();
        let kept_back = (params.matrices as f64 * params.validation) as usize;
        let mut params = params.clone();
        params.hidden.iter_mut().filter(|width| **width == 0).for_each(|width| *width = n);
        let learned = params.matrices - kept_back;
        params.batch = params.batch.min(learned);
        let batch = (params.batch * team.size()).min(learned);
        let shape = Shape {
            grid,
            inputs: params.inputs,
            whiten: params.whiten,
            targets: Targets::new(params.components, grid),
            systems: params.matrices,
            learned,
            seed: params.seed,
        };
        let architecture = Architecture {
            grid: [grid.mx, grid.my],
            inputs: params.inputs,
            whiten: params.whiten,
            ridge: params.ridge.is_some(),
            components: shape.targets.components(),
            hidden: params.hidden.clone(),
        };
        let net = architecture
            .net()
            .ok_or_else(|| Error::Parameter("'hidden': give at least one layer".into()))?;
        shape.affordable(params.ridge.is_some(), net.len())?;
        let mut data = Data::new(&shape, samples, host.as_ref())?;
        let plain = architecture.plain();
        let k = shape.targets.count(grid);
        let (mut linear, mut size) = (None, 1.0);
        if plain {
            let frame = &data.expansion.frame;
            data.targets.chunks_exact_mut(k).for_each(|vector| frame.to_entries(vector));
        } else {
            let part = Linear::take_out(params.ridge, &mut data, params.matrices, learned)?;
            let rest = mean_square(&data.targets[..learned * k], learned);
            size = (rest / k as f64).sqrt().max(f64::from(f32::MIN_POSITIVE)) as f32;
            data.targets.iter_mut().for_each(|t| *t /= size);
            linear = Some(part);
        }
        let left = linear.as_ref().map_or(1.0, |part| part.left);
        let around = Weights {
            architecture,
            standard: linear.as_ref().map(|part| part.standard.clone()),
            linear: linear.and_then(|part| part.fitted),
            net: None,
            expansion: (!plain).then_some(data.expansion),
        };
        let mut random = Random::new(params.seed, 1);
        let parameters: Vec<f32> = net.start(&mut random, 1.0);
        let most = params.batch.max(if kept_back > 0 { VALIDATED } else { 0 });
        Ok(Trainer {
            description: serde_json::from_str(&samples.describe()).unwrap_or(Value::Null),
            learned,
            batch,
            inputs: data.inputs,
            targets: data.targets,
            place: if plain { both_triangles(n) } else { (0..k).collect() },
            size,
            around,
            left,
            order: (0..learned).collect(),
            x: vec![0.0; net.inputs() * most],
            y: vec![0.0; net.outputs() * most],
            activations: net.activations(most),
            gradient: vec![0.0; net.len()],
            best: parameters.clone(),
            state: State::new(parameters, DECAY, random, &team),
            team,
            standing: Standing { least: f64::INFINITY.to_bits(), ..Standing::default() },
            params,
            net,
        })
    }

    fn card(&self) -> Result<Card> {
        let architecture = to_json(&self.around.architecture)?;
        run::card(MlpDense::NAME, architecture, &self.params, &self.description)
    }

    fn steps_an_epoch(&self) -> u64 {
        (self.learned / self.batch) as u64
    }

    /// The order of an epoch depends on its number only.
    fn shuffle(&mut self, epoch: u64) {
        for (k, place) in self.order.iter_mut().enumerate() {
            *place = k;
        }
        Random::new(self.params.seed, 2 + epoch).shuffle(&mut self.order);
    }

    /// Evaluates the network for some systems; leaves the errors of its outputs in `y` and returns the sum
    /// of their squares.
    fn errors(&mut self, systems: &[usize]) -> f64 {
        let Trainer { net, inputs, targets, place, x, y, activations, state, .. } = self;
        let (count, ni) = (systems.len(), net.inputs());
        for (b, &system) in systems.iter().enumerate() {
            for (i, &value) in inputs[system * ni..(system + 1) * ni].iter().enumerate() {
                x[i * count + b] = value;
            }
        }
        let (x, y) = (&x[..ni * count], &mut y[..net.outputs() * count]);
        net.forward(&state.parameters, x, count, activations, y);
        let width = place.last().map_or(0, |last| last + 1);
        let mut sum = 0.0;
        for (row, &place) in y.chunks_exact_mut(count).zip(place.iter()) {
            for (value, &system) in row.iter_mut().zip(systems) {
                *value -= targets[system * width + place];
                sum += f64::from(*value * *value);
            }
        }
        sum
    }

    /// What there is to do between two epochs. Collective.
    fn close_epoch(&mut self) -> Result<()> {
        let mean = f64::from_bits(self.standing.epoch) / self.steps_an_epoch() as f64;
        (self.standing.before, self.standing.epoch) = (mean.to_bits(), 0.0f64.to_bits());
        let rest: Vec<usize> = (self.learned..self.params.matrices).collect();
        if rest.is_empty() {
            return Ok(());
        }
        let mine = &rest[self.team.share(rest.len())];
        let mut sum = [mine.chunks(VALIDATED).map(|systems| self.errors(systems)).sum()];
        self.team.sum(&mut sum)?;
        let loss = sum[0] / (rest.len() * self.net.outputs()) as f64;
        if loss < f64::from_bits(self.standing.least) {
            (self.standing.least, self.standing.since) = (loss.to_bits(), 0);
            self.best.copy_from_slice(&self.state.parameters);
        } else {
            self.standing.since += 1;
            self.standing.stopped = self.standing.since == self.params.patience;
        }
        Ok(())
    }

    /// The mean loss of this rank's share of a step's systems, and its gradient; both zero for none.
    fn differentiate(&mut self, systems: &[usize]) -> f64 {
        self.gradient.fill(0.0);
        if systems.is_empty() {
            return 0.0;
        }
        let sum = self.errors(systems);
        let Trainer { net, x, y, activations, gradient, state, .. } = self;
        let count = systems.len();
        let (x, y) = (&x[..net.inputs() * count], &mut y[..net.outputs() * count]);
        let weight = 2.0 / y.len() as f32;
        y.iter_mut().for_each(|error| *error *= weight);
        net.backward(&state.parameters, x, count, activations, y, gradient);
        sum / y.len() as f64
    }

    fn validated(&self) -> bool {
        self.learned < self.params.matrices
    }

    fn metrics(&self, weights: &Weights) -> Value {
        let least = f64::from_bits(self.standing.least);
        json!({
            "steps": self.state.step,
            "ranks": self.state.ranks,
            "epochs": self.state.step / self.steps_an_epoch(),
            "loss": f64::from_bits(self.standing.before),
            "validation_loss": if self.validated() { json!(least) } else { Value::Null },
            "left_by_ridge": self.left,
            "parameters": weights.parameters(),
            "flops": weights.flops(),
        })
    }
}

/// Places in the upper triangle of all entries of an `n × n` matrix.
fn both_triangles(n: usize) -> Vec<usize> {
    let place = |i: usize, j: usize| triangle(n) - triangle(n - i) + j - i;
    (0..n * n).map(|k| place((k / n).min(k % n), (k / n).max(k % n))).collect()
}

impl Run for Trainer {
    fn steps(&self) -> (u64, u64) {
        let all = self.params.epochs * self.steps_an_epoch();
        (self.state.step, if self.standing.stopped { self.state.step } else { all })
    }

    fn advance(&mut self) -> Result<Progress> {
        let (step, steps) = self.steps();
        let (epoch, within) = (step / self.steps_an_epoch(), step % self.steps_an_epoch());
        if within == 0 {
            self.shuffle(epoch);
        }
        let batch = self.batch;
        let picked = &self.order[within as usize * batch..][..batch];
        let mine = picked[self.team.share(batch)].to_vec();
        let loss = self.differentiate(&mine);
        let Trainer { params, net, gradient, state, team, .. } = self;
        let loss = team.mean(batch, gradient, loss)?;
        let rate = params.rate * params.schedule.factor(step, steps);
        state.adam.begin();
        state.adam.update(0..net.len(), rate, gradient, &mut state.parameters);
        state.count(steps, loss);
        self.standing.epoch = (f64::from_bits(self.standing.epoch) + loss).to_bits();
        if within + 1 == self.steps_an_epoch() {
            self.close_epoch()?;
        }
        self.state.more = json!(self.standing);
        Ok(Progress { step: self.state.step, steps: self.steps().1, loss, learning_rate: rate })
    }

    fn model(&self) -> Result<Vec<u8>> {
        let mut parameters =
            if self.validated() { self.best.clone() } else { self.state.parameters.clone() };
        for tensor in self.net.tensors().iter().rev().take(2) {
            parameters[tensor.range()].iter_mut().for_each(|p| *p *= self.size);
        }
        let weights = Weights { net: Some((self.net.clone(), parameters)), ..self.around.clone() };
        let mut card = self.card()?;
        (card.kind, card.metrics) = (Kind::Model, self.metrics(&weights));
        weights.write(&card, self.params.precision)
    }

    fn checkpoint(&self) -> Result<Vec<u8>> {
        self.state.checkpoint(self.card()?, &[(BEST, &self.best)])
    }

    fn resume(&mut self, checkpoint: &[u8]) -> Result<()> {
        let card = self.card()?;
        for best in self.state.resume(checkpoint, &card, &[BEST])? {
            self.best = best;
        }
        self.standing = serde_json::from_value(self.state.more.clone())
            .map_err(|_| Error::Data("the checkpoint has no usable 'more'".into()))?;
        self.shuffle(self.state.step / self.steps_an_epoch());
        Ok(())
    }
}

/// Name of the best weights so far in a checkpoint.
const BEST: &str = "best";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::{agree, on_ranks};

    #[test]
    fn the_gradient_of_several_ranks_is_that_of_one_with_all_their_batches() {
        let first = |ranks: usize, batch: usize| {
            let small = TrainParams { matrices: 24, validation: 0.25, ..TrainParams::default() };
            let params = TrainParams { batch, hidden: vec![6, 5], ..small };
            on_ranks(ranks, &[2], |comm, samples, host| {
                let mut run = Trainer::new(&params, samples, host, comm).unwrap();
                let mine = run.order[..run.batch][run.team.share(run.batch)].to_vec();
                let loss = run.differentiate(&mine);
                let loss = run.team.mean(run.batch, &mut run.gradient, loss).unwrap();
                let gradient = run.gradient.clone();
                run.close_epoch().unwrap();
                vec![(loss, gradient), (f64::from_bits(run.standing.least), vec![1.0])]
            })
        };
        // With 18 matrices to learn from, twice 12 are all of them.
        for (ranks, batch) in [(2, 3), (3, 2), (5, 1), (2, 12)] {
            agree(&first(1, ranks * batch), &first(ranks, batch));
        }
    }
}
