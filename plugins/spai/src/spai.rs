//! SPAI: the M on a given pattern that minimises ‖I − M A‖_F.
//!
//! Rows are independent: row i of M, with entries in the columns J, minimises ‖eᵢᵀ − mᵀ A(J, :)‖₂,
//! a small least-squares problem made of the rows J of A. J is row i of the pattern of Aᵏ
//! ([`SpaiParams::power`]; k = 0 is a diagonal M, "SPAI-0").
//!
//! Rows, not columns, because both A and M are stored by rows. It is also the side that a solver
//! wants to see small: the error of Richardson's iteration is multiplied by I − M A, and A M, on
//! which right-preconditioned GMRES works, is similar to M A. For symmetric A on a symmetric
//! pattern the transpose of M minimises ‖I − A Mᵀ‖_F, the same number.
//!
//! Works for any A without zero rows; a singular local problem gets a minimiser with few
//! non-zeros. M is in general unsymmetric, also for symmetric A; [`SpaiParams::symmetrize`] makes
//! it so, and then checks whether it is positive definite. M alone leaves the number of
//! iterations growing with the size of a grid, like any local method.
//!
//! One dense row in A would make a row of M dense, from the second power on all of them, and every
//! problem that it is part of long: rows of M keep the strongest [`SpaiParams::max_row`] entries
//! ([`Bound`]), which a note tells, and problems with long rows of A are cut to the columns that count
//! (`wide`).
//!
//! Cost: setup O(n·k³) for k entries a row, by normal equations, eight rows at a time, and by
//! orthogonal factors for the rows that those would square out of reach, and O(nnz(A)), however the
//! entries of A are spread over its rows; communication of the rows
//! of A within `power` steps, in one exchange ([`neighbours`]; with a threshold and a power above 1 two).
//! Apply one product with M. Bitwise the same M on any number of ranks.
//!
//! Reference: M. Benson, P. Frederickson, *Iterative solution of large sparse linear systems
//! arising in certain multidimensional approximation problems*, Utilitas Math. 22 (1982); M. Grote,
//! T. Huckle, *Parallel preconditioning with sparse approximate inverses*, SIAM J. Sci. Comput. 18
//! (1997), §2; E. Chow, SIAM J. Sci. Comput. 21 (2000) for the patterns.
//!
//! [`neighbours`]: precondor_sdk::core::kernel::remote::neighbours
//! [`Bound`]: precondor_sdk::core::kernel::pattern::Bound
use crate::plan::{Ask, GRAIN, Plan};
use crate::wide::{self, Lengths, Wide};
use precondor_sdk::core::kernel::batch::{Fits, LANES};
use precondor_sdk::core::kernel::chunks::{self, Pool};
use precondor_sdk::core::kernel::pattern::{MAX_ROW, Part, Pattern};
use precondor_sdk::core::kernel::reach::Reach;
use precondor_sdk::core::kernel::{least_squares, symmetric};
use precondor_sdk::core::matrix::{Explicit, ExplicitKind};
use precondor_sdk::core::memory;
use precondor_sdk::core::persist::Stored;
use precondor_sdk::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Parameters of [`Spai`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct SpaiParams {
    /// M has the pattern of this power of A, the diagonal included.
    #[schemars(range(min = 0, max = 8), extend("x-precondor-tune" = [1, 3]))]
    pub power: u32,
    /// Entries with |aᵢⱼ| ≤ threshold·√|aᵢᵢ aⱼⱼ| are left out of A before its pattern is taken.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "x-precondor-tune" = [0.001, 0.3]))]
    pub threshold: f64,
    /// Replace M by (M + Mᵀ)/2, for conjugate gradients.
    #[schemars(extend("x-precondor-old-name" = "symmetrise"))]
    pub symmetrize: bool,
    /// Entries of a row of M, at most: a row with more in that power of A keeps the strongest, by
    /// |aᵢⱼ|/√|aᵢᵢ aⱼⱼ|, and no path of the power leads through a longer row of A.
    #[schemars(range(min = 1), extend("x-precondor-tune" = false))]
    pub max_row: u32,
}

impl Default for SpaiParams {
    fn default() -> Self {
        SpaiParams { power: 1, threshold: 0.0, symmetrize: false, max_row: MAX_ROW }
    }
}

/// The method.
pub struct Spai;

/// M, explicitly.
pub struct Inverse {
    m: Stored,
    /// The pattern of M, with what it was made for; none where M was loaded.
    plan: Option<(SpaiParams, Plan)>,
    counts: Counts,
}

impl Generator for Spai {
    const NAME: &'static str = "spai";
    const SUMMARY: &'static str =
        "sparse approximate inverse on the pattern of a power of A, by least squares";
    const CAPABILITIES: Capabilities = Capabilities {
        explicit: true,
        transpose: true,
        refresh: true,
        persist: true,
        ..Capabilities::NONE
    };
    type Params = SpaiParams;
    type Output = Inverse;

    fn invariances(params: &SpaiParams) -> Invariances {
        // M A is what is made small: rows of A may be scaled, unless its columns are looked at, too.
        let rows = params.threshold == 0.0 && !params.symmetrize;
        Invariances { rows, permutation: true, ..Invariances::SCALING }
    }

    fn generate(params: &SpaiParams, system: &System) -> Result<Inverse> {
        let SpaiParams { power, threshold, max_row, .. } = *params;
        let ask = Ask { power, threshold, part: Part::Full, steps: None, max_row };
        let (plan, near) = Plan::new(system, ask)?;
        compute(params, plan, &near, system)
    }

    fn refresh(m: &mut Inverse, params: &SpaiParams, system: &System) -> Result<()> {
        let Some((_, mut plan)) = m.plan.take().filter(|(of, _)| of == params) else {
            return Err(Error::PatternChanged);
        };
        plan.renew(system)?;
        let near = plan.rows(system.a())?;
        *m = compute(params, plan, &near, system)?;
        Ok(())
    }

    fn load(bytes: &[u8], system: &System) -> Result<Inverse> {
        let m = Stored::load(bytes, ExplicitKind::Inverse, system)?;
        Ok(Inverse { m, plan: None, counts: Counts::default() })
    }
}

/// M on the pattern of a plan. Collective.
fn compute(
    params: &SpaiParams,
    mut plan: Plan,
    near: &Reach<'_>,
    system: &System,
) -> Result<Inverse> {
    let (m, counts, definite) = invert(params, &mut plan, near, system)?;
    let mut notes = plan.notes();
    if counts.orthogonal > 0 {
        notes.push(format!(
            "{} of this rank's rows solved by orthogonal factors (ill-conditioned), {} of them \
             dependent",
            counts.orthogonal, counts.dependent
        ));
    }
    if params.symmetrize {
        notes.push(match definite {
            Some(definite) => format!("symmetrized; {definite}"),
            None => "symmetrized; not found to be positive definite, so conjugate gradients \
                     will not take it: use fsai, or another solver"
                .into(),
        });
    }
    let (symmetric, positive_definite) = (params.symmetrize, definite.is_some());
    let properties = Properties { symmetric, positive_definite, ..Properties::GENERAL };
    let plan = Some((params.clone(), plan));
    Ok(Inverse { m: Stored::inverse(m, properties, notes), plan, counts })
}

impl Inverse {
    /// Rows on this rank that were solved by orthogonal factors.
    pub fn orthogonal_rows(&self) -> usize {
        self.counts.orthogonal
    }
}

impl Preconditioner for Inverse {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.apply(r, z)
    }

    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.apply_transpose(r, z)
    }

    fn properties(&self) -> Properties {
        self.m.properties()
    }

    fn stored_entries(&self) -> usize {
        self.m.stored_entries()
    }

    fn bytes(&self) -> usize {
        self.m.bytes() + self.plan.as_ref().map_or(0, |(_, plan)| plan.bytes())
    }

    fn explicit(&self) -> Option<Explicit<'_>> {
        self.m.explicit()
    }

    fn notes(&self) -> Vec<String> {
        self.m.notes()
    }
}

/// How many of this rank's rows needed care.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Solved by orthogonal factors.
    orthogonal: usize,
    /// Of those, with dependent rows of A.
    dependent: usize,
}

fn invert(
    params: &SpaiParams,
    plan: &mut Plan,
    near: &Reach<'_>,
    system: &System,
) -> Result<(DistCsr, Counts, Option<symmetric::Definite>)> {
    let a = system.a();
    let what = "the approximate inverse; lower 'max_row' or 'power'";
    let mut values = memory::vec_of(0.0, plan.pattern.cols.len(), what)?;
    let rows = Rows::new(params, a, near, &plan.pattern, system)?;
    rows.fit(system, &mut values)?;
    let counts = rows.counts();
    let m = plan.pattern.matrix(a.space(), values)?;
    plan.computed += 1;
    if !params.symmetrize {
        return Ok((m, counts, None));
    }
    let m = symmetric::part(&m)?;
    let definite = symmetric::definite(&m)?;
    Ok((m, counts, definite))
}

/// The least-squares problems of all own rows.
struct Rows<'a> {
    reach: &'a Reach<'a>,
    pattern: &'a Pattern,
    /// What is known of long rows of A.
    lengths: Lengths,
    /// Whether an own row of A is the one before, moved one to the right: on structured grids,
    /// long runs of rows have the same local problem but for the values.
    moved: Vec<bool>,
    start: u64,
    orthogonal: AtomicUsize,
    dependent: AtomicUsize,
}

impl<'a> Rows<'a> {
    fn new(
        params: &SpaiParams,
        a: &DistCsr,
        reach: &'a Reach<'a>,
        pattern: &'a Pattern,
        system: &System,
    ) -> Result<Self> {
        let one_on = |(x, y): (&u32, &u32)| x.wrapping_add(1) == *y;
        let moved = |i: usize| {
            let before = if i > 0 { reach.own_cols(i - 1) } else { None };
            before.zip(reach.own_cols(i)).is_some_and(|(before, here)| {
                before.len() == here.len() && before.iter().zip(here).all(one_on)
            })
        };
        let moved = chunks::collect(system.host().as_ref(), a.n_own(), GRAIN, |range| {
            Ok(range.map(moved).collect::<Vec<bool>>())
        })?;
        let (orthogonal, dependent) = Default::default();
        let start = a.space().start();
        let (lengths, moved) = (Lengths::new(reach, params.max_row as usize), moved.concat());
        Ok(Rows { reach, pattern, lengths, moved, start, orthogonal, dependent })
    }

    fn counts(&self) -> Counts {
        Counts {
            orthogonal: self.orthogonal.load(Ordering::Relaxed),
            dependent: self.dependent.load(Ordering::Relaxed),
        }
    }

    /// Computes the entries of M.
    fn fit(&self, system: &System, values: &mut [f64]) -> Result<()> {
        let pool = Pool::default();
        let make = || Work::new(self.reach.numbering().len());
        chunks::fill(system.host().as_ref(), &self.pattern.row_ptr, GRAIN, values, |range, out| {
            pool.with(make, |work| self.fit_chunk(range, work, out))
        })
    }

    fn fit_chunk(&self, range: Range<usize>, work: &mut Work, out: &mut [f64]) -> Result<()> {
        let first = self.pattern.row_ptr[range.start] as usize;
        let mut order = std::mem::take(&mut work.order);
        self.pattern.by_size(range, &mut order);
        for &i in &order {
            let columns = self.pattern.row(i as usize);
            if self.lengths.wide(self.reach, columns) {
                let to = self.pattern.row_ptr[i as usize] as usize - first;
                self.fit_wide(i as usize, work, &mut out[to..to + columns.len()])?;
            }
        }
        order.retain(|&i| !self.lengths.wide(self.reach, self.pattern.row(i as usize)));
        for rows in order.chunks(LANES) {
            self.gather(rows, work);
            let ratio = work.fits.solve();
            for (lane, &i) in rows.iter().enumerate() {
                let i = i as usize;
                let to = self.pattern.row_ptr[i] as usize - first;
                let row = &mut out[to..to + self.pattern.row(i).len()];
                if ratio.0[lane] > SQUARABLE {
                    for (a, m) in row.iter_mut().enumerate() {
                        *m = work.fits.solution(a).0[lane];
                    }
                } else {
                    self.fit_alone(i, lane, work, row)?;
                }
                self.check(i, row)?;
            }
        }
        work.order = order;
        Ok(())
    }

    /// Refuses a row of M without entries.
    fn check(&self, i: usize, row: &[f64]) -> Result<()> {
        if row.iter().any(|&m| m != 0.0) {
            return Ok(());
        }
        Err(Error::breakdown(
            self.start + i as u64,
            "this row of the approximate inverse vanishes: its column of A has no non-zero entry \
             within the pattern (use a larger power)",
        ))
    }

    /// Row `i`, whose problem is too large for a batch.
    fn fit_wide(&self, i: usize, work: &mut Work, row: &mut [f64]) -> Result<()> {
        let (number, columns) = (self.reach.numbering(), self.pattern.row(i));
        let Work { wide, column, .. } = work;
        wide.make_room(columns.len()).map_err(|e| e.of_row(self.start + i as u64))?;
        let fitted = wide.fit(self.reach, &self.lengths, columns, number.of_own(i), column, row);
        let dependent = fitted.map_err(|(j, what)| Error::breakdown(number.global(j), what))?;
        self.dependent.fetch_add(usize::from(dependent), Ordering::Relaxed);
        self.check(i, row)
    }

    /// Puts the problems of `rows` into a batch.
    fn gather(&self, rows: &[u32], work: &mut Work) {
        let size = self.pattern.row(rows[rows.len() - 1] as usize).len();
        let first = rows[0] as usize;
        let in_turn = rows.iter().zip(first..).all(|(&i, k)| i as usize == k);
        if rows.len() < LANES || !in_turn || !(first + 1..first + LANES).all(|i| self.alike(i)) {
            work.start(size);
            for (lane, &i) in rows.iter().enumerate() {
                work.cells.clear();
                self.trace(i as usize, work, |fits, cell, value| fits.put(cell, lane, value));
                work.fits.close(lane, self.pattern.row(i as usize).len(), work.target);
            }
            return;
        }
        if work.last + 1 == first && work.size == size && self.alike(first) {
            work.fits.start_alike();
        } else {
            work.start(size);
            work.cells.clear();
            self.trace(first, work, |_, _, _| ());
        }
        work.last = first + LANES - 1;
        self.gather_alike(first, work);
        (0..LANES).for_each(|lane| work.fits.close(lane, size, work.target));
    }

    /// Whether the problem of row `i` is that of the row before but for the values.
    #[inline]
    fn alike(&self, i: usize) -> bool {
        let below = self.reach.numbering().of_own(0);
        let moved = |j: u32| self.moved.get(j.wrapping_sub(below) as usize) == Some(&true);
        if i == 0 {
            return false;
        }
        let (before, here) = (self.pattern.row(i - 1), self.pattern.row(i));
        before.len() == here.len() && before.iter().zip(here).all(|(x, y)| x + 1 == *y && moved(*y))
    }

    /// Numbers the columns of the problem of row `i`, notes the cells of its entries, and calls
    /// `put` for each.
    #[inline]
    fn trace(&self, i: usize, work: &mut Work, put: impl Fn(&mut Fits, usize, f64)) {
        for (a, &j) in self.pattern.row(i).iter().enumerate() {
            self.reach.visit(j, |c, value| {
                let cell = work.enter(a, c);
                put(&mut work.fits, cell, value);
            });
        }
        let target = work.column[self.reach.numbering().of_own(i) as usize];
        work.target = (target != NEW).then_some(target);
        for c in work.columns.drain(..) {
            work.column[c as usize] = NEW;
        }
    }

    /// Puts the values of the problems of eight rows from `first` on, all like the one that was
    /// traced last.
    fn gather_alike(&self, first: usize, work: &mut Work) {
        let mut cells = work.cells.as_slice();
        let batch = work.fits.cells();
        let below = self.reach.numbering().of_own(0);
        for &j in self.pattern.row(first) {
            let own = (j - below) as usize;
            let block = self.reach.own_values(own..own + LANES);
            let width = block.len() / LANES;
            let lanes: [&[f64]; LANES] = std::array::from_fn(|l| &block[l * width..][..width]);
            let (here, rest) = cells.split_at(width);
            for (q, &cell) in here.iter().enumerate() {
                batch[cell as usize].0 = std::array::from_fn(|l| lanes[l][q]);
            }
            cells = rest;
        }
    }

    /// Row `i` by orthogonal factors; `lane` holds its problem.
    fn fit_alone(&self, i: usize, lane: usize, work: &Work, row: &mut [f64]) -> Result<()> {
        let (transposed, unit) = work.fits.transposed(lane);
        let columns = unit.len();
        for (a, &j) in self.pattern.row(i).iter().enumerate() {
            let of_row = &transposed[a * columns..(a + 1) * columns];
            let fault = |what| Error::breakdown(self.reach.numbering().global(j), what);
            if of_row.iter().any(|v| !v.is_finite()) {
                return Err(fault(wide::NOT_FINITE));
            }
            if of_row.iter().all(|&v| v == 0.0) {
                return Err(fault(wide::ZERO));
            }
        }
        let (m, rank) = least_squares::solve(transposed, unit);
        row.copy_from_slice(&m);
        self.orthogonal.fetch_add(1, Ordering::Relaxed);
        self.dependent.fetch_add(usize::from(rank < row.len()), Ordering::Relaxed);
        Ok(())
    }
}

/// Normal equations with a larger ratio of pivots than this lose at most half of the digits that
/// orthogonal factors would give.
const SQUARABLE: f64 = 1e-6;

/// A column that has no number in the local problem yet.
pub(crate) const NEW: u32 = u32::MAX;

/// What the fit of a chunk of rows works in.
struct Work {
    fits: Fits,
    wide: Wide,
    order: Vec<u32>,
    /// Number of every column in the problem that is traced; [`NEW`] between problems.
    column: Vec<u32>,
    /// Columns of that problem, in order of their numbers.
    columns: Vec<u32>,
    /// Cells of the entries of the problem traced last, in the order in which rows of A hold them.
    cells: Vec<u32>,
    /// Number of the column where the unit vector of that problem is one, where it has one.
    target: Option<u32>,
    /// Unknowns of the batch at hand.
    size: usize,
    /// The last row of the batch before, where all its rows were alike.
    last: usize,
}

/// No row.
const NOWHERE: usize = usize::MAX - 1;

impl Work {
    fn new(n_columns: usize) -> Self {
        Work {
            fits: Fits::default(),
            wide: Wide::default(),
            order: Vec::new(),
            column: vec![NEW; n_columns],
            columns: Vec::new(),
            cells: Vec::new(),
            target: None,
            size: 0,
            last: NOWHERE,
        }
    }

    /// Starts a batch of problems with up to `size` unknowns.
    fn start(&mut self, size: usize) {
        self.fits.start(size);
        self.size = size;
        self.last = NOWHERE;
    }

    /// The cell of the entry of row `a` (its place in the pattern) in column `c` of A.
    #[inline]
    fn enter(&mut self, a: usize, c: u32) -> usize {
        let mut number = self.column[c as usize];
        if number == NEW {
            number = self.columns.len() as u32;
            self.column[c as usize] = number;
            self.columns.push(c);
            self.fits.widen(self.columns.len());
        }
        let cell = self.fits.cell(a, number as usize);
        self.cells.push(cell as u32);
        cell
    }
}
