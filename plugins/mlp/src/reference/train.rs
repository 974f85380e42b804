//! Training of `mlp-reference`.
//!
//! Each step draws a batch of matrices from a pool of one of the families in turn, a few random
//! vectors for each, and moves the weights against the derivative of the mean loss of
//! [`chain`](crate::reference::chain): Muon on the layers, Adam on biases and skip, the gradient clipped to norm 1,
//! the rates by [`Schedule`]. A step costs about `3 · 7.5` kflop a node of the batch in the network and as
//! much time again in the vectors; the default budget takes under a minute on one core.

use std::sync::Arc;

use precondor_sdk::core::kernel::chunks;
use precondor_sdk::core::train::{Progress, Samples};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};

use crate::grid::Bands;
use crate::model::{Card, Kind, Reader};
use crate::net::Net;
use crate::optim::{self, Muon, Schedule, clip};
use crate::random::Random;
use crate::reference::objective::{Objective, Sample};
use crate::reference::pgp::{Patch, Variant};
use crate::run::{self, Run, State, Team};

/// Parameters of training `mlp-reference`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct TrainParams {
    /// Form of the smoother S: `spd` (diagonal) or `stencil` (nine-point).
    pub variant: Variant,
    /// What the network sees of the matrix at a node.
    pub patch: Patch,
    /// Neurons of a hidden layer.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Hidden layers; 0 for a linear map in place of the network.
    #[schemars(range(min = 0, max = 8))]
    pub hidden: usize,
    /// Steps of the optimiser.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Matrices a step and rank where they have 225 unknowns; larger ones in proportion, at least 2 a step.
    #[schemars(range(min = 1, max = 4096))]
    pub batch: usize,
    /// Random vectors a matrix.
    #[schemars(range(min = 1, max = 256))]
    pub vectors: usize,
    /// Matrices in the pool, shared evenly by the families.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub pool: usize,
    /// Loss from which on a vector counts less and less: of a loss e enters cap·ln(1 + e/cap). For
    /// families with matrices that no map fits; without it every loss counts as it is.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub cap: Option<f64>,
    /// Matrices a family, drawn after the pool, on which the loss is watched. The weights with the least
    /// loss there are the model; with 0 the last ones are.
    #[schemars(range(min = 0, max = 100_000))]
    pub validation: usize,
    /// The run ends early after so many of its 24 looks at that loss without a smaller one; 0 for never.
    pub patience: u64,
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
            patch: Patch::Square,
            width: 32,
            hidden: 2,
            steps: 12_000,
            batch: 16,
            vectors: 4,
            pool: 3000,
            cap: None,
            validation: 32,
            patience: 12,
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

/// What is known of the validation loss.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde")]
struct Watched {
    /// The least so far.
    loss: Option<f64>,
    /// After how many steps it was seen.
    step: u64,
    /// Looks since then.
    looks: u64,
    /// Whether the run ends for lack of progress.
    ended: bool,
}

/// A training run: everything it needs, and its state.
pub(crate) struct Trainer {
    team: Team,
    params: TrainParams,
    description: Value,
    net: Net,
    families: Vec<Family>,
    schedule: Schedule,
    gradient: Vec<f32>,
    muon: Muon<f32>,
    /// The weights with the least validation loss.
    best: Vec<f32>,
    watched: Watched,
    state: State,
}

/// The network of a variant; a skip beside a linear map would be a second one.
pub fn network(variant: Variant, patch: Patch, width: usize, hidden: usize) -> Net {
    Net::new(patch.inputs(), &vec![width; hidden], variant.outputs(), hidden > 0)
}

impl Trainer {
    /// Makes the pool, on all threads of the host, and the starting weights.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where a sample is no structured grid, or a family mixes grids.
    pub fn new(
        params: &TrainParams,
        samples: &dyn Samples,
        host: &dyn Host,
        comm: &Comm,
    ) -> Result<Self> {
        let team = Team::new(comm);
        let net = network(params.variant, params.patch, params.width, params.hidden);
        let each = params.pool.div_ceil(samples.families().max(1)).max(1);
        let mut families = Vec::new();
        for family in 0..samples.families() {
            let sample = |index: usize, grid: Option<[usize; 2]>| {
                let system = samples.sample(family, params.seed, index as u64)?;
                let bands = Bands::of(system.a(), grid).map_err(|e| {
                    e.inside(format!("training system {index} of problem {family}"))
                })?;
                Ok((bands.grid, Sample::new(&bands)))
            };
            let grid = sample(0, None)?.0;
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
            let objective = Objective::new(&net, form, grid, at_once, params.vectors)
                .capped(params.cap.unwrap_or(f64::INFINITY));
            families.push(Family { pool, validation, batch, objective });
        }
        if families.is_empty() {
            return Err(Error::Data("there are no training systems".into()));
        }
        let mut random = Random::new(params.seed, 1);
        let parameters: Vec<f32> = net.start(&mut random, 0.1);
        Ok(Trainer {
            description: serde_json::from_str(&samples.describe()).unwrap_or(Value::Null),
            families,
            schedule: Schedule { steps: params.steps, warm_up: WARM_UP, flat: FLAT },
            gradient: vec![0.0; net.len()],
            muon: Muon::new(net.len()),
            best: parameters.clone(),
            watched: Watched::default(),
            state: State::new(parameters, DECAY, random, &team),
            params: params.clone(),
            net,
            team,
        })
    }

    /// The loss on the validation matrices of all families, always with the same vectors. The gradient
    /// serves as work space. Collective.
    fn validation_loss(&mut self) -> Result<f64> {
        let Trainer { families, state, gradient, params, team, .. } = self;
        let mean = |Family { validation, batch, objective, .. }: &mut Family| {
            let mut random = Random::new(params.seed, 2);
            let all: Vec<&Sample<f32>> = validation.iter().collect();
            let batches = all.chunks_exact(all.len().min(*batch));
            let count = batches.len() as f64;
            let of = |matrices: &[&Sample<f32>]| {
                let (p, r) = (&state.parameters, &mut random);
                on_share(team, objective, p, matrices, r, gradient) * team.weight(matrices.len())
            };
            batches.map(of).sum::<f64>() / count
        };
        let looked_at = families.iter_mut().filter(|f| !f.validation.is_empty());
        let mut losses: Vec<f64> = looked_at.map(mean).collect();
        team.sum(&mut losses)?;
        Ok(losses.iter().sum::<f64>() / losses.len() as f64)
    }

    /// Looks at the validation loss where it is time to, and takes the best weights at the end.
    /// Collective.
    fn look(&mut self) -> Result<()> {
        let (done, steps) = self.steps();
        if self.families.iter().all(|f| f.validation.is_empty()) {
            return Ok(());
        }
        if done % steps.div_ceil(LOOKS) == 0 || done == steps {
            let loss = self.validation_loss()?;
            let watched = &mut self.watched;
            watched.looks += 1;
            if loss.is_finite() && watched.loss.is_none_or(|best| loss < best) {
                self.best.copy_from_slice(&self.state.parameters);
                *watched = Watched { loss: Some(loss), step: done, looks: 0, ..*watched };
            }
            watched.ended = self.params.patience > 0 && watched.looks >= self.params.patience;
        }
        if self.watched.ended || done == steps {
            self.state.parameters.copy_from_slice(&self.best);
        }
        Ok(())
    }

    /// Draws the next batch and leaves the gradient of its mean loss, over all ranks, in `gradient`.
    /// Collective.
    fn differentiate(&mut self) -> Result<f64> {
        let Trainer { state, families, gradient, team, .. } = self;
        let which = (state.step % families.len() as u64) as usize;
        let Family { pool, batch, objective, .. } = &mut families[which];
        let picked: Vec<&Sample<f32>> =
            (0..*batch).map(|_| &pool[state.random.below(pool.len())]).collect();
        gradient.fill(0.0);
        let (parameters, random) = (&state.parameters, &mut state.random);
        let loss = on_share(team, objective, parameters, &picked, random, gradient);
        team.mean(*batch, gradient, loss)
    }

    fn card(&self) -> Result<Card> {
        let TrainParams { variant, patch, width, hidden, .. } = self.params;
        let architecture =
            json!({ "variant": variant, "patch": patch, "width": width, "hidden": hidden });
        run::card(NAME, architecture, &self.params, &self.description)
    }
}

/// Muon's array in a checkpoint.
const MOMENTUM: &str = "muon.momentum";
/// The best weights' array in a checkpoint.
const BEST: &str = "best";

impl Run for Trainer {
    fn steps(&self) -> (u64, u64) {
        let steps = if self.watched.ended { self.state.step } else { self.params.steps };
        (self.state.step, steps)
    }

    fn advance(&mut self) -> Result<Progress> {
        let factor = self.schedule.factor(self.state.step);
        let loss = self.differentiate()?;
        let Trainer { params, state, gradient, .. } = self;
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
        self.look()?;
        let (step, steps) = self.steps();
        Ok(Progress { step, steps, loss, learning_rate: self.params.rate * factor })
    }

    fn model(&self) -> Result<Vec<u8>> {
        let mut card = self.card()?;
        let Watched { loss, step, ended, .. } = self.watched;
        card.metrics = json!({
            "validation_loss": loss,
            "best_step": step,
            "stopped_early": ended,
            "families": self.families.len(),
            "flops_per_node": self.net.flops(),
        });
        self.state.model(card, &self.net, self.params.steps)
    }

    fn checkpoint(&self) -> Result<Vec<u8>> {
        let mut state = self.state.clone();
        state.more = json!(self.watched);
        state.checkpoint(self.card()?, &[(MOMENTUM, self.muon.state()), (BEST, &self.best)])
    }

    fn resume(&mut self, checkpoint: &[u8]) -> Result<()> {
        let card = self.card()?;
        let mut arrays = self.state.resume(checkpoint, &card, &[MOMENTUM, BEST])?.into_iter();
        if let (Some(momentum), Some(best)) = (arrays.next(), arrays.next()) {
            self.muon.restore(momentum);
            self.best = best;
        }
        self.watched = serde_json::from_value(self.state.more.clone())
            .map_err(|_| Error::Data("the checkpoint has no usable 'more'".into()))?;
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
            #[serde(default)]
            patch: Patch,
            width: usize,
            hidden: usize,
        }
        let mut reader = Reader::new(bytes, NAME, Kind::Model)?;
        let bad = |why: String| Error::Data(format!("not a usable model: architecture: {why}"));
        let Architecture { variant, patch, width, hidden } =
            serde_json::from_value(reader.card.architecture.clone())
                .map_err(|e| bad(e.to_string()))?;
        if !(1..=1024).contains(&width) || hidden > 8 {
            return Err(bad(format!("{hidden} layers of width {width} (at most 8 of 1024)")));
        }
        let net = network(variant, patch, width, hidden);
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
    use crate::run::tests::{agree, on_ranks};

    #[test]
    fn the_gradient_of_several_ranks_is_that_of_one_with_all_their_batches() {
        let first = |ranks: usize, batch: usize| {
            let params = TrainParams { width: 8, batch, pool: 20, ..TrainParams::default() };
            // At level 5 a batch has two matrices only, so that some ranks have nothing to do.
            on_ranks(ranks, &[3, 4, 5], |comm, samples, host| {
                let mut run = Trainer::new(&params, samples, &**host, comm).unwrap();
                let mut step = |step| {
                    run.state.step = step;
                    (run.differentiate().unwrap(), run.gradient.clone())
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
        let params =
            TrainParams { width: 8, batch: 3, pool: 4, validation: 7, ..TrainParams::default() };
        let loss = |ranks: usize, batch: usize| {
            let params = TrainParams { batch, ..params.clone() };
            let of = on_ranks(ranks, &[3], |comm, samples, host| {
                let mut run = Trainer::new(&params, samples, &**host, comm).unwrap();
                vec![(run.validation_loss().unwrap(), vec![])]
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
