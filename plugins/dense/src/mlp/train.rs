//! Training of `mlp-dense`.
//!
//! The data are made once ([`data`](crate::learned::data)). What the ridge regression leaves of the targets, scaled to
//! mean square 1, is what the network learns, by the mean square of its error; the plain network learns the entries of
//! the inverse themselves. Adam, an order of the systems of its own for every epoch. All else is as in every training
//! ([`run`](precondor_neural::run)); the validation loss is looked at after every epoch.

use precondor_sdk::core::train::Samples;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::json;

use crate::learned::data::{Data, Shape, Targets, grid_of};
use crate::learned::frame::triangle;
use crate::learned::linear::{Linear, mean_square};
use crate::learned::weights::{Architecture, Precision, Weights, to_json};
use crate::mlp::MlpDense;
use precondor_neural::model::{Card, Initial};
use precondor_neural::net::{Activation, Activations, Net};
use precondor_neural::optim::{Optimiser, Schedule};
use precondor_neural::random::Random;
use precondor_neural::run::{Plan, Task};
use precondor_neural::team::Team;

pub use crate::learned::data::Inputs;

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
    /// Neurons of each hidden layer, from the inputs to the outputs; three layers as wide as the matrix where
    /// they are left out.
    #[schemars(length(min = 1, max = 8), inner(range(min = 1, max = 65_536)))]
    pub hidden: Option<Vec<usize>>,
    /// What hidden layers do to their sums.
    #[serde(skip_serializing_if = "Activation::is_default")]
    #[schemars(extend("default" = "relu"))]
    pub activation: Activation,
    /// Matrices to learn from, shared evenly by the families.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub pool: usize,
    /// Matrices of each family, drawn after the pool, to watch the loss on: the weights with the least loss
    /// there are the model; with 0 the last ones are.
    #[schemars(range(min = 0, max = 100_000))]
    pub validation: usize,
    /// Steps without a smaller loss on the matrices of `validation` after which the run ends; 0 for never.
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
    /// A model of this method that the run starts from: its network takes the place of random weights, and its linear part,
    /// mean and components are kept; its architecture has to be that of these parameters. What it was trained on is told by
    /// the new model, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-precondor-file" = true))]
    pub initial: Option<String>,
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

impl From<Decay> for Schedule {
    fn from(decay: Decay) -> Self {
        match decay {
            Decay::Constant => Schedule::Constant,
            Decay::Cosine => Schedule::Cosine,
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
            hidden: None,
            activation: Activation::Relu,
            pool: 10_000,
            validation: 0,
            patience: 0,
            epochs: 1000,
            batch: 100,
            rate: 1e-3,
            schedule: Decay::Constant,
            precision: Precision::F32,
            seed: 1,
            initial: None,
        }
    }
}

/// Adam's decay rates of mean and square.
const DECAY: [f64; 2] = [0.9, 0.999];
/// Matrices of a step of the validation.
const VALIDATED: usize = 256;

/// What is learned, and from what.
pub(crate) struct Learner {
    team: Team,
    params: TrainParams,
    card: Card,
    net: Net,
    /// Systems that the network learns from; those behind them are for validation.
    learned: usize,
    systems: usize,
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
    /// The weights of the model that the run starts from.
    initial: Option<Vec<f32>>,
    /// The part of the targets' variance that the ridge regression left.
    left: f64,
    /// The order of the systems in an epoch, and which.
    order: (Vec<usize>, Option<u64>),
    x: Vec<f32>,
    y: Vec<f32>,
    activations: Activations<f32>,
}

impl Learner {
    /// Makes the data and does what needs no steps. Collective.
    ///
    /// # Errors
    /// As [`Data::new`] and [`Initial::read`]; [`Error::Parameter`] for a model of another architecture.
    pub fn new(
        params: &TrainParams,
        samples: &dyn Samples,
        host: &dyn Host,
        comm: &Comm,
    ) -> Result<Self> {
        let team = Team::new(comm);
        let grid = grid_of(samples, params.seed)?;
        let n = grid.nodes();
        let mut params = params.clone();
        let hidden = params.hidden.get_or_insert_with(|| vec![n; 3]).clone();
        let families = samples.families();
        let learned = params.pool.div_ceil(families) * families;
        let systems = learned + params.validation * families;
        params.batch = params.batch.min(learned);
        let batch = (params.batch * team.size()).min(learned);
        let shape = Shape {
            grid,
            inputs: params.inputs,
            whiten: params.whiten,
            targets: Targets::new(params.components, grid),
            systems,
            learned,
            seed: params.seed,
        };
        let architecture = Architecture {
            grid: [grid.mx, grid.my],
            inputs: params.inputs,
            whiten: params.whiten,
            ridge: params.ridge.is_some(),
            components: shape.targets.components(),
            hidden,
            activation: params.activation,
        };
        let net = architecture
            .net()
            .ok_or_else(|| Error::Parameter("'hidden': give at least one layer".into()))?;
        let initial = Initial::read(params.initial.as_deref(), host)?;
        let known = initial.as_ref().map(|initial| {
            let known = initial.weights(|bytes| Weights::read(bytes, MlpDense::NAME))?;
            initial.require(&known.architecture, &architecture).map(|()| known)
        });
        let known = known.transpose()?;
        shape.affordable(params.ridge.is_some(), net.len())?;
        let expansion = known.as_ref().and_then(|known| known.expansion.as_ref());
        let mut data = Data::new(&shape, samples, host, expansion)?;
        let plain = architecture.plain();
        let k = shape.targets.count(grid);
        let (mut linear, mut size) = (None, 1.0);
        if plain {
            let frame = &data.expansion.frame;
            data.targets.chunks_exact_mut(k).for_each(|vector| frame.to_entries(vector));
        } else {
            let fitted = known
                .as_ref()
                .and_then(|known| Some((known.standard.clone()?, known.linear.clone())));
            let part = Linear::take_out(params.ridge, fitted, &mut data, systems, learned)?;
            let rest = mean_square(&data.targets[..learned * k], learned);
            size = (rest / k as f64).sqrt().max(f64::from(f32::MIN_POSITIVE)) as f32;
            data.targets.iter_mut().for_each(|t| *t /= size);
            linear = Some(part);
        }
        let left = linear.as_ref().map_or(1.0, |part| part.left);
        let of = (MlpDense::NAME, env!("CARGO_PKG_VERSION"));
        let card =
            Card::of_run(of, to_json(&architecture)?, &params, samples)?.after(initial.as_ref());
        let start = known.and_then(|known| known.net).map(|(net, mut parameters)| {
            scale_outputs(&net, 1.0 / size, &mut parameters);
            parameters
        });
        let around = Weights {
            architecture,
            standard: linear.as_ref().map(|part| part.standard.clone()),
            linear: linear.and_then(|part| part.fitted),
            net: None,
            expansion: (!plain).then_some(data.expansion),
        };
        let most = params.batch.max(if systems > learned { VALIDATED } else { 0 });
        Ok(Learner {
            card,
            learned,
            systems,
            batch,
            inputs: data.inputs,
            targets: data.targets,
            place: if plain { both_triangles(n) } else { (0..k).collect() },
            size,
            around,
            initial: start,
            left,
            order: ((0..learned).collect(), None),
            x: vec![0.0; net.inputs() * most],
            y: vec![0.0; net.outputs() * most],
            activations: net.activations(most),
            team,
            params,
            net,
        })
    }

    fn steps_an_epoch(&self) -> u64 {
        (self.learned / self.batch) as u64
    }

    /// This rank's share of the systems of a step. The order in an epoch depends on its number only.
    fn picked(&mut self, step: u64) -> Vec<usize> {
        let (epoch, within) = (step / self.steps_an_epoch(), step % self.steps_an_epoch());
        let (order, known) = &mut self.order;
        if *known != Some(epoch) {
            order.iter_mut().enumerate().for_each(|(k, place)| *place = k);
            Random::new(self.params.seed, 2 + epoch).shuffle(order);
            *known = Some(epoch);
        }
        order[within as usize * self.batch..][..self.batch][self.team.share(self.batch)].to_vec()
    }

    /// Evaluates the network for some systems; leaves the errors of its outputs in `y` and returns the sum
    /// of their squares.
    fn errors(&mut self, parameters: &[f32], systems: &[usize]) -> f64 {
        let Learner { net, inputs, targets, place, x, y, activations, .. } = self;
        let (count, ni) = (systems.len(), net.inputs());
        for (b, &system) in systems.iter().enumerate() {
            for (i, &value) in inputs[system * ni..(system + 1) * ni].iter().enumerate() {
                x[i * count + b] = value;
            }
        }
        let (x, y) = (&x[..ni * count], &mut y[..net.outputs() * count]);
        net.forward(parameters, x, count, activations, y);
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

    /// The mean loss over some systems; adds its derivative to `gradient`. Zero for none.
    fn on_share(&mut self, parameters: &[f32], systems: &[usize], gradient: &mut [f32]) -> f64 {
        if systems.is_empty() {
            return 0.0;
        }
        let sum = self.errors(parameters, systems);
        let Learner { net, x, y, activations, .. } = self;
        let count = systems.len();
        let (x, y) = (&x[..net.inputs() * count], &mut y[..net.outputs() * count]);
        let weight = 2.0 / y.len() as f32;
        y.iter_mut().for_each(|error| *error *= weight);
        net.backward(parameters, x, count, activations, y, gradient);
        sum / y.len() as f64
    }
}

/// Multiplies the outputs of a network.
fn scale_outputs(net: &Net, factor: f32, parameters: &mut [f32]) {
    for tensor in net.tensors().iter().rev().take(2) {
        parameters[tensor.range()].iter_mut().for_each(|p| *p *= factor);
    }
}

/// Places in the upper triangle of all entries of an `n × n` matrix.
fn both_triangles(n: usize) -> Vec<usize> {
    let place = |i: usize, j: usize| triangle(n) - triangle(n - i) + j - i;
    (0..n * n).map(|k| place((k / n).min(k % n), (k / n).max(k % n))).collect()
}

impl Task for Learner {
    fn net(&self) -> &Net {
        &self.net
    }

    fn plan(&self) -> Plan {
        let TrainParams { seed, epochs, rate, patience, validation, schedule, .. } = self.params;
        Plan {
            seed,
            steps: epochs * self.steps_an_epoch(),
            look_every: (validation > 0).then(|| self.steps_an_epoch()),
            patience,
            optimiser: Optimiser::adam_alone(self.net.len(), DECAY, rate),
            schedule: schedule.into(),
            longest: f64::INFINITY,
        }
    }

    fn start(&self, random: &mut Random) -> Vec<f32> {
        self.initial.clone().unwrap_or_else(|| self.net.start(random, 1.0))
    }

    fn card(&self) -> &Card {
        &self.card
    }

    fn differentiate(
        &mut self,
        step: u64,
        parameters: &[f32],
        _: &mut Random,
        gradient: &mut [f32],
    ) -> Result<f64> {
        let mine = self.picked(step);
        let loss = self.on_share(parameters, &mine, gradient);
        self.team.mean(self.batch, gradient, loss)
    }

    fn validate(&mut self, parameters: &[f32]) -> Result<f64> {
        let rest: Vec<usize> = (self.learned..self.systems).collect();
        let mine = &rest[self.team.share(rest.len())];
        let of = |systems| self.errors(parameters, systems);
        let mut sum = [mine.chunks(VALIDATED).map(of).sum()];
        self.team.sum(&mut sum)?;
        Ok(sum[0] / (rest.len() * self.net.outputs()) as f64)
    }

    fn model(&mut self, parameters: &[f32], mut card: Card) -> Result<Vec<u8>> {
        let mut parameters = parameters.to_vec();
        scale_outputs(&self.net, self.size, &mut parameters);
        let weights = Weights { net: Some((self.net.clone(), parameters)), ..self.around.clone() };
        card.add_metrics(json!({
            "left_by_ridge": self.left,
            "parameters": weights.parameters(),
            "flops": weights.flops(),
        }));
        weights.write(&card, self.params.precision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_neural::check::{agree, on_ranks};

    #[test]
    fn the_gradient_of_several_ranks_is_that_of_one_with_all_their_batches() {
        let first = |ranks: usize, batch: usize| {
            let hidden = Some(vec![6, 5]);
            let params =
                TrainParams { pool: 18, validation: 6, batch, hidden, ..TrainParams::default() };
            on_ranks(ranks, &[2], |comm, samples, host| {
                let mut learner = Learner::new(&params, samples, &**host, comm).unwrap();
                let mut random = Random::new(params.seed, 1);
                let parameters = learner.start(&mut random);
                let mut gradient = vec![0.0; parameters.len()];
                let loss = learner.differentiate(0, &parameters, &mut random, &mut gradient);
                let validated = learner.validate(&parameters).unwrap();
                vec![(loss.unwrap(), gradient), (validated, vec![1.0])]
            })
        };
        // With 18 matrices to learn from, twice 12 are all of them.
        for (ranks, batch) in [(2, 3), (3, 2), (5, 1), (2, 12)] {
            agree(&first(1, ranks * batch), &first(ranks, batch));
        }
    }
}
