//! What a matrix looks like: a few numbers out of one pass over its entries.
//!
//! Every feature is a count, an extreme, or a mean that is summed up with compensation and rounded to
//! single precision, so that they are the same on any number of ranks. All of them are finite: a
//! matrix with values that are not is refused, because a decision tree would vote on NaN without a
//! word.
//!
//! Cost: one pass over A, one for its symmetry (kept with the matrix), one for its grid; one exchange
//! of the diagonal, two reductions. Far more than three products with A: 23 to 98 by the clock, and 8 to 18
//! for the symmetry (`--example regret -- --worth`; docs/auto.md).
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::matrix::dot_local;
use precondor_sdk::prelude::*;

/// Names of the features, in order.
pub const NAMES: [&str; 17] = [
    "log-unknowns",
    "entries-a-row",
    "longest-row",
    "symmetric",
    "positive-diagonal",
    "diagonal-spread",
    "diagonal-jumps",
    "greatest-jump",
    "dominant-rows",
    "least-dominance",
    "mean-dominance",
    "positive-couplings",
    "greatest-coupling",
    "coupling-spread",
    "bandwidth",
    "grid-points",
    "grid-anisotropy",
];

/// The features of one matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features([f32; NAMES.len()]);

/// Dominance of a row without couplings, and the most that any row is said to have.
const MOST_DOMINANT: f64 = 10.0;
/// Row sums this much above the diagonal, relatively, still count as dominated: rounding.
const ROUNDING: f64 = 1e-12;
/// Exponents of ten that a ratio is kept within.
const DECADES: f64 = 12.0;

/// Rows whose numbers are added up at once.
const BLOCK: usize = 512;

/// What a coupling needs to know of the rows at its two ends, for own and for ghost columns.
struct Sides {
    /// 1/√|d| with d on the diagonal, infinite where that is zero.
    own_scale: Vec<f64>,
    ghost_scale: Vec<f64>,
    /// log d, NaN where d is not positive.
    own_log: Vec<f64>,
    ghost_log: Vec<f64>,
}

impl Sides {
    /// Collective.
    fn of(a: &DistCsr) -> Result<Self> {
        let diagonal: Vec<f64> = (0..a.n_own()).map(|i| a.diagonal(i)).collect();
        let mut ghost = vec![0.0; a.ghost_ids().len()];
        let token = a.exchange_start(&diagonal)?;
        a.exchange_finish(token, &mut ghost)?;
        let scale = |d: &f64| 1.0 / d.abs().sqrt();
        let log = |&d: &f64| if d > 0.0 { d.ln() } else { f64::NAN };
        Ok(Sides {
            own_scale: diagonal.iter().map(scale).collect(),
            ghost_scale: ghost.iter().map(scale).collect(),
            own_log: diagonal.iter().map(log).collect(),
            ghost_log: ghost.iter().map(log).collect(),
        })
    }
}

/// Longest row, bandwidth, −least and greatest logarithm of the diagonal, jump, −least dominance,
/// coupling.
struct Most([f64; 7]);

impl Most {
    fn raise(&mut self, k: usize, value: f64) {
        self.0[k] = greater(self.0[k], value);
    }
}

/// What row `i` adds to the sums; raises the extremes.
fn look(a: &DistCsr, sides: &Sides, grid: Option<Grid>, i: usize, most: &mut Most) -> [f64; SUMS] {
    let (d, scale, log) = (a.diagonal(i), sides.own_scale[i], sides.own_log[i]);
    let row = a.global_row(i);
    let mut sums = [0.0; SUMS];
    let mut off = 0.0;
    // Column, where the numbers of its row stand, entry.
    let mut couple = |col: u64, beside: f64, beside_log: f64, value: f64| {
        off += value.abs();
        let distance = row.abs_diff(col);
        most.raise(1, distance as f64);
        let size = value.abs() * (scale * beside);
        // Beside a zero on the diagonal any coupling is great.
        let size = match (value.is_finite(), size.is_finite()) {
            (false, _) => f64::NAN,
            (true, true) => size,
            (true, false) => MOST_DOMINANT,
        };
        most.raise(6, if size > MOST_DOMINANT { MOST_DOMINANT } else { size });
        sums[Sum::Couplings as usize] += 1.0;
        sums[Sum::Size as usize] += size;
        sums[Sum::Square as usize] += size * size;
        if value > 0.0 {
            sums[Sum::SizePositive as usize] += size;
        }
        let jump = (beside_log - log).abs();
        if !jump.is_nan() {
            most.raise(4, jump);
            sums[Sum::Jumps as usize] += jump * jump;
        }
        // In the rows of a grid the node before and the one behind are neighbours along the row.
        match grid {
            Some(Grid { mx, .. }) if distance == mx as u64 => sums[Sum::Across as usize] += size,
            Some(_) if distance == 1 => sums[Sum::Along as usize] += size,
            _ => {}
        }
    };
    let (own, ghost) = (a.own().view(), a.ghost().view());
    for (j, value) in own.row(i).filter(|&(j, _)| j != i) {
        couple(a.global_row(j), sides.own_scale[j], sides.own_log[j], value);
    }
    for (g, value) in ghost.row(i) {
        couple(a.ghost_ids()[g], sides.ghost_scale[g], sides.ghost_log[g], value);
    }
    let entries = (own.range(i).len() + ghost.range(i).len()) as f64;
    most.raise(0, entries);
    sums[Sum::Entries as usize] = entries;
    if d > 0.0 {
        most.raise(2, -log);
        most.raise(3, log);
        sums[Sum::Positive as usize] = 1.0;
    }
    let dominance = if off > 0.0 { (d.abs() / off).min(MOST_DOMINANT) } else { MOST_DOMINANT };
    // What is not finite must not get lost in `min`.
    let dominance = if (d + off).is_finite() { dominance } else { f64::NAN };
    most.raise(5, -dominance);
    sums[Sum::Dominance as usize] = dominance;
    sums[Sum::Dominant as usize] = f64::from(u8::from(d.abs() >= off * (1.0 - ROUNDING)));
    sums
}

/// What is added up over the rows.
#[derive(Clone, Copy)]
enum Sum {
    Entries,
    Positive,
    Couplings,
    Jumps,
    Dominant,
    Dominance,
    Size,
    SizePositive,
    Square,
    Across,
    Along,
}
const SUMS: usize = 11;

impl Features {
    /// The features of `a`. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a matrix without rows; [`Error::Data`] for one with values that are
    /// not finite.
    pub fn of(a: &DistCsr) -> Result<Self> {
        let (n, space) = (a.n_own(), a.space());
        if a.n_global() == 0 {
            return Err(Error::Unsupported("a matrix without rows has no features".into()));
        }
        let grid = Grid::of(a, None).ok();
        let symmetric = a.first_unsymmetric()?.is_none();
        let sides = Sides::of(a)?;
        let blocks = n.div_ceil(BLOCK);
        let mut parts = vec![0.0; 2 * SUMS * blocks];
        let mut most =
            Most([0.0, 0.0, f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0, -MOST_DOMINANT, 0.0]);
        let mut rows = vec![[0.0; BLOCK]; SUMS];
        let ones = [1.0; BLOCK];
        for block in 0..blocks {
            let range = block * BLOCK..n.min((block + 1) * BLOCK);
            for (k, i) in range.clone().enumerate() {
                let sums = look(a, &sides, grid, i, &mut most);
                rows.iter_mut().zip(sums).for_each(|(row, sum)| row[k] = sum);
            }
            for (which, row) in rows.iter().enumerate() {
                let [high, low] = dot_local(&row[..range.len()], &ones[..range.len()]);
                parts[2 * which * blocks + block] = high;
                parts[(2 * which + 1) * blocks + block] = low;
            }
        }
        let mut most = most.0;
        space.comm().max(&mut most)?;
        let ones = vec![1.0; blocks];
        let part = |k: usize| (&parts[k * blocks..(k + 1) * blocks], &ones[..]);
        let both = space.dots(std::array::from_fn::<_, { 2 * SUMS }, _>(part))?;
        let sums = std::array::from_fn(|k| both[2 * k] + both[2 * k + 1]);
        Self::new(a.n_global() as f64, symmetric, grid.is_some(), sums, most)
    }

    fn new(n: f64, symmetric: bool, grid: bool, sums: [f64; SUMS], most: [f64; 7]) -> Result<Self> {
        let sum = |which: Sum| sums[which as usize];
        let [longest, bandwidth, least, greatest, jump, dominance, coupling] = most;
        let ratio = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
        let mean_size = ratio(sum(Sum::Size), sum(Sum::Couplings));
        let variance = ratio(sum(Sum::Square), sum(Sum::Couplings)) - mean_size * mean_size;
        let anisotropy = match (sum(Sum::Along), sum(Sum::Across)) {
            (along, across) if along > 0.0 && across > 0.0 => (along / across).log10().abs(),
            _ => 0.0,
        };
        let positive = sum(Sum::Positive);
        let spread = if positive == 0.0 { 0.0 } else { (greatest + least) / 10f64.ln() };
        let values = [
            n.log10(),
            sum(Sum::Entries) / n,
            longest,
            f64::from(u8::from(symmetric)),
            positive / n,
            spread.min(DECADES),
            ratio(sum(Sum::Jumps), sum(Sum::Couplings)).sqrt(),
            jump,
            sum(Sum::Dominant) / n,
            -dominance,
            sum(Sum::Dominance) / n,
            ratio(sum(Sum::SizePositive), sum(Sum::Size)),
            coupling,
            ratio(variance.max(0.0).sqrt(), mean_size),
            if n > 1.0 { (bandwidth + 1.0).ln() / n.ln() } else { 0.0 },
            if grid { longest } else { 0.0 },
            anisotropy.min(DECADES),
        ];
        Self::checked(values.map(|value| value as f32))
    }

    /// Numbers in the order of [`NAMES`].
    ///
    /// # Errors
    /// [`Error::Data`] for one that is not finite.
    pub fn checked(values: [f32; NAMES.len()]) -> Result<Self> {
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(Features(values)),
            Some(k) => Err(Error::Data(format!(
                "the feature '{}' is {}: A holds values that are not finite, or too large",
                NAMES[k], values[k]
            ))),
        }
    }

    /// A is symmetric with a positive diagonal.
    pub fn allows_conjugate_gradients(&self) -> bool {
        self.0[3] == 1.0 && self.0[4] == 1.0
    }

    /// In the order of [`NAMES`].
    pub fn values(&self) -> &[f32; NAMES.len()] {
        &self.0
    }
}

/// The greater number; NaN where one is.
fn greater(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_sdk::core::comm::{Comm, threads};
    use precondor_sdk::core::matrix::{Csr, DistCsr, Space};
    use precondor_sdk::core::problem::{Poisson, Problem};

    fn feature(features: &Features, name: &str) -> f64 {
        let k = NAMES.iter().position(|known| *known == name).expect("a name");
        f64::from(features.values()[k])
    }

    fn matrix(n: usize, entries: &[(usize, usize, f64)]) -> DistCsr {
        DistCsr::solo(Csr::from_triplets(n, n, entries.iter().copied()).expect("valid"))
            .expect("square")
    }

    #[test]
    fn a_matrix_by_hand() {
        let a = matrix(
            3,
            &[(0, 0, 4.0), (0, 1, -1.0), (1, 0, -1.0), (1, 1, 1.0), (1, 2, 0.5), (2, 2, 100.0)],
        );
        let f = Features::of(&a).expect("finite");
        // Couplings: 1/√4 twice, 0.5/√100.
        let sizes = [0.5f64, 0.5, 0.05];
        let mean = sizes.iter().sum::<f64>() / 3.0;
        let variance = sizes.iter().map(|s| s * s).sum::<f64>() / 3.0 - mean * mean;
        let jumps = [4f64.ln(), 4f64.ln(), 100f64.ln()];
        for (name, want) in [
            ("log-unknowns", 3f64.log10()),
            ("entries-a-row", 2.0),
            ("longest-row", 3.0),
            ("symmetric", 0.0),
            ("positive-diagonal", 1.0),
            ("diagonal-spread", 2.0),
            ("diagonal-jumps", (jumps.iter().map(|j| j * j).sum::<f64>() / 3.0).sqrt()),
            ("greatest-jump", 100f64.ln()),
            ("dominant-rows", 2.0 / 3.0),
            ("least-dominance", 1.0 / 1.5),
            ("mean-dominance", (4.0 + 1.0 / 1.5 + 10.0) / 3.0),
            ("positive-couplings", 0.05 / 1.05),
            ("greatest-coupling", 0.5),
            ("coupling-spread", variance.sqrt() / mean),
            ("bandwidth", 2f64.ln() / 3f64.ln()),
            ("grid-points", 0.0),
            ("grid-anisotropy", 0.0),
        ] {
            assert!(
                (feature(&f, name) - want).abs() < 1e-6 * (1.0 + want),
                "{name}: {}",
                feature(&f, name)
            );
        }
    }

    #[test]
    fn grids_are_seen() {
        let (system, _) =
            Problem::Poisson(Poisson::at_level(3)).generate(Comm::solo()).expect("valid");
        let f = Features::of(system.a()).expect("finite");
        assert_eq!((feature(&f, "grid-points"), feature(&f, "symmetric")), (7.0, 1.0));
        // Ten times as strong along rows as across them.
        let mut entries = vec![];
        for i in 0..16usize {
            entries.push((i, i, 22.0));
            if i % 4 < 3 {
                entries.extend([(i, i + 1, -10.0), (i + 1, i, -10.0)]);
            }
            if i < 12 {
                entries.extend([(i, i + 4, -1.0), (i + 4, i, -1.0)]);
            }
        }
        let f = Features::of(&matrix(16, &entries)).expect("finite");
        assert_eq!((feature(&f, "grid-points"), feature(&f, "grid-anisotropy")), (5.0, 1.0));
    }

    #[test]
    fn the_units_of_the_matrix_play_no_part() {
        let problem = Problem::Poisson(Poisson { shift: 0.4, ..Poisson::at_level(4) });
        let (system, _) = problem.generate(Comm::solo()).expect("valid");
        let of = |c: f64| {
            let values = system.a().own().view().values.iter().map(|v| c * v).collect();
            Features::of(&system.a().with_values(values, vec![]).expect("fits")).expect("finite")
        };
        let once = of(1.0);
        assert_eq!(of(1024.0), once);
        for c in [2.1e11, 8.9e-12, 4225.0, 1e100, 1e-100] {
            for ((name, a), b) in NAMES.iter().zip(of(c).values()).zip(once.values()) {
                assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "{name} for {c} A: {a} {b}");
            }
        }
    }

    #[test]
    fn every_rank_of_any_number_sees_the_same_bits() {
        let features = |size: usize| {
            threads::run(size, |comm| {
                let problem = Problem::Poisson(Poisson { shift: 0.4, ..Poisson::at_level(4) });
                let (system, _) = problem.generate(Comm::new(comm)).expect("valid");
                Features::of(system.a()).expect("finite")
            })
        };
        let alone = features(1)[0];
        for size in [2, 3, 5] {
            assert!(features(size).iter().all(|f| *f == alone), "{size} ranks");
        }
    }

    #[test]
    fn what_is_not_finite_is_refused_on_all_ranks() {
        for bad in [f64::NAN, f64::INFINITY] {
            for at in [(0, 0, bad), (0, 1, bad)] {
                let why = Features::of(&matrix(2, &[at, (1, 1, 1.0)])).expect_err("refused");
                assert!(why.to_string().contains("A holds values that are not finite"), "{why}");
            }
            for end in threads::run(3, |comm| {
                let space = Space::even(Comm::new(comm), 6);
                let row = |k: usize| if space.start() + k as u64 == 4 { bad } else { 2.0 };
                let ptr: Vec<u32> = (0..=space.n_own() as u32).collect();
                let cols: Vec<u64> = (0..space.n_own() as u64).map(|k| space.start() + k).collect();
                let values: Vec<f64> = (0..space.n_own()).map(row).collect();
                Features::of(&DistCsr::from_rows(&space, &ptr, &cols, &values).expect("rows"))
            }) {
                assert!(end.expect_err("refused").to_string().contains("not finite"));
            }
        }
        let none = Features::of(&matrix(0, &[])).expect_err("no rows");
        assert!(none.to_string().contains("without rows"), "{none}");
        // Zero and negative diagonals are no errors.
        let f =
            Features::of(&matrix(2, &[(0, 1, 1.0), (1, 0, 1.0), (1, 1, -1.0)])).expect("finite");
        assert_eq!(feature(&f, "positive-diagonal"), 0.0);
        assert_eq!(feature(&f, "greatest-coupling"), MOST_DOMINANT);
    }
}
