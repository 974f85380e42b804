//! FSAI's factor of a matrix scaled to a unit diagonal, and the network's correction of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use precondor_sdk::core::host::Host;
use precondor_sdk::core::kernel::chunks::{self, Pool};
use precondor_sdk::core::kernel::fsai;
use precondor_sdk::core::kernel::pattern::{Bound, MAX_ROW, Part, Pattern};
use precondor_sdk::core::kernel::reach::Reach;
use precondor_sdk::prelude::*;

use super::features::{Description, FEATURES, Surroundings};
use super::row;
use precondor_neural::net::{Activations, Net};

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
        let ghost_scale = a.on_ghosts(&scale)?;
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
        let bound = Bound::new(scaled, MAX_ROW)?;
        Self::on(host, scaled, Pattern::power(host, scaled, power as usize, Part::Lower, &bound)?)
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

    /// Entries of own row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.entries[self.pattern.row_ptr[i] as usize..self.pattern.row_ptr[i + 1] as usize]
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
    let ghost_scale = g.on_ghosts(scale)?;
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
            reach.visit_among(j, columns, |c, value| {
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

impl Weights {
    /// Counts the entries off the diagonal that have a feature out of the range of the training, by
    /// the matrix alone; stops counting beyond `limit`. Not collective.
    ///
    /// # Errors
    /// What the host reports.
    pub fn unusual(&self, host: &dyn Host, plain: &Plain<'_>, limit: u64) -> Result<u64> {
        let surroundings = Surroundings::new(&plain.reach);
        let (pool, unusual) = (Pool::default(), AtomicU64::new(0));
        chunks::collect(host, plain.reach.n_own(), GRAIN, |rows| {
            pool.with(
                || Description::new(surroundings.len()),
                |work| {
                    for i in rows {
                        if unusual.load(Ordering::Relaxed) > limit {
                            break;
                        }
                        let (columns, g) = (plain.pattern.row(i), plain.row(i));
                        let mut far = 0;
                        surroundings.describe(i, columns, g, work, |features| {
                            far += u64::from(self.is_far(features));
                        });
                        unusual.fetch_add(far, Ordering::Relaxed);
                    }
                    Ok(())
                },
            )
        })?;
        Ok(unusual.into_inner().min(limit.saturating_add(1)))
    }

    /// The entries of FSAI's factor, corrected. Not collective.
    ///
    /// # Errors
    /// What the host reports.
    pub fn correct(&self, host: &dyn Host, plain: &Plain<'_>) -> Result<Vec<f64>> {
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
                let mut sample = 0;
                for i in rows.clone() {
                    let (columns, at) = (plain.pattern.row(i), row_ptr[i] as usize - first);
                    let g = &out[at..at + columns.len()];
                    surroundings.describe(i, columns, g, &mut work.description, |features| {
                        for (f, x) in self.normal(features).enumerate() {
                            work.inputs[f * count + sample] = x;
                        }
                        sample += 1;
                    });
                }
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
        Ok(entries)
    }

    /// The features of a sample in standard deviations.
    fn normal(&self, features: &[f64; FEATURES]) -> impl Iterator<Item = f32> {
        let scales = self.mean.iter().zip(&self.inverse_deviation);
        features.iter().zip(scales).map(|(&feature, (&mean, &by))| normal(feature, mean, by))
    }

    /// Whether some of them are far off.
    fn is_far(&self, features: &[f64; FEATURES]) -> bool {
        self.normal(features).any(|x| x.abs() >= FARTHEST)
    }
}

/// A feature in standard deviations from its mean, cut off at [`FARTHEST`]; what is not a number
/// counts as far off.
pub fn normal(feature: f64, mean: f32, inverse_deviation: f32) -> f32 {
    let x = (feature as f32 - mean) * inverse_deviation;
    if x.is_nan() { FARTHEST } else { x.clamp(-FARTHEST, FARTHEST) }
}
