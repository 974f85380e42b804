//! Training of `mlp-reference`.
//!
//! Each step draws a batch of matrices from a pool of one of the families in turn, a few random
//! vectors for each, and moves the weights against the derivative of the mean loss of
//! [`chain`](crate::reference::chain): Muon on the layers, Adam on biases and skip, the gradient clipped to norm 1,
//! the rates by [`Schedule::Ramps`]. All else is as in every training ([`run`](precondor_neural::run)). A step costs about
//! `3 · 7.5` kflop a node of the batch in the network and as much time again in the vectors; the default budget takes
//! under a minute on one core.

use std::sync::Arc;

use precondor_sdk::core::kernel::chunks;
use precondor_sdk::core::train::{Samples, name_of};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, json};

use crate::reference::objective::{Objective, Sample};
use crate::reference::pgp::{Patch, Variant};
use precondor_neural::model::{self, Card, Initial, Kind, Reader};
use precondor_neural::net::Net;
use precondor_neural::optim::{Optimiser, Schedule};
use precondor_neural::random::Random;
use precondor_neural::run::{Plan, Task};
use precondor_neural::team::Team;
use precondor_sdk::core::kernel::bands::Bands;

/// Parameters of training `mlp-reference`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct TrainParams {
    /// Form of the smoother S: `spd` (diagonal) or `stencil` (nine-point).
    pub variant: Variant,
    /// What the network sees of the matrix at a node.
    pub patch: Patch,
    /// Neurons of each hidden layer, from the inputs to the outputs; a linear map where there is none.
    #[schemars(length(max = 8), inner(range(min = 1, max = 1024)))]
    pub hidden: Vec<usize>,
    /// Steps of the optimiser, at most.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Matrices a step and rank where they have 225 unknowns; larger ones in proportion, at least 2 a step.
    #[schemars(range(min = 1, max = 4096))]
    pub batch: usize,
    /// Random vectors a matrix.
    #[schemars(range(min = 1, max = 256))]
    pub vectors: usize,
    /// Matrices to learn from, shared evenly by the families.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub pool: usize,
    /// Loss from which on a vector counts less and less: of a loss e enters cap·ln(1 + e/cap). For
    /// families with matrices that no map fits; without it every loss counts as it is.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub cap: Option<f64>,
    /// Matrices of each family, drawn after the pool, to watch the loss on: the weights with the least loss
    /// there are the model; with 0 the last ones are.
    #[schemars(range(min = 0, max = 100_000))]
    pub validation: usize,
    /// Steps without a smaller loss on the matrices of `validation` after which the run ends; 0 for never.
    pub patience: u64,
    /// Learning rate of Muon, for the layers' weights.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rate: f64,
    /// Learning rate of Adam, for biases and the linear skip.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub skip_rate: f64,
    /// Seed of the pool, the starting weights and the batches.
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
            variant: Variant::Spd,
            patch: Patch::Square,
            hidden: vec![32; 2],
            steps: 12_000,
            batch: 16,
            vectors: 4,
            pool: 3000,
            cap: None,
            validation: 32,
            patience: 6000,
            rate: 0.006,
            skip_rate: 0.003,
            seed: 1,
            initial: None,
        }
    }
}

/// Shape of a network, as the model file keeps it.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
struct Architecture {
    variant: Variant,
    #[serde(default)]
    patch: Patch,
    hidden: Vec<usize>,
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

/// Looks at the validation loss in a run.
const LOOKS: u64 = 24;
/// Matrices that a thread makes at a time.
const GRAIN: usize = 8;

/// The matrices of one family and the memory for their batches.
struct Family {
    pool: Vec<Sample<f32>>,
    validation: Vec<Sample<f32>>,
    /// Matrices a step, of all ranks together.
    batch: usize,
    objective: Objective<f32>,
}

/// The mean loss of this rank's share of a batch, 0 for none; adds its derivative to `gradient`.
/// `random` is left where it would be after the whole batch.
fn on_share(
    team: &Team,
    objective: &mut Objective<f32>,
    parameters: &[f32],
    batch: &[&Sample<f32>],
    random: &mut Random,
    gradient: &mut [f32],
) -> f64 {
    let share = team.share(batch.len());
    let draws = objective.draws();
    random.skip(share.start * draws);
    let loss = match &batch[share.clone()] {
        [] => 0.0,
        mine => objective.evaluate(parameters, mine.iter().copied(), random, gradient),
    };
    random.skip((batch.len() - share.end) * draws);
    loss
}

/// What is learned, and from what.
pub(crate) struct Learner {
    team: Team,
    params: TrainParams,
    card: Card,
    net: Net,
    families: Vec<Family>,
    /// The weights of the model that the run starts from.
    initial: Option<Vec<f32>>,
    /// Work space.
    ignored: Vec<f32>,
}

/// The network of a variant; a skip beside a linear map would be a second one.
pub fn network(variant: Variant, patch: Patch, hidden: &[usize]) -> Net {
    Net::new(patch.inputs(), hidden, variant.outputs(), !hidden.is_empty())
}

impl Learner {
    /// Makes the pool, on all threads of the host. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where a sample is no structured grid, or a family mixes grids; as [`Initial::read`], and
    /// [`Error::Parameter`] for a model of another architecture.
    pub fn new(
        params: &TrainParams,
        samples: &dyn Samples,
        host: &dyn Host,
        comm: &Comm,
    ) -> Result<Self> {
        let TrainParams { variant, patch, ref hidden, .. } = *params;
        let team = Team::new(comm);
        let net = network(variant, patch, hidden);
        let architecture = Architecture { variant, patch, hidden: hidden.clone() };
        let initial = Initial::read(params.initial.as_deref(), host)?;
        let weights = initial.as_ref().map(|initial| {
            let (its, weights) = initial.weights(Architecture::read)?;
            initial.require(&its, &architecture)?;
            Ok::<_, Error>(weights.parameters.to_vec())
        });
        let weights = weights.transpose()?;
        let count = samples.families();
        if count == 0 {
            return Err(Error::Data("there are no training systems".into()));
        }
        let family = |family| Family::new(family, params, (&net, &team), samples, host);
        let of = (NAME, env!("CARGO_PKG_VERSION"));
        Ok(Learner {
            card: Card::of_run(of, json!(architecture), params, samples)?.after(initial.as_ref()),
            initial: weights,
            families: (0..count).map(family).collect::<Result<_>>()?,
            ignored: vec![0.0; net.len()],
            params: params.clone(),
            net,
            team,
        })
    }
}

impl Family {
    fn new(
        family: usize,
        params: &TrainParams,
        (net, team): (&Net, &Team),
        samples: &dyn Samples,
        host: &dyn Host,
    ) -> Result<Self> {
        let sample = |index: usize, grid: Option<[usize; 2]>| {
            let system = samples.sample(family, params.seed, index as u64)?;
            let bands = Bands::of(system.a(), grid)
                .map_err(|e| e.inside(name_of(samples, family, index as u64)))?;
            Ok((bands.grid, Sample::new(&bands)))
        };
        let grid = sample(0, None)?.0;
        let each = params.pool.div_ceil(samples.families()).max(1);
        let count = each + params.validation;
        if count.saturating_mul(grid.plane() * SAMPLE_BYTES) > POOL_BYTES {
            return Err(Error::Parameter(format!(
                "parameter 'pool': {each} matrices of {} unknowns do not fit into memory; take \
                 fewer or smaller ones",
                grid.nodes()
            )));
        }
        let made = chunks::collect(host, count, GRAIN, |range| {
            let of = |index| sample(index, Some([grid.mx, grid.my])).map(|s| s.1);
            range.map(of).collect::<Result<Vec<_>>>()
        })?;
        let mut pool: Vec<Sample<f32>> = made.into_iter().flatten().collect();
        let validation = pool.split_off(each);
        let batch = match (params.batch * team.size(), grid.nodes()) {
            (batch, small) if small <= BATCH_NODES => batch,
            (batch, large) => (batch * BATCH_NODES / large).max(2),
        };
        let form = (params.variant, params.patch);
        let at_once = batch.div_ceil(team.size());
        let objective = Objective::new(net, form, grid, at_once, params.vectors)
            .capped(params.cap.unwrap_or(f64::INFINITY));
        Ok(Family { pool, validation, batch, objective })
    }
}

impl Task for Learner {
    fn net(&self) -> &Net {
        &self.net
    }

    fn plan(&self) -> Plan {
        let TrainParams { seed, steps, rate, skip_rate, patience, validation, .. } = self.params;
        Plan {
            seed,
            steps,
            look_every: (validation > 0).then(|| steps.div_ceil(LOOKS)),
            patience,
            optimiser: Optimiser::adam_alone(self.net.len(), DECAY, skip_rate).with_muon(rate),
            schedule: Schedule::Ramps { warm_up: WARM_UP, flat: FLAT },
            longest: LONGEST,
        }
    }
    fn start(&self, random: &mut Random) -> Vec<f32> {
        self.initial.clone().unwrap_or_else(|| self.net.start(random, 0.1))
    }

    fn card(&self) -> &Card {
        &self.card
    }

    /// Batches come from the families in turn.
    fn differentiate(
        &mut self,
        step: u64,
        parameters: &[f32],
        random: &mut Random,
        gradient: &mut [f32],
    ) -> Result<f64> {
        let Learner { families, team, .. } = self;
        let which = (step % families.len() as u64) as usize;
        let Family { pool, batch, objective, .. } = &mut families[which];
        let picked: Vec<&Sample<f32>> =
            (0..*batch).map(|_| &pool[random.below(pool.len())]).collect();
        let loss = on_share(team, objective, parameters, &picked, random, gradient);
        team.mean(*batch, gradient, loss)
    }

    /// Always with the same vectors.
    fn validate(&mut self, parameters: &[f32]) -> Result<f64> {
        let Learner { families, params, team, ignored, .. } = self;
        let mean = |Family { validation, batch, objective, .. }: &mut Family| {
            let mut random = Random::new(params.seed, 2);
            let all: Vec<&Sample<f32>> = validation.iter().collect();
            let batches = all.chunks_exact(all.len().min(*batch));
            let count = batches.len() as f64;
            let of = |matrices: &[&Sample<f32>]| {
                on_share(team, objective, parameters, matrices, &mut random, ignored)
                    * team.weight(matrices.len())
            };
            batches.map(of).sum::<f64>() / count
        };
        let mut losses: Vec<f64> = families.iter_mut().map(mean).collect();
        team.sum(&mut losses)?;
        Ok(losses.iter().sum::<f64>() / losses.len() as f64)
    }

    fn model(&mut self, parameters: &[f32], mut card: Card) -> Result<Vec<u8>> {
        card.add_metrics(json!({
            "families": self.families.len(),
            "flops_per_node": self.net.flops(),
        }));
        model::write(&card, &Vec::from_iter(model::parts_of(&self.net, parameters)))
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
        Architecture::read(bytes).map(|(_, weights)| weights)
    }
}

impl Architecture {
    /// That of a model file, and its weights.
    fn read(bytes: &[u8]) -> Result<(Self, Weights)> {
        let mut reader = Reader::new(bytes, NAME, Kind::Model)?;
        let bad = |why: String| Error::Data(format!("not a usable model: architecture: {why}"));
        let architecture: Architecture = serde_json::from_value(reader.card.architecture.clone())
            .map_err(|e| bad(e.to_string()))?;
        let Architecture { variant, patch, ref hidden } = architecture;
        if hidden.len() > 8 || hidden.iter().any(|width| !(1..=1024).contains(width)) {
            return Err(bad(format!("hidden layers {hidden:?} (at most 8 of 1024)")));
        }
        let net = network(variant, patch, hidden);
        let parameters = reader.take_net(&net)?;
        reader.finish()?;
        Ok((architecture, Weights { variant, net, parameters: parameters.into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_neural::check::{agree, on_ranks};

    #[test]
    fn the_gradient_of_several_ranks_is_that_of_one_with_all_their_batches() {
        let first = |ranks: usize, batch: usize| {
            let params =
                TrainParams { hidden: vec![8; 2], batch, pool: 20, ..TrainParams::default() };
            // At level 5 a batch has two matrices only, so that some ranks have nothing to do.
            on_ranks(ranks, &[3, 4, 5], |comm, samples, host| {
                let mut learner = Learner::new(&params, samples, &**host, comm).unwrap();
                let mut random = Random::new(params.seed, 1);
                let parameters = learner.start(&mut random);
                let mut step = |step| {
                    let mut gradient = vec![0.0; parameters.len()];
                    let of = (&parameters, &mut random);
                    let loss = learner.differentiate(step, of.0, of.1, &mut gradient);
                    (loss.unwrap(), gradient)
                };
                (0..3).map(&mut step).collect()
            })
        };
        for (ranks, batch) in [(2, 4), (3, 2), (4, 2), (5, 1)] {
            agree(&first(1, ranks * batch), &first(ranks, batch));
        }
    }

    #[test]
    fn the_validation_loss_is_the_same_on_any_number_of_ranks() {
        let hidden = vec![8; 2];
        let params =
            TrainParams { hidden, batch: 3, pool: 4, validation: 7, ..TrainParams::default() };
        let loss = |ranks: usize, batch: usize| {
            let params = TrainParams { batch, ..params.clone() };
            let of = on_ranks(ranks, &[3], |comm, samples, host| {
                let mut learner = Learner::new(&params, samples, &**host, comm).unwrap();
                let parameters = learner.start(&mut Random::new(params.seed, 1));
                vec![(learner.validate(&parameters).unwrap(), vec![])]
            });
            of[0].0
        };
        // With more than all validation matrices in a batch, and with fewer.
        for (ranks, batch) in [(2, 4), (3, 3), (5, 2), (2, 3), (3, 1)] {
            let (one, several) = (loss(1, ranks * batch), loss(ranks, batch));
            assert!((one - several).abs() < 1e-6 * one, "{ranks} ranks: {one} {several}");
        }
    }
}
