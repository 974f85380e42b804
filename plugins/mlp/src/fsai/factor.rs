//! FSAI's factor of a matrix scaled to a unit diagonal, and the network's correction of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use precondor_sdk::core::host::Host;
use precondor_sdk::core::kernel::chunks::{self, Pool};
use precondor_sdk::core::kernel::fsai;
use precondor_sdk::core::kernel::pattern::{Part, Pattern};
use precondor_sdk::core::kernel::reach::Reach;
use precondor_sdk::prelude::*;

use super::features::{FEATURES, Surroundings, Work as Description};
use super::row;
use crate::net::{Activations, Net};

/// Rows that one thread takes at a time: their entries are one batch of the network.
const GRAIN: usize = 512;

/// Features further from their mean than so many standard deviations count as if they were there.
pub const FARTHEST: f32 = 5.0;

/// The network, and what its inputs are measured in.
#[derive(Clone, Debug)]
pub struct Weights {
    /// The power of A whose lower pattern the network was trained on.
    pub power: u32,
    /// The network.
    pub net: Net,
    /// Its parameters.
    pub parameters: Arc<[f32]>,
    /// Mean of every feature over the training matrices, and 1 over its standard deviation.
    pub mean: Vec<f32>,
    /// See `mean`.
    pub inverse_deviation: Vec<f32>,
}

/// Â = D^(−½) A D^(−½), and the diagonal of D^(−½) on own rows. Collective.
///
/// # Errors
/// [`Error::Breakdown`] for the first row whose diagonal entry is not positive.
pub fn scaled(a: &DistCsr) -> Result<(DistCsr, Vec<f64>)> {
    a.space().comm().scope(|| {
        let mut scale = Vec::with_capacity(a.n_own());
        for i in 0..a.n_own() {
            let d = a.diagonal(i);
            if !(d > 0.0 && d.is_finite()) {
                let why = format!("the diagonal entry is {d}; it must be positive");
                return Err(Error::breakdown(a.global_row(i), why));
            }
            scale.push(1.0 / d.sqrt());
        }
        let ghost_scale = on_ghosts(a, &scale)?;
        let block = |block: CsrView<'_>, columns: &[f64], square: bool| -> Vec<f64> {
            let mut values = Vec::with_capacity(block.values.len());
            for (i, scale) in scale.iter().enumerate() {
                values.extend(block.row(i).map(|(j, v)| match square && i == j {
                    true => 1.0,
                    // The product of the scales first: it is the same for aᵢⱼ and aⱼᵢ.
                    false => v * (scale * columns[j]),
                }));
            }
            values
        };
        let own = block(a.own().view(), &scale, true);
        let ghost = block(a.ghost().view(), &ghost_scale, false);
        Ok((a.with_values(own, ghost)?, scale))
    })
}

/// Values of own rows, fetched for the ghost columns of `a`. Collective.
fn on_ghosts(a: &DistCsr, own: &[f64]) -> Result<Vec<f64>> {
    let mut ghost = vec![0.0; a.ghost_ids().len()];
    if a.space().comm().size() > 1 {
        let token = a.exchange_start(own)?;
        a.exchange_finish(token, &mut ghost)?;
    }
    Ok(ghost)
}

/// FSAI's factor of a scaled matrix.
pub struct Plain<'a> {
    /// The scaled matrix around own rows.
    pub reach: Reach<'a>,
    /// Where the factor has entries.
    pub pattern: Pattern,
    /// Its entries.
    pub entries: Vec<f64>,
}

impl<'a> Plain<'a> {
    /// On the lower pattern of power `power` of the `scaled` matrix. Collective.
    ///
    /// # Errors
    /// [`Error::Breakdown`] where the matrix is not positive definite; what the communicator reports.
    pub fn new(host: &dyn Host, scaled: &'a DistCsr, power: u32) -> Result<Self> {
        Self::on(host, scaled, Pattern::power(host, scaled, power as usize, Part::Lower)?)
    }

    /// On a lower pattern that was made for the same pattern of the matrix. Collective.
    ///
    /// # Errors
    /// As [`new`](Plain::new).
    pub fn on(host: &dyn Host, scaled: &'a DistCsr, mut pattern: Pattern) -> Result<Self> {
        let reach = pattern.reach_around(scaled)?;
        let entries = fsai::entries(host, &reach, &pattern, scaled.space().start())?;
        Ok(Plain { reach, pattern, entries })
    }
}

/// The factor with `entries` on `pattern`, made for the scaled matrix, as a factor for the matrix
/// itself: M = GᵀG. Collective.
pub fn unscaled(
    scaled: &DistCsr,
    pattern: &Pattern,
    entries: Vec<f64>,
    scale: &[f64],
) -> Result<fsai::Factored> {
    let g = pattern.matrix(scaled.space(), entries)?;
    let ghost_scale = on_ghosts(&g, scale)?;
    let block = |block: CsrView<'_>, columns: &[f64]| -> Vec<f64> {
        block.cols.iter().zip(block.values).map(|(&j, v)| v * columns[j as usize]).collect()
    };
    let own = block(g.own().view(), scale);
    let ghost = block(g.ghost().view(), &ghost_scale);
    fsai::Factored::of(g.with_values(own, ghost)?)
}

/// What a chunk of rows is corrected in.
struct Work {
    description: Description,
    inputs: Vec<f32>,
    outputs: Vec<f32>,
    activations: Activations<f32>,
    /// Samples that `activations` has room for.
    room: usize,
    gather: Gather,
    image: Vec<f64>,
}

/// The matrix on the pattern of one row.
pub struct Gather {
    place: Vec<u32>,
    /// A(J, J), row after row.
    pub block: Vec<f64>,
}

/// A column that is not in the pattern of the row at hand.
const ABSENT: u32 = u32::MAX;

impl Gather {
    /// For so many local numbers.
    pub fn new(n_columns: usize) -> Self {
        Gather { place: vec![ABSENT; n_columns], block: Vec::new() }
    }

    /// Fills [`block`](Gather::block) for a row with these columns.
    pub fn fill(&mut self, reach: &Reach<'_>, columns: &[u32]) {
        let k = columns.len();
        self.block.clear();
        self.block.resize(k * k, 0.0);
        for (a, &j) in columns.iter().enumerate() {
            self.place[j as usize] = a as u32;
        }
        for (&j, row) in columns.iter().zip(self.block.chunks_exact_mut(k)) {
            reach.visit(j, |c, value| {
                if let Some(cell) = row.get_mut(self.place[c as usize] as usize) {
                    *cell = value;
                }
            });
        }
        for &j in columns {
            self.place[j as usize] = ABSENT;
        }
    }
}

/// The corrected factor of own rows.
pub struct Corrected {
    /// Its entries, on the pattern of the plain one.
    pub entries: Vec<f64>,
    /// Entries off the diagonal that have a feature out of the range of the training.
    pub unusual: u64,
}

impl Weights {
    /// Corrects FSAI's factor. Not collective.
    ///
    /// # Errors
    /// What the host reports.
    pub fn correct(&self, host: &dyn Host, plain: &Plain<'_>) -> Result<Corrected> {
        let surroundings = Surroundings::new(&plain.reach);
        let pool = Pool::default();
        let make = || Work {
            description: Description::new(surroundings.len()),
            inputs: Vec::new(),
            outputs: Vec::new(),
            activations: self.net.activations(0),
            room: 0,
            gather: Gather::new(surroundings.len()),
            image: Vec::new(),
        };
        let unusual = AtomicU64::new(0);
        let mut entries = plain.entries.clone();
        let row_ptr = &plain.pattern.row_ptr;
        chunks::fill(host, row_ptr, GRAIN, &mut entries, |rows, out| {
            pool.with(make, |work| {
                let first = row_ptr[rows.start] as usize;
                let count = out.len() - rows.len();
                if count == 0 {
                    return Ok(());
                }
                work.inputs.resize(FEATURES * count, 0.0);
                let (mut sample, mut far) = (0, 0);
                for i in rows.clone() {
                    let (columns, at) = (plain.pattern.row(i), row_ptr[i] as usize - first);
                    let g = &out[at..at + columns.len()];
                    surroundings.describe(i, columns, g, &mut work.description, |features| {
                        far += u64::from(self.put(features, &mut work.inputs, count, sample));
                        sample += 1;
                    });
                }
                unusual.fetch_add(far, Ordering::Relaxed);
                if work.room < count {
                    (work.activations, work.room) = (self.net.activations(count), count);
                }
                work.outputs.resize(count, 0.0);
                let Work { activations, inputs, outputs, .. } = work;
                let (inputs, outputs) = (&inputs[..FEATURES * count], &mut outputs[..count]);
                self.net.forward(&self.parameters, inputs, count, activations, outputs);
                let mut sample = 0;
                for i in rows {
                    let (columns, at) = (plain.pattern.row(i), row_ptr[i] as usize - first);
                    let g = &mut out[at..at + columns.len()];
                    let (last, image) = (g.len() - 1, &mut work.image);
                    let diagonal = std::mem::replace(&mut g[last], 1.0);
                    for (g, &t) in g[..last].iter_mut().zip(&work.outputs[sample..]) {
                        *g = row::corrected(*g / diagonal, t);
                    }
                    sample += last;
                    work.gather.fill(&plain.reach, columns);
                    image.resize(g.len(), 0.0);
                    let length = row::length(&work.gather.block, g, image);
                    g.iter_mut().for_each(|g| *g /= length);
                }
                Ok(())
            })
        })?;
        Ok(Corrected { entries, unusual: unusual.into_inner() })
    }

    /// Puts the features of a sample into its column of the inputs; whether some were far off.
    fn put(
        &self,
        features: &[f64; FEATURES],
        inputs: &mut [f32],
        count: usize,
        sample: usize,
    ) -> bool {
        let mut far = false;
        for (f, &feature) in features.iter().enumerate() {
            let x = normal(feature, self.mean[f], self.inverse_deviation[f]);
            far |= x.abs() >= FARTHEST;
            inputs[f * count + sample] = x;
        }
        far
    }
}

/// A feature in standard deviations from its mean, cut off at [`FARTHEST`]; what is not a number
/// counts as far off.
pub fn normal(feature: f64, mean: f32, inverse_deviation: f32) -> f32 {
    let x = (feature as f32 - mean) * inverse_deviation;
    if x.is_nan() { FARTHEST } else { x.clamp(-FARTHEST, FARTHEST) }
}
