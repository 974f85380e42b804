//! Training of `mlp-fsai`: Adam on the mean objective ([`objective`](super::objective)) over random matrices of a pool,
//! all families alike. All else is as in every training ([`run`](precondor_neural::run)).

use std::sync::Arc;

use precondor_sdk::core::host::Host;
use precondor_sdk::core::kernel::chunks::{self, Pool};
use precondor_sdk::core::train::{Samples, name_of};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, json};

use super::NAME;
use super::factor::Weights;
use super::features::FEATURES;
use super::objective::{Loss, Moments, Sample, Scratch};
use precondor_neural::model::{self, Card, Initial, Kind, Part, Reader};
use precondor_neural::net::{Activation, Net, Role};
use precondor_neural::optim::{Optimiser, Schedule};
use precondor_neural::random::Random;
use precondor_neural::run::{Plan, Task};
use precondor_neural::team::Team;

/// Parameters of training `mlp-fsai`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct TrainParams {
    /// G has the lower triangle of the pattern of this power of A.
    #[schemars(range(min = 1, max = 4))]
    pub power: u32,
    /// Neurons of each hidden layer, from the inputs to the outputs; a linear map where there is none.
    #[schemars(length(max = 4), inner(range(min = 1, max = 256)))]
    pub hidden: Vec<usize>,
    /// What hidden layers do to their sums.
    #[serde(skip_serializing_if = "Activation::is_default")]
    #[schemars(extend("default" = "relu"))]
    pub activation: Activation,
    /// Steps of the optimiser, at most.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Matrices a step and rank.
    #[schemars(range(min = 1, max = 4096))]
    pub batch: usize,
    /// Matrices to learn from, shared evenly by the families.
    #[schemars(range(min = 1, max = 100_000))]
    pub pool: usize,
    /// Matrices of each family, drawn after the pool, to watch the loss on: the weights with the least loss
    /// there are the model; with 0 the last ones are.
    #[schemars(range(min = 0, max = 100_000))]
    pub validation: usize,
    /// Steps without a smaller loss on the matrices of `validation` after which the run ends; 0 for never.
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
    /// A model of this method whose weights the run starts with, in the place of random ones; its architecture has to be that
    /// of these parameters. What it was trained on is told by the new model, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-precondor-file" = true))]
    pub initial: Option<String>,
}

impl Default for TrainParams {
    fn default() -> Self {
        TrainParams {
            power: 1,
            hidden: vec![16; 2],
            activation: Activation::Relu,
            steps: 1500,
            batch: 12,
            pool: 360,
            validation: 8,
            patience: 1000,
            price: 0.1,
            rate: 0.003,
            seed: 1,
            initial: None,
        }
    }
}

/// Shape of a network, as the model file keeps it.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
struct Architecture {
    power: u32,
    hidden: Vec<usize>,
    #[serde(default, skip_serializing_if = "Activation::is_default")]
    activation: Activation,
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
pub fn network(hidden: &[usize], activation: Activation) -> Net {
    Net::new(FEATURES, hidden, 1, false).with_activation(activation)
}

/// Starting parameters: random, and all outputs zero.
pub fn start(net: &Net, random: &mut Random) -> Vec<f32> {
    let mut parameters: Vec<f32> = net.start(random, 0.0);
    if let Some(bias) = net.tensors().iter().rfind(|t| t.role == Role::Bias) {
        parameters[bias.range()].fill(0.0);
    }
    parameters
}

/// What is learned, and from what.
pub(crate) struct Learner {
    team: Team,
    params: TrainParams,
    card: Card,
    host: Arc<dyn Host>,
    net: Net,
    /// Matrices of each family: the pool's, then those for validation.
    families: Vec<Vec<Sample<f32>>>,
    each: usize,
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
    /// The weights of the model that the run starts from.
    initial: Option<Arc<[f32]>>,
}

impl Learner {
    /// Makes the matrices. Collective.
    ///
    /// # Errors
    /// As [`Sample::new`] and [`Initial::read`]; [`Error::Parameter`] for a model of another architecture.
    pub fn new(
        params: &TrainParams,
        samples: &dyn Samples,
        host: &Arc<dyn Host>,
        comm: &Comm,
    ) -> Result<Self> {
        let count = samples.families();
        if count == 0 {
            return Err(Error::Data("there are no training systems".into()));
        }
        let initial = Initial::read(params.initial.as_deref(), &**host)?;
        let weights = initial.as_ref().map(|initial| initial.weights(Weights::read)).transpose()?;
        let (hidden, activation) = (params.hidden.clone(), params.activation);
        let architecture = Architecture { power: params.power, hidden, activation };
        if let (Some(initial), Some(its)) = (&initial, &weights) {
            initial.require(&its.architecture(), &architecture)?;
        }
        let each = params.pool.div_ceil(count);
        let total = each + params.validation;
        let made = chunks::collect(host.as_ref(), count * total, 1, |range| {
            let (family, index) = (range.start / total, range.start % total);
            let system = samples.sample(family, params.seed, index as u64)?;
            let random = Random::new(params.seed, 2 + range.start as u64);
            Sample::new(&precondor_sdk::core::host::Alone, system.a(), params.power, random)
                .map_err(|e| e.inside(name_of(samples, family, index as u64)))
        })?;
        let in_pool = made.chunks(total).flat_map(|family| &family[..each]);
        // Weights mean something for features in the units that they were learned in.
        let (mean, inverse_deviation) = match &weights {
            Some(its) => (its.mean.clone(), its.inverse_deviation.clone()),
            None => Moments::of(in_pool).scales(),
        };
        let mut families: Vec<Vec<Sample<f32>>> = Vec::new();
        for (k, mut sample) in made.into_iter().enumerate() {
            sample.scale(&mean, &inverse_deviation);
            if k % total == 0 {
                families.push(Vec::new());
            }
            families[k / total].push(sample);
        }
        let net = network(&architecture.hidden, architecture.activation);
        let architecture = json!(architecture);
        let card = Card::of_run((NAME, env!("CARGO_PKG_VERSION")), architecture, params, samples)?
            .after(initial.as_ref());
        Ok(Learner {
            team: Team::new(comm),
            host: Arc::clone(host),
            net,
            params: params.clone(),
            card,
            families,
            each,
            mean,
            inverse_deviation,
            initial: weights.map(|its| its.parameters),
        })
    }

    /// Losses of samples; adds the mean of their gradients to `gradient` where there is one, in the same order on any
    /// number of threads.
    fn evaluate(
        &self,
        parameters: &[f32],
        samples: &[&Sample<f32>],
        gradient: Option<&mut [f32]>,
    ) -> Result<Vec<Loss>> {
        let (pool, derive) = (Pool::default(), gradient.is_some());
        let weight = 1.0 / samples.len() as f32;
        let parts = chunks::collect(self.host.as_ref(), samples.len(), 1, |range| {
            pool.with(
                || Scratch::new(&self.net),
                |scratch| {
                    let mut gradient = vec![0.0; if derive { self.net.len() } else { 0 }];
                    let price = self.params.price;
                    let into = derive.then_some((price, weight, gradient.as_mut_slice()));
                    let sample = samples[range.start];
                    let loss = sample.evaluate(&self.net, parameters, scratch, into);
                    Ok((loss, gradient))
                },
            )
        })?;
        if let Some(sum) = gradient {
            for (_, gradient) in &parts {
                sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
            }
        }
        Ok(parts.into_iter().map(|(loss, _)| loss).collect())
    }

    /// The matrices for validation, family after family, and their losses, of which each rank finds its share. Collective.
    fn watched(&self, parameters: &[f32]) -> Result<(Vec<&Sample<f32>>, Vec<Loss>)> {
        let outside = |family| -> &[Sample<f32>] { &Vec::as_slice(family)[self.each..] };
        let all: Vec<&Sample<f32>> = self.families.iter().flat_map(outside).collect();
        let mine = self.evaluate(parameters, &all[self.team.share(all.len())], None)?;
        let words = mine.iter().flat_map(|loss| [loss.condition, loss.kaporin].map(f64::to_bits));
        let words = self.team.gather(&words.collect::<Vec<_>>())?;
        let loss = |[condition, kaporin]: &[u64; 2]| Loss {
            condition: f64::from_bits(*condition),
            kaporin: f64::from_bits(*kaporin),
        };
        Ok((all, words.as_chunks().0.iter().map(loss).collect()))
    }
}

/// Mean of the objective over samples.
fn mean(samples: &[&Sample<f32>], losses: &[Loss], mu: f64) -> f64 {
    let value = |(sample, loss): (&&Sample<f32>, &Loss)| loss.value(sample.price(mu));
    samples.iter().zip(losses).map(value).sum::<f64>() / samples.len() as f64
}

impl Task for Learner {
    fn net(&self) -> &Net {
        &self.net
    }

    fn plan(&self) -> Plan {
        let TrainParams { seed, steps, rate, patience, validation, .. } = self.params;
        Plan {
            seed,
            steps,
            look_every: (validation > 0).then_some(VALIDATE),
            patience,
            optimiser: Optimiser::adam_alone(self.net.len(), DECAY, rate),
            schedule: Schedule::Ramps { warm_up: WARM_UP, flat: FLAT },
            longest: LONGEST,
        }
    }

    fn start(&self, random: &mut Random) -> Vec<f32> {
        self.initial.as_deref().map_or_else(|| start(&self.net, random), <[f32]>::to_vec)
    }

    fn card(&self) -> &Card {
        &self.card
    }

    fn differentiate(
        &mut self,
        _: u64,
        parameters: &[f32],
        random: &mut Random,
        gradient: &mut [f32],
    ) -> Result<f64> {
        let (count, each) = (self.families.len(), self.each);
        let mut pick = || (random.below(count), random.below(each));
        let batch = self.params.batch * self.team.size();
        let picked: Vec<_> = (0..batch).map(|_| pick()).collect();
        let mine = picked[self.team.share(batch)].iter();
        let mine: Vec<_> = mine.map(|&(family, k)| &self.families[family][k]).collect();
        let losses = self.evaluate(parameters, &mine, Some(gradient))?;
        let loss = mean(&mine, &losses, self.params.price);
        self.team.mean(batch, gradient, loss)
    }

    fn validate(&mut self, parameters: &[f32]) -> Result<f64> {
        let (samples, losses) = self.watched(parameters)?;
        Ok(mean(&samples, &losses, self.params.price))
    }

    fn model(&mut self, parameters: &[f32], mut card: Card) -> Result<Vec<u8>> {
        // log κ less FSAI's.
        let of = |losses: &[Loss]| {
            let condition = losses.iter().map(|loss| loss.condition);
            let mean = condition.clone().sum::<f64>() / losses.len() as f64;
            [mean, condition.fold(f64::NEG_INFINITY, f64::max)]
        };
        let losses = self.watched(parameters)?.1;
        let families = losses.chunks(self.params.validation.max(1)).map(of);
        card.add_metrics(json!({
            "log_condition_less_fsai_by_family_mean_and_worst": families.collect::<Vec<_>>(),
        }));
        let vector = |name: &str, values| Part { name: name.into(), shape: vec![FEATURES], values };
        let mut parts = vec![
            vector("input.mean", &self.mean),
            vector("input.inverse_deviation", &self.inverse_deviation),
        ];
        parts.extend(model::parts_of(&self.net, parameters));
        model::write(&card, &parts)
    }
}

impl Weights {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Data`] with what does not fit.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, NAME, Kind::Model)?;
        let bad = |why: String| Error::Data(format!("not a usable model: architecture: {why}"));
        let Architecture { power, hidden, activation } =
            serde_json::from_value(reader.card.architecture.clone())
                .map_err(|e| bad(e.to_string()))?;
        let fits = hidden.len() <= 4 && hidden.iter().all(|width| (1..=256).contains(width));
        if !fits || !(1..=4).contains(&power) {
            return Err(bad(format!(
                "power {power}, hidden layers {hidden:?} (at most power 4, 4 layers of 256)"
            )));
        }
        let net = network(&hidden, activation);
        let mean = reader.take("input.mean", &[FEATURES])?;
        let inverse_deviation = reader.take("input.inverse_deviation", &[FEATURES])?;
        let parameters = reader.take_net(&net)?;
        reader.finish()?;
        Ok(Weights { power, net, parameters: parameters.into(), mean, inverse_deviation })
    }

    fn architecture(&self) -> Architecture {
        let (hidden, activation) = (self.net.hidden(), self.net.activation());
        Architecture { power: self.power, hidden, activation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_neural::check::{agree, on_ranks};

    #[test]
    fn the_gradient_of_several_ranks_is_that_of_one_with_all_their_batches() {
        let first = |ranks: usize, batch: usize| {
            let hidden = vec![4; 2];
            let params =
                TrainParams { hidden, batch, pool: 6, validation: 3, ..TrainParams::default() };
            on_ranks(ranks, &[2, 3], |comm, samples, host| {
                let mut learner = Learner::new(&params, samples, host, comm).unwrap();
                let mut random = Random::new(params.seed, 1);
                learner.start(&mut random);
                // Outputs that are all zero are a special place.
                let parameters: Vec<f32> = learner.net.start(&mut Random::new(7, 0), 1.0);
                let mut gradient = vec![0.0; parameters.len()];
                let loss = learner.differentiate(0, &parameters, &mut random, &mut gradient);
                let found = vec![(loss.unwrap(), gradient)];
                let told = learner.validate(&parameters).unwrap().to_bits();
                let all = comm.all_gather(&[told]).unwrap();
                assert!(all.iter().all(|theirs| *theirs == all[0]));
                found
            })
        };
        for (ranks, batch) in [(2, 2), (3, 2), (5, 1)] {
            agree(&first(1, ranks * batch), &first(ranks, batch));
        }
    }
}
