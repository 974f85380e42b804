//! The separable operator nearest to a matrix on a structured grid.
//!
//! Let c_x(ijk) be the coupling of node (i, j, k) to the layer i + 1: the sum of −a over all entries one step further along
//! x, whatever they are along the others. On a tensor grid c_x(ijk) = kx_i my_j mz_k, so that sums over planes tell all
//! there is to know:
//!
//! - kx_i = Σ_jk c_x(ijk), masses being normalised to a sum of 1;
//! - mx_i ∝ the share of plane i in the sum of c_y, or the geometric mean of those in the sums of c_y and c_z;
//! - the multiple of the mass is the sum of the rows inside over their masses; what holds the first and the last nodes is the
//!   sum of the rows there, edges left out, less that: nothing for free ends.
//!
//! For a matrix of such a grid this is the matrix, to rounding. For others planes are averages:
//!
//! - **Noise is not taken for stretch**: where the couplings of planes differ no more than the scatter of single couplings
//!   around the model explains, they count as equal, and so do masses. Fast transforms then do.
//! - **Single cells do not decide**: where couplings scatter by more than their size, or a sum over a plane is not positive, a few
//!   cells that are nearly flat are all there is in it. Sums are then taken again with couplings between 0 and four times the
//!   model's, up to three times.
//! - **Level**: one factor makes the model answer smooth loads as A does. With u some of the smoothest vectors of the grid and
//!   r = A u − s A0 u,  s uᵀA0u = uᵀA u − θ rᵀW⁻¹r, W = diag(½ Σⱼ|aᵢⱼ|), θ = Σ|aᵢᵢ| / ΣΣ aᵢⱼ²/wᵢ: the energy of u itself is
//!   too large by what A makes of it that is not smooth ([`level`](crate::kernel::level) says more).
//! - **Distance**: the mean over rows of Σⱼ|aᵢⱼ − s a0ᵢⱼ| / Σⱼ(|aᵢⱼ| + s|a0ᵢⱼ|): 0 for the matrix itself, 1 for one that has nothing
//!   in common with it. Nodes shifted by a quarter of a spacing make it 0.1 to 0.2, by almost half of one up to 0.65; beyond
//!   [`FARTHEST`] the matrix is refused, and where one diagonal entry of five is not within a factor of sixteen of the
//!   operator's.
//!
//! Entries a_ij and a_ji count half each: of an unsymmetric matrix the symmetric part is fitted.
//!
//! Cost: one pass over A; level and distance from some five hundred rows chosen by their numbers; two gathers of sums, a few
//! words a plane. Sums over all rows are compensated and added in the order of the ranks: the same bits on any number of ranks
//! but for sums within 10⁻³² of where rounding turns.
mod equal;
mod measure;
mod sums;

pub use measure::FARTHEST;

use super::operator::Separable;
use crate::comm::Communicator;
use crate::kernel::lattice::{CENTRE, Entry, Lattice, STEPS};
use crate::kernel::random;
use crate::matrix::{DistCsr, total, two_sum};
use crate::{Error, Result};
use measure::measured;
use sums::{Limit, Sums};

/// Rows, about, that level and distance are taken from.
const SAMPLES: u64 = 1 << 9;
/// Couplings beyond so many times the model's are those of cells that are nearly flat.
const WILD: f64 = 4.0;
/// Times, at most, that sums are taken without them.
const ROUNDS: usize = 3;

/// What was found.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The operator, at the level of the matrix.
    pub operator: Separable,
    /// How far the matrix is from it, from 0 to 1.
    pub distance: f64,
}

/// Fits a separable operator to a matrix on a grid, whose every row is checked to be one of the grid; `constant` says that A
/// is known to take constants to zero, whatever rounding made of that. Collective.
///
/// # Errors
/// [`Error::Unsupported`] for a row that does not fit, and where no separable operator is near to A;
/// [`Error::Data`] for entries that are all zero or not finite; what the communicator reports.
pub fn fit(a: &DistCsr, lattice: Lattice, constant: bool) -> Result<Fit> {
    let comm = a.space().comm();
    comm.scope(|| {
        let mut sums = Sums::new(lattice);
        let taken = lattice.runs(a, |run| sums.run(run, Limit::None));
        comm.agree_first_adding(taken, || a.identity_rows_hint())?;
        sums.add_up(a)?;
        let mut rows = Samples::new(a, lattice);
        let mut operator = match sums.operator(constant) {
            Err(Error::Unsupported(_)) => {
                sums = Sums::limited(a, lattice, Limit::Positive)?;
                sums.operator(constant)?
            }
            found => found?,
        };
        rows.take(lattice, &operator);
        let mut scatter = noise(a, lattice, &rows)?;
        for _ in 0..ROUNDS {
            if scatter.is_tame() {
                break;
            }
            sums = Sums::limited(a, lattice, Limit::Model(&operator))?;
            operator = sums.operator(constant)?;
            rows.take(lattice, &operator);
            scatter = noise(a, lattice, &rows)?;
        }
        let operator = sums.without_noise(operator, scatter.limited);
        operator.check().map_err(|e| near(&format!("{e}")))?;
        rows.take(lattice, &operator);
        measured(a, lattice, operator, &rows)
    })
}

fn near(why: &str) -> Error {
    Error::Unsupported(format!("no separable operator is near to A: {why}"))
}

/// Own rows that stand for all: chosen by their numbers, whoever has them.
struct Samples {
    places: Vec<[usize; 3]>,
    /// Where the entries of each begin, and of the last end.
    starts: Vec<usize>,
    entries: Vec<Entry>,
    /// The same of an operator.
    model_starts: Vec<usize>,
    model: Vec<Entry>,
}

/// Steps along one axis, and none, in their order.
const STRAIGHT: [usize; 7] =
    [CENTRE - 9, CENTRE - 3, CENTRE - 1, CENTRE, CENTRE + 1, CENTRE + 3, CENTRE + 9];

impl Samples {
    fn new(a: &DistCsr, lattice: Lattice) -> Self {
        let chosen = random::samples(a.n_global(), SAMPLES);
        let start = a.space().start();
        let mut samples = Samples {
            places: vec![],
            starts: vec![0],
            entries: vec![],
            model_starts: vec![0],
            model: vec![],
        };
        for k in 0..a.n_own() {
            let row = start + k as u64;
            if !chosen(row) {
                continue;
            }
            let place = lattice.place(row);
            let of_grid = |(col, value)| Some((lattice.step_to(place, col)?, value));
            samples.places.push(place);
            samples.entries.extend(a.global_entries(k).filter_map(of_grid));
            samples.starts.push(samples.entries.len());
        }
        samples
    }

    /// Takes the entries of an operator in these rows.
    fn take(&mut self, lattice: Lattice, operator: &Separable) {
        self.model.clear();
        self.model_starts.truncate(1);
        for &place in &self.places {
            let there = STRAIGHT.into_iter().filter(|&s| lattice.moved(place, STEPS[s]).is_some());
            self.model.extend(there.map(|s| (s, operator.entry(place, STEPS[s]))));
            self.model_starts.push(self.model.len());
        }
    }

    /// The places of the rows, their entries and those of the operator.
    fn rows(&self) -> impl Iterator<Item = ([usize; 3], &[Entry], &[Entry])> {
        let entries = self.starts.windows(2).map(|ends| &self.entries[ends[0]..ends[1]]);
        let model = self.model_starts.windows(2).map(|ends| &self.model[ends[0]..ends[1]]);
        self.places.iter().zip(entries).zip(model).map(|((place, a), b)| (*place, a, b))
    }
}

/// Unevaluated sums.
type Sum = [f64; 2];

fn add(sum: &mut Sum, term: f64) {
    let [s, e] = two_sum(sum[0], term);
    *sum = [s, sum[1] + e];
}

fn add_sum(sum: &mut Sum, more: Sum) {
    add(sum, more[0]);
    sum[1] += more[1];
}

/// Adds sums of all ranks, in their order. Collective.
fn over_ranks(a: &DistCsr, sums: &mut [Sum]) -> Result<()> {
    let (comm, mine) = (a.space().comm(), sums.as_flattened());
    let mut all = vec![0.0; comm.size() * mine.len()];
    comm.gather_f64(mine, &mut all)?;
    let ranks = || all.chunks_exact(mine.len());
    let totals: Vec<f64> =
        (0..sums.len()).map(|i| total(ranks().map(|r| [r[2 * i], r[2 * i + 1]]))).collect();
    sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum = [total, 0.0]);
    Ok(())
}

/// The variance of single couplings along every axis, relative to the operator's: of all, and held to the limits.
struct Scatter {
    all: [f64; 3],
    limited: [f64; 3],
}

impl Scatter {
    /// Whether couplings are of the size of the operator's.
    fn is_tame(&self) -> bool {
        self.all.iter().all(|variance| *variance <= 1.0)
    }
}

/// How single couplings scatter around the operator of the samples. Collective.
fn noise(a: &DistCsr, lattice: Lattice, rows: &Samples) -> Result<Scatter> {
    let mut sums = [[0.0; 2]; 9];
    for (_, entries, model) in rows.rows() {
        for axis in 0..lattice.dimension {
            let ahead = CENTRE + [1, 3, 9][axis];
            let Some((_, expected)) = model.iter().find(|(s, _)| *s == ahead) else { continue };
            let further = entries.iter().filter(|(s, _)| STEPS[*s][axis] > 0);
            let coupling: f64 = further.map(|(_, value)| -value).sum();
            let ratio = coupling / -expected;
            let [all, limited] = [ratio, ratio.clamp(0.0, WILD)].map(|r| (r - 1.0).powi(2));
            add(&mut sums[3 * axis], all);
            add(&mut sums[3 * axis + 1], limited);
            add(&mut sums[3 * axis + 2], 1.0);
        }
    }
    over_ranks(a, &mut sums)?;
    let of = |which: usize| {
        [0, 1, 2].map(|axis| sums[3 * axis + which][0] / sums[3 * axis + 2][0].max(1.0))
    };
    Ok(Scatter { all: of(0), limited: of(1) })
}
