//! Training of `mlp-fsai`: Adam on the mean objective ([`objective`](super::objective)) over random matrices of a pool,
//! all families alike; the parameters that do best on matrices outside the pool are kept, and the run
//! ends early where they have not got better for a while.

use std::sync::Arc;

use precondor_sdk::core::host::Host;
use precondor_sdk::core::kernel::chunks::{self, Pool};
use precondor_sdk::core::train::{Progress, Samples};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};

use super::NAME;
use super::factor::Weights;
use super::features::FEATURES;
use super::objective::{Loss, Moments, Sample, Scratch};
use crate::model::{self, Card, Kind, Part, Reader};
use crate::net::{Net, Role};
use crate::optim::{Schedule, clip};
use crate::random::Random;
use crate::run::{self, Run, State, Team};

/// Parameters of training `mlp-fsai`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct TrainParams {
    /// G has the lower triangle of the pattern of this power of A.
    #[schemars(range(min = 1, max = 4))]
    pub power: u32,
    /// Neurons of a hidden layer.
    #[schemars(range(min = 1, max = 256))]
    pub width: usize,
    /// Hidden layers.
    #[schemars(range(min = 1, max = 4))]
    pub hidden: usize,
    /// Steps of the optimiser, at most.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Matrices a step and rank.
    #[schemars(range(min = 1, max = 4096))]
    pub batch: usize,
    /// Matrices in the pool, shared evenly by the families.
    #[schemars(range(min = 1, max = 100_000))]
    pub pool: usize,
    /// Matrices of each family outside the pool, to choose the best parameters by.
    #[schemars(range(min = 1, max = 10_000))]
    pub validation: usize,
    /// Steps without improvement after which the run ends.
    #[schemars(range(min = 1))]
    pub patience: u64,
    /// Price μ on the distance from FSAI: the objective is log κ(B) + μ/√κ₀ n log K(B), B = G A Gᵀ,
    /// K Kaporin's condition number, κ₀ that of FSAI. Small ones do better on large matrices, large ones on small ones.
    #[schemars(range(min = 0.0))]
    pub price: f64,
    /// Learning rate of Adam.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rate: f64,
    /// Seed of the matrices, the starting weights and the batches.
    pub seed: u64,
}

impl Default for TrainParams {
    fn default() -> Self {
        TrainParams {
            power: 1,
            width: 16,
            hidden: 2,
            steps: 1500,
            batch: 12,
            pool: 360,
            validation: 8,
            patience: 1000,
            price: 0.1,
            rate: 0.003,
            seed: 1,
        }
    }
}

/// Steps over which the rate rises.
const WARM_UP: u64 = 50;
/// Fraction of the run after which it falls.
const FLAT: f64 = 0.3;
/// Longest gradient that is taken as it is.
const LONGEST: f64 = 1.0;
/// Adam's decay rates of mean and square.
const DECAY: [f64; 2] = [0.9, 0.99];
/// Steps between looks at the matrices outside the pool.
const VALIDATE: u64 = 100;

/// The network.
pub fn network(width: usize, hidden: usize) -> Net {
    Net::new(FEATURES, &vec![width; hidden], 1, false)
}

/// Starting parameters: random, and all outputs zero.
pub fn start(net: &Net, random: &mut Random) -> Vec<f32> {
    let mut parameters: Vec<f32> = net.start(random, 0.0);
    if let Some(bias) = net.tensors().iter().rfind(|t| t.role == Role::Bias) {
        parameters[bias.range()].fill(0.0);
    }
    parameters
}

/// How well the parameters did outside the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde")]
struct Best {
    /// Mean of the objective, as bits: text may round.
    value: u64,
    /// log κ less FSAI's: mean and worst of every family.
    families: Vec<[f64; 2]>,
    /// Step it was reached at.
    step: u64,
    /// Whether the run has ended.
    ended: bool,
}

/// A training run.
pub(crate) struct Trainer {
    team: Team,
    params: TrainParams,
    description: Value,
    host: Arc<dyn Host>,
    net: Net,
    /// Matrices of each family: the pool's, then those outside it.
    families: Vec<Vec<Sample<f32>>>,
    each: usize,
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
    schedule: Schedule,
    best: Best,
    best_parameters: Vec<f32>,
    state: State,
}

impl Trainer {
    /// Makes the matrices and the starting weights.
    ///
    /// # Errors
    /// As [`Sample::new`].
    pub fn new(
        params: &TrainParams,
        samples: &dyn Samples,
        host: &Arc<dyn Host>,
        comm: &Comm,
    ) -> Result<Self> {
        let team = Team::new(comm);
        let net = network(params.width, params.hidden);
        let count = samples.families();
        if count == 0 {
            return Err(Error::Data("there are no training systems".into()));
        }
        let each = params.pool.div_ceil(count);
        let total = each + params.validation;
        let made = chunks::collect(host.as_ref(), count * total, 1, |range| {
            let (family, index) = (range.start / total, range.start % total);
            let system = samples.sample(family, params.seed, index as u64)?;
            let random = Random::new(params.seed, 2 + range.start as u64);
            Sample::new(&precondor_sdk::core::host::Alone, system.a(), params.power, random)
                .map_err(|e| e.inside(format!("training system {index} of problem {family}")))
        })?;
        let in_pool = made.chunks(total).flat_map(|family| &family[..each]);
        let (mean, inverse_deviation) = Moments::of(in_pool).scales();
        let mut families: Vec<Vec<Sample<f32>>> = Vec::new();
        for (k, mut sample) in made.into_iter().enumerate() {
            sample.scale(&mean, &inverse_deviation);
            if k % total == 0 {
                families.push(Vec::new());
            }
            families[k / total].push(sample);
        }
        let mut random = Random::new(params.seed, 1);
        let parameters = start(&net, &mut random);
        let best =
            Best { value: 0f64.to_bits(), families: vec![[0.0; 2]; count], step: 0, ended: false };
        Ok(Trainer {
            description: serde_json::from_str(&samples.describe()).unwrap_or(Value::Null),
            host: Arc::clone(host),
            families,
            each,
            mean,
            inverse_deviation,
            schedule: Schedule { steps: params.steps, warm_up: WARM_UP, flat: FLAT },
            best_parameters: parameters.clone(),
            state: State { more: json!(best), ..State::new(parameters, DECAY, random, &team) },
            team,
            best,
            params: params.clone(),
            net,
        })
    }

    fn card(&self) -> Result<Card> {
        let TrainParams { power, width, hidden, .. } = self.params;
        let architecture = json!({ "power": power, "width": width, "hidden": hidden });
        run::card(NAME, architecture, &self.params, &self.description)
    }

    /// Losses of samples, and the mean of their gradients, summed in the same order on any number of threads.
    fn evaluate(&self, samples: &[&Sample<f32>], derive: bool) -> Result<(Vec<Loss>, Vec<f32>)> {
        let pool = Pool::default();
        let weight = 1.0 / samples.len() as f32;
        let parts = chunks::collect(self.host.as_ref(), samples.len(), 1, |range| {
            pool.with(
                || Scratch::new(&self.net),
                |scratch| {
                    let mut gradient = vec![0.0; if derive { self.net.len() } else { 0 }];
                    let price = self.params.price;
                    let into = derive.then_some((price, weight, gradient.as_mut_slice()));
                    let sample = samples[range.start];
                    let loss = sample.evaluate(&self.net, &self.state.parameters, scratch, into);
                    Ok((loss, gradient))
                },
            )
        })?;
        let mut sum = vec![0.0; self.net.len()];
        for (_, gradient) in &parts {
            sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
        Ok((parts.into_iter().map(|(loss, _)| loss).collect(), sum))
    }

    /// Looks at the matrices outside the pool, each rank at its share. Collective.
    fn validate(&mut self) -> Result<()> {
        let outside: Vec<&Sample<f32>> =
            self.families.iter().flat_map(|family| &family[self.each..]).collect();
        let (mine, _) = self.evaluate(&outside[self.team.share(outside.len())], false)?;
        let words = mine.iter().flat_map(|loss| [loss.condition, loss.kaporin].map(f64::to_bits));
        let words = self.team.gather(&words.collect::<Vec<_>>())?;
        let loss = |[condition, kaporin]: &[u64; 2]| Loss {
            condition: f64::from_bits(*condition),
            kaporin: f64::from_bits(*kaporin),
        };
        let losses: Vec<Loss> = words.as_chunks().0.iter().map(loss).collect();
        let families: Vec<[f64; 2]> = losses
            .chunks(self.params.validation)
            .map(|losses| {
                let condition = losses.iter().map(|loss| loss.condition);
                let mean = condition.clone().sum::<f64>() / losses.len() as f64;
                [mean, condition.fold(f64::NEG_INFINITY, f64::max)]
            })
            .collect();
        let value = mean(&outside, &losses, self.params.price);
        if value < f64::from_bits(self.best.value) {
            self.best =
                Best { value: value.to_bits(), families, step: self.state.step, ended: false };
            self.best_parameters.clone_from(&self.state.parameters);
        }
        Ok(())
    }

    /// Draws the next batch; the mean loss over all ranks, and its gradient. Collective.
    fn differentiate(&mut self) -> Result<(f64, Vec<f32>)> {
        let (count, each, random) = (self.families.len(), self.each, &mut self.state.random);
        let mut pick = || (random.below(count), random.below(each));
        let batch = self.params.batch * self.team.size();
        let picked: Vec<_> = (0..batch).map(|_| pick()).collect();
        let mine = picked[self.team.share(batch)].iter();
        let mine: Vec<_> = mine.map(|&(family, k)| &self.families[family][k]).collect();
        let (losses, mut gradient) = self.evaluate(&mine, true)?;
        let loss = mean(&mine, &losses, self.params.price);
        let loss = self.team.mean(batch, &mut gradient, loss)?;
        Ok((loss, gradient))
    }

    /// Follows the gradient of a batch; its mean loss. Collective.
    fn descend(&mut self, rate: f64) -> Result<f64> {
        let (loss, mut gradient) = self.differentiate()?;
        if clip(&mut gradient, LONGEST).is_finite() {
            self.state.adam.begin();
            let all = 0..self.net.len();
            self.state.adam.update(all, rate, &gradient, &mut self.state.parameters);
        } else {
            self.state.skipped += 1;
        }
        Ok(loss)
    }
}

/// Mean of the objective over samples.
fn mean(samples: &[&Sample<f32>], losses: &[Loss], mu: f64) -> f64 {
    let value = |(sample, loss): (&&Sample<f32>, &Loss)| loss.value(sample.price(mu));
    samples.iter().zip(losses).map(value).sum::<f64>() / samples.len() as f64
}

/// The best parameters' array in a checkpoint.
const BEST: &str = "best";

impl Run for Trainer {
    fn steps(&self) -> (u64, u64) {
        let steps = if self.best.ended { self.state.step } else { self.params.steps };
        (self.state.step, steps)
    }

    fn advance(&mut self) -> Result<Progress> {
        let rate = self.params.rate * self.schedule.factor(self.state.step);
        let loss = self.descend(rate)?;
        self.state.count(self.params.steps, loss);
        let step = self.state.step;
        if step.is_multiple_of(VALIDATE) || step == self.params.steps {
            self.validate()?;
            self.best.ended = step - self.best.step >= self.params.patience;
            self.state.more = json!(self.best);
        }
        Ok(Progress { step, steps: self.steps().1, loss, learning_rate: rate })
    }

    fn model(&self) -> Result<Vec<u8>> {
        let mut card = self.card()?;
        card.kind = Kind::Model;
        card.metrics = json!({
            "steps": self.state.step,
            "ranks": self.state.ranks,
            "skipped_steps": self.state.skipped,
            "parameters": self.net.len(),
            "best_step": self.best.step,
            "objective": f64::from_bits(self.best.value),
            "log_condition_less_fsai_by_family_mean_and_worst": self.best.families,
        });
        let vector = |name: &str, values| Part { name: name.into(), shape: vec![FEATURES], values };
        let mut parts = vec![
            vector("input.mean", &self.mean),
            vector("input.inverse_deviation", &self.inverse_deviation),
        ];
        parts.extend(self.net.tensors().iter().map(|tensor| Part {
            name: tensor.name.clone(),
            shape: vec![tensor.rows, tensor.columns],
            values: &self.best_parameters[tensor.range()],
        }));
        model::write(&card, &parts)
    }

    fn checkpoint(&self) -> Result<Vec<u8>> {
        self.state.checkpoint(self.card()?, &[(BEST, &self.best_parameters)])
    }

    fn resume(&mut self, checkpoint: &[u8]) -> Result<()> {
        let card = self.card()?;
        for best in self.state.resume(checkpoint, &card, &[BEST])? {
            self.best_parameters = best;
        }
        self.best = serde_json::from_value(self.state.more.clone())
            .map_err(|e| Error::Data(format!("the checkpoint has no usable 'more': {e}")))?;
        Ok(())
    }
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
            power: u32,
            width: usize,
            hidden: usize,
        }
        let mut reader = Reader::new(bytes, NAME, Kind::Model)?;
        let bad = |why: String| Error::Data(format!("not a usable model: architecture: {why}"));
        let Architecture { power, width, hidden } =
            serde_json::from_value(reader.card.architecture.clone())
                .map_err(|e| bad(e.to_string()))?;
        if !(1..=256).contains(&width) || !(1..=4).contains(&hidden) || !(1..=4).contains(&power) {
            return Err(bad(format!(
                "power {power}, {hidden} layers of width {width} (at most power 4, 4 layers of 256)"
            )));
        }
        let net = network(width, hidden);
        let mean = reader.take("input.mean", &[FEATURES])?;
        let inverse_deviation = reader.take("input.inverse_deviation", &[FEATURES])?;
        let mut parameters = Vec::new();
        for tensor in net.tensors() {
            parameters.extend(reader.take(&tensor.name, &[tensor.rows, tensor.columns])?);
        }
        reader.finish()?;
        Ok(Weights { power, net, parameters: parameters.into(), mean, inverse_deviation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::{agree, on_ranks};

    #[test]
    fn the_gradient_of_several_ranks_is_that_of_one_with_all_their_batches() {
        let first = |ranks: usize, batch: usize| {
            let small = TrainParams { width: 4, pool: 6, validation: 3, ..TrainParams::default() };
            let params = TrainParams { batch, ..small };
            on_ranks(ranks, &[2, 3], |comm, samples, host| {
                let mut run = Trainer::new(&params, samples, host, comm).unwrap();
                // Outputs that are all zero are a special place.
                run.state.parameters = run.net.start(&mut Random::new(7, 0), 1.0);
                let found = vec![run.differentiate().unwrap()];
                run.validate().unwrap();
                let told = (run.best.value, run.best.families.clone());
                let all = comm.all_gather(&[told.0, told.1[1][1].to_bits()]).unwrap();
                assert!(all.iter().all(|theirs| *theirs == all[0]));
                found
            })
        };
        for (ranks, batch) in [(2, 2), (3, 2), (5, 1)] {
            agree(&first(1, ranks * batch), &first(ranks, batch));
        }
    }
}
