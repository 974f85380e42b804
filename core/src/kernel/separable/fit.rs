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
//! Cost: one pass over A; level and distance from some ten thousand rows chosen by their numbers; two gathers of sums, a few
//! words a plane. Sums over all rows are compensated and added in the order of the ranks: the same bits on any number of ranks
//! but for sums within 10⁻³² of where rounding turns.
use super::axis::Axis;
use super::operator::Separable;
use crate::comm::Communicator;
use crate::kernel::lattice::{CENTRE, Entry, Lattice, STEPS};
use crate::matrix::{DistCsr, total, two_sum};
use crate::{Error, Result};

/// The greatest distance at which an operator counts as a model of a matrix.
pub const FARTHEST: f64 = 0.75;
/// The greatest part of rows whose diagonal entry may be [`OFF`] times the operator's or less than one over that.
const FEW: f64 = 0.2;
const OFF: f64 = 16.0;
/// Rows, about, that level and distance are taken from.
const SAMPLES: u64 = 1 << 14;
/// Sums of rows below this part of the sums of their entries' absolute values are rounding.
const ROUNDING: f64 = 1e-13;
/// Standard errors within which planes count as equal.
const ERRORS: f64 = 4.0;
/// Couplings beyond so many times the model's are those of cells that are nearly flat.
const WILD: f64 = 4.0;
/// Times, at most, that sums are taken without them.
const ROUNDS: usize = 3;
/// Planes of couplings that differ by less count as equal in any case.
const EQUAL: f64 = 1e-11;
/// What holds the ends may be off by this part, at least, where planes are equal up to noise.
const END: f64 = 0.25;

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
        let taken = lattice.rows(a, |_, place, entries| {
            sums.row(place, entries, Limit::None);
            Ok(())
        });
        comm.agree_first_adding(taken, || a.identity_rows_hint())?;
        sums.add_up(a)?;
        let rows = samples(a);
        let mut operator = match sums.operator(constant) {
            Err(Error::Unsupported(_)) => {
                sums = Sums::limited(a, lattice, Limit::Positive)?;
                sums.operator(constant)?
            }
            found => found?,
        };
        let mut scatter = noise(a, lattice, &operator, &rows)?;
        for _ in 0..ROUNDS {
            if scatter.is_tame() {
                break;
            }
            sums = Sums::limited(a, lattice, Limit::Model(&operator))?;
            operator = sums.operator(constant)?;
            scatter = noise(a, lattice, &operator, &rows)?;
        }
        let operator = sums.without_noise(operator, scatter.limited);
        operator.check().map_err(|e| near(&format!("{e}")))?;
        measured(a, lattice, operator, &rows)
    })
}

fn near(why: &str) -> Error {
    Error::Unsupported(format!("no separable operator is near to A: {why}"))
}

/// Own rows that stand for all: chosen by their numbers, whoever has them.
fn samples(a: &DistCsr) -> Vec<usize> {
    let every = a.n_global().div_ceil(SAMPLES);
    let chosen = |row: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (0..a.n_own()).filter(|&k| chosen(a.global_row(k)) % every == 0).collect()
}

/// The rows `rows` of a matrix, one after the other.
fn visit(
    a: &DistCsr,
    lattice: Lattice,
    rows: &[usize],
    mut take: impl FnMut([usize; 3], &[Entry]),
) {
    let mut entries = Vec::with_capacity(27);
    for &k in rows {
        let place = lattice.place(a.global_row(k));
        entries.clear();
        let of_grid = |(col, value)| Some((lattice.step_to(place, col)?, value));
        entries.extend(a.global_entries(k).filter_map(of_grid));
        take(place, &entries);
    }
}

/// Unevaluated sums.
type Sum = [f64; 2];

fn add(sum: &mut Sum, term: f64) {
    let [s, e] = two_sum(sum[0], term);
    *sum = [s, sum[1] + e];
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

/// Rows that are added up for what holds them: their sums, and those of absolute values.
#[derive(Clone, Copy)]
enum Part {
    Inside,
    /// The first nodes along an axis; the last ones come next.
    Face(usize),
}

impl Part {
    fn at(self, end: usize) -> usize {
        match self {
            Part::Inside => 0,
            Part::Face(axis) => 2 * (1 + 2 * axis + end),
        }
    }
}

/// What couplings are held to before they are added up.
#[derive(Clone, Copy)]
enum Limit<'a> {
    None,
    Positive,
    /// Between nothing and [`WILD`] times that of an operator.
    Model(&'a Separable),
}

impl Limit<'_> {
    fn of(self, value: f64, model: impl FnOnce(&Separable) -> f64) -> f64 {
        match self {
            Limit::None => value,
            Limit::Positive => value.max(0.0),
            Limit::Model(operator) => value.max(0.0).min(WILD * model(operator)),
        }
    }
}

/// Sums over planes.
struct Sums {
    lattice: Lattice,
    /// Where the sums of couplings along one axis over the planes of another one start.
    starts: [[usize; 3]; 3],
    /// Where those of rows start.
    rows: usize,
    sums: Vec<Sum>,
}

impl Sums {
    fn new(lattice: Lattice) -> Self {
        let (mut starts, mut count) = ([[0; 3]; 3], 0);
        for starts in starts.iter_mut().take(lattice.dimension) {
            for (start, m) in starts.iter_mut().zip(lattice.dims).take(lattice.dimension) {
                *start = count;
                count += m + 1;
            }
        }
        Sums { lattice, starts, rows: count, sums: vec![[0.0; 2]; count + 14] }
    }

    /// Whether a place is strictly inside along all axes but `without`, as far as they have an inside.
    fn is_inside(&self, place: [usize; 3], without: Option<usize>) -> bool {
        let Lattice { dims, dimension, periodic } = self.lattice;
        (0..dimension).filter(|&d| Some(d) != without).all(|d| {
            let inside = place[d] > 0 && place[d] + 1 < dims[d];
            periodic[d] || inside || (without.is_some() && dims[d] < 3)
        })
    }

    /// Sums of a matrix whose rows fit. Collective.
    fn limited(a: &DistCsr, lattice: Lattice, limit: Limit<'_>) -> Result<Self> {
        let mut sums = Sums::new(lattice);
        lattice.rows(a, |_, place, entries| {
            sums.row(place, entries, limit);
            Ok(())
        })?;
        sums.add_up(a)?;
        Ok(sums)
    }

    fn row(&mut self, place: [usize; 3], entries: &[Entry], limit: Limit<'_>) {
        let Lattice { dims, dimension, periodic } = self.lattice;
        let (mut sum, mut size) = (0.0, 0.0);
        // Half of what couples it to the planes before and behind, along every axis.
        let mut couplings = [[0.0; 2]; 3];
        for &(step, value) in entries {
            sum += value;
            size += f64::abs(value);
            for (couplings, &s) in couplings.iter_mut().zip(&STEPS[step]).take(dimension) {
                if s != 0 {
                    couplings[usize::from(s > 0)] -= 0.5 * value;
                }
            }
        }
        for along in 0..dimension {
            let half = |value: f64, sign: i8| {
                let mut step = [0; 3];
                step[along] = sign;
                limit.of(value, |operator| -0.5 * operator.entry(place, step))
            };
            let [before, behind] = couplings[along];
            let (before, behind) = (half(before, -1), half(behind, 1));
            for over in 0..dimension {
                let first = self.starts[along][over];
                if over == along {
                    // The coupling before node 0 of a ring is the one behind its last node.
                    let i = if place[along] == 0 { dims[along] } else { place[along] };
                    add(&mut self.sums[first + i], before);
                    add(&mut self.sums[first + place[along] + 1], behind);
                } else {
                    add(&mut self.sums[first + place[over]], before + behind);
                }
            }
        }
        let sum = limit.of(sum, |operator| operator.of_constants(place));
        if self.is_inside(place, None) {
            self.hold(Part::Inside, 0, sum, size);
        }
        for axis in (0..dimension).filter(|&axis| !periodic[axis]) {
            for (end, at) in [(0, 0), (1, dims[axis] - 1)] {
                if place[axis] == at && self.is_inside(place, Some(axis)) {
                    self.hold(Part::Face(axis), end, sum, size);
                }
            }
        }
    }

    fn hold(&mut self, part: Part, end: usize, sum: f64, size: f64) {
        let at = self.rows + part.at(end);
        add(&mut self.sums[at], sum);
        add(&mut self.sums[at + 1], size);
    }

    /// Collective.
    fn add_up(&mut self, a: &DistCsr) -> Result<()> {
        over_ranks(a, &mut self.sums)
    }

    fn planes(&self, along: usize, over: usize) -> impl Iterator<Item = f64> + Clone {
        let first = self.starts[along][over];
        self.sums[first..=first + self.lattice.dims[over]].iter().map(|sum| sum[0])
    }

    /// The sum of rows over a sum of masses; 0 where it is rounding.
    fn held(&self, part: Part, end: usize, mass: f64) -> f64 {
        let at = self.rows + part.at(end);
        let (sum, size) = (self.sums[at][0], self.sums[at + 1][0]);
        if mass > 0.0 && sum.abs() > ROUNDING * size { sum / mass } else { 0.0 }
    }

    /// The operator, planes as they are; `singular` where A is known to take constants to zero.
    fn operator(&self, singular: bool) -> Result<Separable> {
        let Lattice { dims, dimension, periodic } = self.lattice;
        let sizes: f64 = (0..dimension).flat_map(|d| self.planes(d, d)).map(f64::abs).sum();
        if !sizes.is_finite() {
            let why = "no reference matrix for A: its entries are not finite or beyond the range of numbers";
            return Err(Error::Data(why.into()));
        }
        let masses: Vec<Vec<f64>> =
            (0..dimension).map(|axis| self.masses(axis)).collect::<Result<_>>()?;
        let inner = |axis: usize| -> f64 {
            let m = dims[axis];
            match periodic[axis] || m < 3 {
                true => masses[axis].iter().sum(),
                false => masses[axis][1..m - 1].iter().sum(),
            }
        };
        let has_inside = (0..dimension).all(|d| periodic[d] || dims[d] > 2);
        let shift = match has_inside && !singular {
            true => self.held(Part::Inside, 0, (0..dimension).map(inner).product()).max(0.0),
            false => 0.0,
        };
        let mut axes = Vec::new();
        for axis in 0..dimension {
            let m = dims[axis];
            let mut stiffness: Vec<f64> = self.planes(axis, axis).collect();
            let positive = |v: f64| v > 0.0;
            if let Some(i) = (1..m).find(|&i| !positive(stiffness[i])) {
                return Err(near(&format!(
                    "the couplings from layer {i} to the next one along {} are {:.1e} in the mean, not negative \
                     entries",
                    ["x", "y", "z"][axis],
                    -stiffness[i]
                )));
            }
            let mass: f64 = (0..dimension).filter(|&d| d != axis).map(inner).product();
            for (end, at) in [(0, 0), (1, m)] {
                stiffness[at] = match periodic[axis] {
                    true => stiffness[m],
                    false if singular => 0.0,
                    false => {
                        let whole = self.held(Part::Face(axis), end, mass);
                        let held = whole - shift * masses[axis][at.min(m - 1)];
                        // A single node has both ends.
                        let part = if m == 1 { 0.5 } else { 1.0 };
                        if held > 1e-12 * whole { part * held } else { 0.0 }
                    }
                };
            }
            axes.push(Axis { stiffness, mass: masses[axis].clone(), periodic: periodic[axis] });
        }
        let nothing = |axis: &Axis| axis.stiffness.iter().all(|k| *k == 0.0);
        if shift == 0.0 && axes.iter().all(nothing) {
            let why = "no reference matrix for A: all of its entries are zero";
            return Err(Error::Data(why.into()));
        }
        Ok(Separable { axes, shift })
    }

    /// Masses along an axis: shares of its planes in the couplings along the others, in the geometric mean.
    fn masses(&self, axis: usize) -> Result<Vec<f64>> {
        let (dims, m) = (self.lattice.dims, self.lattice.dims[axis]);
        let mut logs = vec![0.0; m];
        let others = (0..self.lattice.dimension).filter(|&d| d != axis && dims[d] > 1);
        let count = others.clone().count().max(1) as f64;
        for other in others {
            let planes: Vec<f64> = self.planes(other, axis).take(m).collect();
            let all: f64 = planes.iter().sum();
            for (i, (log, plane)) in logs.iter_mut().zip(&planes).enumerate() {
                if plane.is_nan() || *plane <= 0.0 {
                    return Err(near(&format!(
                        "the couplings along {} of layer {i} along {} are {:.1e} in the mean, not negative entries",
                        ["x", "y", "z"][other],
                        ["x", "y", "z"][axis],
                        -plane
                    )));
                }
                *log += (plane / all).ln() / count;
            }
        }
        let all: f64 = logs.iter().map(|log| log.exp()).sum();
        Ok(logs.into_iter().map(|log| log.exp() / all).collect())
    }

    /// The operator with planes made equal that `noise`, the variance of single couplings along every axis around it,
    /// explains.
    fn without_noise(&self, mut operator: Separable, noise: [f64; 3]) -> Separable {
        let n = self.lattice.nodes() as f64;
        for axis in 0..operator.axes.len() {
            let m = operator.axes[axis].nodes();
            let error = |variance: f64| ERRORS * (variance * m as f64 / n).sqrt() + EQUAL;
            let others = (0..noise.len()).filter(|&d| d != axis);
            let of_masses = others.map(|d| noise[d]).fold(0.0, f64::max);
            equalise(&mut operator.axes[axis], error(noise[axis]), error(of_masses));
        }
        operator
    }
}

/// The mean, where the values differ from it by no more than `slack` in the mean square; those beside the ends, which are
/// not like the others, do not decide.
fn mean_within(values: &[f64], slack: f64) -> Option<f64> {
    let skip = if values.len() < 12 { 0 } else { 2 };
    let values = &values[skip..values.len() - skip];
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|v| (v / mean - 1.0).powi(2)).sum::<f64>() / count;
    (!values.is_empty() && square.sqrt() <= slack).then_some(mean)
}

/// Makes an axis one of equal spacings where couplings and masses are equal within these parts.
fn equalise(axis: &mut Axis, of_couplings: f64, of_masses: f64) {
    let m = axis.nodes();
    if axis.periodic {
        let means =
            (mean_within(&axis.stiffness[1..], of_couplings), mean_within(&axis.mass, of_masses));
        if let (Some(k), Some(w)) = means {
            axis.stiffness.fill(k);
            axis.mass.fill(w);
        }
        return;
    }
    if m < 4 {
        return;
    }
    let means = (
        mean_within(&axis.stiffness[1..m], of_couplings),
        mean_within(&axis.mass[1..m - 1], of_masses),
    );
    let (Some(k), Some(w)) = means else { return };
    // Ends are means over one plane alone.
    let slack =
        |error: f64| if error > 10.0 * EQUAL { error.clamp(END, 0.45) } else { 1e3 * EQUAL };
    let is = |value: f64, of: f64, slack: f64| (value - of).abs() <= slack * of;
    let end = |value: f64| match value {
        0.0 => Some(0.0),
        v => [k, 2.0 * k].into_iter().find(|&e| is(v, e, slack(of_couplings))),
    };
    let (Some(first), Some(last)) = (end(axis.stiffness[0]), end(axis.stiffness[m])) else {
        return;
    };
    // Only free ends have lighter nodes.
    let mass = |value: f64, end: f64| match end {
        0.0 => [w, 0.5 * w].into_iter().find(|&e| is(value, e, slack(of_masses))),
        _ => is(value, w, slack(of_masses)).then_some(w),
    };
    let masses = (mass(axis.mass[0], first), mass(axis.mass[m - 1], last));
    if let (Some(first_mass), Some(last_mass)) = masses {
        axis.stiffness[1..m].fill(k);
        axis.mass[1..m - 1].fill(w);
        (axis.stiffness[0], axis.stiffness[m]) = (first, last);
        (axis.mass[0], axis.mass[m - 1]) = (first_mass, last_mass);
    }
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

/// How single couplings scatter around an operator. Collective.
fn noise(a: &DistCsr, lattice: Lattice, operator: &Separable, rows: &[usize]) -> Result<Scatter> {
    let mut sums = [[0.0; 2]; 9];
    visit(a, lattice, rows, |place, entries| {
        for axis in 0..lattice.dimension {
            let mut step = [0; 3];
            step[axis] = 1;
            if lattice.neighbour(place, step).is_none() {
                continue;
            }
            let further = entries.iter().filter(|(s, _)| STEPS[*s][axis] > 0);
            let coupling: f64 = further.map(|(_, value)| -value).sum();
            let ratio = coupling / -operator.entry(place, step);
            let [all, limited] = [ratio, ratio.clamp(0.0, WILD)].map(|r| (r - 1.0).powi(2));
            add(&mut sums[3 * axis], all);
            add(&mut sums[3 * axis + 1], limited);
            add(&mut sums[3 * axis + 2], 1.0);
        }
    });
    over_ranks(a, &mut sums)?;
    let of = |which: usize| {
        [0, 1, 2].map(|axis| sums[3 * axis + which][0] / sums[3 * axis + 2][0].max(1.0))
    };
    Ok(Scatter { all: of(0), limited: of(1) })
}

/// What is added up for level and distance.
#[derive(Clone, Copy)]
enum Term {
    /// uᵀA u and uᵀA0u, for every row as half of what its couplings cost, and what holds it.
    Energy,
    Reference,
    /// (Au)ᵀW⁻¹(Au), (Au)ᵀW⁻¹(A0u), (A0u)ᵀW⁻¹(A0u).
    Rough,
    Mixed,
    Smooth,
    /// Σ|aᵢᵢ|, ΣΣ aᵢⱼ²/wᵢ.
    Diagonal,
    Square,
    /// Σ Σⱼ|aᵢⱼ| and the same of A0.
    Size,
    ReferenceSize,
}
const TERMS: usize = 9;

/// A smooth vector: along every axis, and one over its Rayleigh quotient.
struct Wave<'a> {
    along: [&'a [f64]; 3],
    weight: f64,
}

impl Wave<'_> {
    fn at(&self, place: [usize; 3]) -> f64 {
        self.along.iter().zip(place).map(|(v, i)| v[i]).product()
    }
}

/// The entries of an operator's row.
fn entries_of(operator: &Separable, lattice: Lattice, place: [usize; 3], out: &mut Vec<Entry>) {
    let straight = [CENTRE - 9, CENTRE - 3, CENTRE - 1, CENTRE, CENTRE + 1, CENTRE + 3, CENTRE + 9];
    let there = straight.into_iter().filter(|&s| lattice.neighbour(place, STEPS[s]).is_some());
    out.clear();
    out.extend(there.map(|s| (s, operator.entry(place, STEPS[s]))));
}

/// The operator at the level of A, and its distance. Collective.
fn measured(a: &DistCsr, lattice: Lattice, operator: Separable, rows: &[usize]) -> Result<Fit> {
    let modes: Vec<Vec<(f64, Vec<f64>)>> =
        operator.axes.iter().map(|axis| axis.smooth(2)).collect();
    let waves = waves(&operator, &modes);
    let mut sums = [[0.0; 2]; TERMS];
    let mut reference = Vec::with_capacity(7);
    visit(a, lattice, rows, |place, entries| {
        let mut terms = [0.0; TERMS];
        let mut put = |term: Term, value: f64| terms[term as usize] += value;
        entries_of(&operator, lattice, place, &mut reference);
        let size = |entries: &[Entry]| entries.iter().map(|(_, v)| v.abs()).sum::<f64>();
        let weight = 0.5 * size(entries);
        put(Term::Size, 2.0 * weight);
        put(Term::ReferenceSize, size(&reference));
        for &(step, value) in entries {
            if step == CENTRE {
                put(Term::Diagonal, value.abs());
            }
            if weight > 0.0 {
                put(Term::Square, value * (value / weight));
            }
        }
        for wave in &waves {
            let u = wave.at(place);
            // A u, and half of uᵀA u, of a row.
            let of = |entries: &[Entry]| {
                let (mut image, mut energy, mut sum) = (0.0, 0.0, 0.0);
                for &(step, value) in entries {
                    let other = lattice.moved(place, STEPS[step]).map_or(0.0, |to| wave.at(to));
                    image += value * other;
                    energy -= 0.5 * value * (u - other) * (u - other);
                    sum += value;
                }
                (image, energy + sum * u * u)
            };
            let ((image, energy), (smooth, cost)) = (of(entries), of(&reference));
            put(Term::Energy, energy * wave.weight);
            put(Term::Reference, cost * wave.weight);
            if weight > 0.0 {
                put(Term::Rough, image * (image / weight) * wave.weight);
                put(Term::Mixed, image * (smooth / weight) * wave.weight);
                put(Term::Smooth, smooth * (smooth / weight) * wave.weight);
            }
        }
        sums.iter_mut().zip(terms).for_each(|(sum, term)| add(sum, term));
    });
    over_ranks(a, &mut sums)?;
    let level = level(&sums.map(|sum| sum[0]));
    if !level.is_normal() {
        return Err(near("its entries are beyond the range of numbers"));
    }
    let operator = operator.times(level);
    let (distance, misfits) = distance(a, lattice, &operator, rows)?;
    if misfits > FEW {
        return Err(near(&format!(
            "{:.0} % of its diagonal entries are less than a sixteenth or more than sixteen times those of the nearest one that \
             was found: the coefficient is no product of one function for each axis; amg takes any matrix",
            100.0 * misfits
        )));
    }
    if distance > FARTHEST || distance.is_nan() {
        return Err(near(&format!(
            "it is {distance:.2} away from the nearest one that was found, where 0 is A itself, 1 has nothing in common \
             with it, and up to {FARTHEST} is taken: the coefficient, or the spacing of nodes, is no product of one \
             function for each axis; amg takes any matrix"
        )));
    }
    Ok(Fit { operator, distance })
}

/// Products of the smoothest vectors of all axes; constants alone only where they cost something.
fn waves<'a>(operator: &Separable, modes: &'a [Vec<(f64, Vec<f64>)>]) -> Vec<Wave<'a>> {
    const ONE: [f64; 1] = [1.0];
    let mut waves = vec![(0.0, [&ONE[..]; 3])];
    for (axis, of_axis) in modes.iter().enumerate() {
        let extended = waves.iter().flat_map(|&(value, along)| {
            of_axis.iter().map(move |(more, wave)| {
                let mut along = along;
                along[axis] = wave;
                (value + more, along)
            })
        });
        waves = extended.collect();
    }
    let wave = |(value, along): (f64, [&'a [f64]; 3])| {
        let value = value + operator.shift;
        (value > 0.0).then(|| Wave { along, weight: 1.0 / value })
    };
    waves.into_iter().filter_map(wave).collect()
}

/// s out of the sums, held between the ratio of energies and its half; where there is none, the ratio of sizes.
fn level(sums: &[f64; TERMS]) -> f64 {
    let of = |term: Term| sums[term as usize];
    let energies = of(Term::Energy) / of(Term::Reference);
    if !(energies > 0.0 && energies.is_normal()) {
        return of(Term::Size) / of(Term::ReferenceSize);
    }
    let theta = of(Term::Diagonal) / of(Term::Square);
    let mut level = energies;
    for _ in 0..4 {
        let rest = of(Term::Rough) - level * (2.0 * of(Term::Mixed) - level * of(Term::Smooth));
        let next = energies - theta * (rest / of(Term::Reference));
        // Comparisons that NaN fails.
        level = if next >= 0.5 * energies { next.min(energies) } else { 0.5 * energies };
    }
    level
}

/// The distance, and the part of rows whose diagonal entry is off. Collective.
fn distance(
    a: &DistCsr,
    lattice: Lattice,
    operator: &Separable,
    rows: &[usize],
) -> Result<(f64, f64)> {
    let mut sums = [[0.0; 2]; 3];
    let mut reference = Vec::with_capacity(7);
    visit(a, lattice, rows, |place, entries| {
        entries_of(operator, lattice, place, &mut reference);
        let (mut apart, mut both) = (0.0, 0.0);
        let mut both_rows = [[0.0; 2]; 27];
        entries.iter().for_each(|&(s, v)| both_rows[s][0] += v);
        reference.iter().for_each(|&(s, v)| both_rows[s][1] += v);
        for [x, y] in both_rows {
            apart += (x - y).abs();
            both += x.abs() + y.abs();
        }
        add(&mut sums[0], if both > 0.0 { apart / both } else { 1.0 });
        add(&mut sums[1], 1.0);
        let ratio = both_rows[CENTRE][0] / both_rows[CENTRE][1];
        let fits = (1.0 / OFF..=OFF).contains(&ratio);
        add(&mut sums[2], if fits { 0.0 } else { 1.0 });
    });
    over_ranks(a, &mut sums)?;
    let [distance, count, misfits] = sums.map(|sum| sum[0]);
    Ok((distance / count.max(1.0), misfits / count.max(1.0)))
}
