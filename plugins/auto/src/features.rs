//! What a matrix looks like: a few numbers out of a sample of its rows.
//!
//! Lengths of rows are counted over all of A, and every value is looked at to see whether it is finite.
//! The rest comes from a sample: one row out of each 128, but no fewer than 64 (or all) and no more
//! than 1024, drawn at random out of equally long stretches of global row numbers (a fixed step would fall in with the rows of a grid). Whether A is a structured grid is asked of
//! the sampled rows only: a method that needs the grid looks at all of them, and is passed over where
//! one does not fit.
//!
//! Every feature is a count, an extreme, or a mean that is summed up with compensation and rounded to
//! single precision, so that they are the same on any number of ranks. All of them are finite: a
//! matrix with values that are not is refused, because a decision tree would vote on NaN without a
//! word.
//!
//! Cost: one pass over the values, one over the lengths of rows, the sample: 1.0 to 1.9 products with A
//! (`--example regret -- --worth`; docs/auto.md). The check of symmetry, 3 to 9 products more, is kept with
//! the matrix, where conjugate gradients ask for it again.
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::kernel::random::{Purpose, Stream};
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

/// At least this many rows are looked at, and at most.
const FEWEST: u64 = 64;
const MOST: u64 = 1024;
/// One row out of so many, between the two.
const ONE_OF: u64 = 128;

/// The rows on this rank that are looked at. Which rows of A they are has nothing to do with ranks.
fn sample(a: &DistCsr) -> Vec<usize> {
    let n = a.n_global();
    let step = n.div_ceil((n / ONE_OF).clamp(FEWEST, MOST)).max(1);
    let places = Stream::new(Purpose::Test, 0, 0, &[]);
    let (start, end) = (a.space().start(), a.space().start() + a.n_own() as u64);
    let row = |k: u64| {
        let share = 0.5 + 0.5 * places.signed(k, 0);
        k * step + ((share * step as f64) as u64).min(step - 1)
    };
    let rows = (start / step..end.div_ceil(step)).map(row);
    rows.filter(|row| (start..end).contains(row)).map(|row| (row - start) as usize).collect()
}

/// The diagonal entries of ghost columns. Collective.
fn ghost_diagonal(a: &DistCsr) -> Result<Vec<f64>> {
    let own: Vec<f64> = match a.space().comm().size() {
        1 => Vec::new(),
        _ => (0..a.n_own()).map(|i| a.diagonal(i)).collect(),
    };
    a.on_ghosts(&own)
}

/// Longest row, bandwidth, −least and greatest logarithm of the diagonal, jump, −least dominance,
/// coupling, and whether a row does not fit the grid.
struct Most([f64; 8]);

impl Most {
    fn raise(&mut self, k: usize, value: f64) {
        self.0[k] = greater(self.0[k], value);
    }
}

/// What row `i` adds to the sums; raises the extremes.
fn look(
    a: &DistCsr,
    ghost_d: &[f64],
    grid: Option<Grid>,
    i: usize,
    most: &mut Most,
) -> [f64; SUMS] {
    let (own, ghost) = (a.own().view(), a.ghost().view());
    let d = own.get(i, i);
    let (scale, log) = (1.0 / d.abs().sqrt(), d.ln());
    let row = a.global_row(i);
    if grid.is_some_and(|grid| grid.fits(a, i).is_err()) {
        most.raise(7, 1.0);
    }
    let mut sums = [0.0; SUMS];
    let mut off = 0.0;
    // Column, its diagonal entry, entry.
    let mut couple = |col: u64, beside: f64, value: f64| {
        off += value.abs();
        let distance = row.abs_diff(col);
        most.raise(1, distance as f64);
        let size = value.abs() * (scale / beside.abs().sqrt());
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
        if d > 0.0 && beside > 0.0 && beside != d {
            let jump = (beside.ln() - log).abs();
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
    for (j, value) in own.row(i).filter(|&(j, _)| j != i) {
        couple(a.global_row(j), own.get(j, j), value);
    }
    for (g, value) in ghost.row(i) {
        couple(a.ghost_ids()[g], ghost_d[g], value);
    }
    sums[Sum::Rows as usize] = 1.0;
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
    Rows,
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

/// What is known of all of A.
struct Whole {
    n: f64,
    entries: f64,
    symmetric: bool,
    grid: bool,
}

/// Without an end before the last value, so that several are looked at at once.
fn all_finite(values: &[f64]) -> bool {
    values.iter().fold(true, |all, value| all & value.is_finite())
}

impl Features {
    /// The features of `a`. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a matrix without rows; [`Error::Data`] for one with values that are
    /// not finite.
    pub fn of(a: &DistCsr) -> Result<Self> {
        let (space, rows) = (a.space(), sample(a));
        if a.n_global() == 0 {
            return Err(Error::Unsupported("a matrix without rows has no features".into()));
        }
        let grid = Grid::shown(a)?.ok();
        let symmetric = a.first_unsymmetric()?.is_none();
        let ghost_d = ghost_diagonal(a)?;
        let blocks = rows.len().div_ceil(BLOCK);
        let mut parts = vec![0.0; 2 * SUMS * blocks];
        let (own, ghost) = (a.own().view(), a.ghost().view());
        let entries = |i| own.range(i).len() + ghost.range(i).len();
        let longest = (0..a.n_own()).map(entries).max().unwrap_or(0) as f64;
        let finite = all_finite(own.values) && all_finite(ghost.values);
        let longest = if finite { longest } else { f64::NAN };
        let (least, greatest) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        let mut most = Most([longest, 0.0, least, greatest, 0.0, -MOST_DOMINANT, 0.0, 0.0]);
        let mut by_row = vec![[0.0; BLOCK]; SUMS];
        let ones = [1.0; BLOCK];
        for (block, rows) in rows.chunks(BLOCK).enumerate() {
            for (k, &i) in rows.iter().enumerate() {
                let sums = look(a, &ghost_d, grid, i, &mut most);
                by_row.iter_mut().zip(sums).for_each(|(row, sum)| row[k] = sum);
            }
            for (which, row) in by_row.iter().enumerate() {
                let [high, low] = dot_local(&row[..rows.len()], &ones[..rows.len()]);
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
        let whole = Whole {
            n: a.n_global() as f64,
            entries: a.nnz_global()? as f64,
            symmetric,
            grid: grid.is_some() && most[7] == 0.0,
        };
        Self::new(&whole, sums, most)
    }

    fn new(whole: &Whole, sums: [f64; SUMS], most: [f64; 8]) -> Result<Self> {
        let &Whole { n, entries, symmetric, grid } = whole;
        let sum = |which: Sum| sums[which as usize];
        let rows = sum(Sum::Rows);
        let [longest, bandwidth, least, greatest, jump, dominance, coupling, _] = most;
        let ratio = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
        let mean_size = ratio(sum(Sum::Size), sum(Sum::Couplings));
        let variance = ratio(sum(Sum::Square), sum(Sum::Couplings)) - mean_size * mean_size;
        let anisotropy = match (sum(Sum::Along), sum(Sum::Across)) {
            (along, across) if grid && along > 0.0 && across > 0.0 => {
                (along / across).log10().abs()
            }
            _ => 0.0,
        };
        let positive = sum(Sum::Positive);
        let spread = if positive == 0.0 { 0.0 } else { (greatest + least) / 10f64.ln() };
        let values = [
            n.log10(),
            entries / n,
            longest,
            f64::from(u8::from(symmetric)),
            positive / rows,
            spread.min(DECADES),
            ratio(sum(Sum::Jumps), sum(Sum::Couplings)).sqrt(),
            jump,
            sum(Sum::Dominant) / rows,
            -dominance,
            sum(Sum::Dominance) / rows,
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
    fn few_rows_are_looked_at_the_same_ones_on_any_number_of_ranks() {
        for (n, fewest, most) in
            [(1, 1, 1), (60, 60, 60), (4000, 62, 64), (30_000, 230, 236), (200_000, 1000, 1024)]
        {
            let rows = |size: usize| {
                let all = threads::run(size, |comm| {
                    let space = Space::even(Comm::new(comm), n);
                    let (own, start) = (space.n_own(), space.start());
                    let rows = start..start + own as u64;
                    let ptr: Vec<u32> = (0..=own as u32).collect();
                    let cols: Vec<u64> = rows.collect();
                    let a =
                        DistCsr::from_rows(&space, &ptr, &cols, &vec![1.0; own]).expect("valid");
                    sample(&a).into_iter().map(|i| a.global_row(i)).collect::<Vec<u64>>()
                });
                all.concat()
            };
            let alone = rows(1);
            assert!((fewest..=most).contains(&alone.len()), "{n}: {}", alone.len());
            assert!(alone.is_sorted_by(|a, b| a < b));
            // No column of a grid is favoured: all remainders come up.
            if n == 200_000 {
                let left = alone.iter().filter(|&&row| row % 8 == 0).count();
                assert!((90..170).contains(&left), "{left}");
            }
            for size in [2, 3, 7] {
                assert_eq!(rows(size), alone, "{n} rows on {size} ranks");
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_refused_on_all_ranks() {
        // Wherever it stands, sampled or not.
        let diagonal = |i: usize| (i, i, if i == 4711 { f64::NAN } else { 1.0 });
        let far = matrix(9000, &(0..9000).map(diagonal).collect::<Vec<_>>());
        assert!(Features::of(&far).is_err());
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
