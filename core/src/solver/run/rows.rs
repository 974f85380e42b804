//! The residual of single rows, and what a solve does about rows that its norm does not see.
//!
//! Where a Dirichlet condition is imposed by 10³⁰ on the diagonal and in b, ‖b − Ax‖₂ / ‖b‖₂ is
//! 10⁻¹⁶ as soon as those rows are solved, whatever the others are. The scaled residual
//!   ρ = maxᵢ |b − Ax|ᵢ / (Σⱼ |aᵢⱼ| · maxⱼ |xⱼ| + |bᵢ|)
//! is that of the worst row, relative to the size of the row; rows without a diagonal have one as
//! well. It does not change where a row of A and of b is multiplied by a factor, and on a matrix
//! with rows of one size it is below ‖b − Ax‖₂ / ‖b‖₂ ‖b‖₂ / ‖b‖∞: there it decides nothing.
//!
//! A solve that meets its tolerance is done where ρ ≤ max([`TRUST`] · tolerance, [`APART`] · ‖b − Ax‖₂ / ‖b‖₂).
//! Else it goes on with the recurrence that it has, and looks again after [`LOOK`] iterations, then
//! ever more rarely (a quarter of those done since, so that few are wasted and few products spent).
//! It ends where ρ meets that bound, or where going on no longer helps: at the iteration limit, where
//! the recurred residual meets the bound and, started anew from b − Ax, does so again without the true
//! one, or where ρ did not halve in [`PATIENCE`] iterations. Then ρ ≤ [`APART`] · tolerance is good
//! enough, and anything else is [`Outcome::RowsUnsolved`](crate::solver::Outcome::RowsUnsolved), which
//! names the worst rows.
//!
//! Cost: a pass over the entries of A and two reductions where the tolerance is met.
//!
//! Reference: M. Arioli, J. W. Demmel, I. S. Duff, *Solving Sparse Linear Systems with Sparse
//! Backward Error*, SIAM J. Matrix Anal. Appl. 10 (1989), with ‖x‖∞ for |x|.
use super::units::{Units, largest, power};
use super::{Resume, Run};
use crate::Result;
use crate::comm::Communicator;
use crate::matrix::{Operator, square_local, total};
use crate::solver::singular::InRange;
use crate::solver::{APART, TRUST};

/// Iterations to the second look.
const LOOK: usize = 4;
/// Iterations in which ρ ought to halve.
const PATIENCE: usize = 1000;
/// Rows whose sizes are asked for at a time.
const TOGETHER: usize = 256;
/// Rows that are named.
const NAMED: usize = 3;

/// A solve that goes on although its norm is satisfied.
pub(super) struct Apart {
    /// The best ρ, and the iteration where it was seen.
    best: f64,
    iteration: usize,
    /// Where the tolerance was met first.
    since: usize,
    /// The iteration to look again.
    pub next: usize,
    /// Started again from b − Ax since then.
    renewed: bool,
}

/// What a look at the rows says.
pub(super) enum Verdict {
    /// Good enough.
    Solved,
    /// Not yet.
    Go(Resume),
    /// No longer.
    Idle,
}

impl Run<'_> {
    /// ρ of `x` with the true residual `r`, of the norm `relative`. Collective.
    pub fn scaled_residual(&mut self, x: &[f64], r: &[f64], relative: f64) -> Result<f64> {
        if let Some(known) = self.scaled {
            return Ok(known);
        }
        let rows = Rows::new(self.a, self.b, &self.units, x)?;
        let scaled = rows.largest(r)?.unwrap_or(relative);
        self.scaled = Some(scaled);
        Ok(scaled)
    }

    /// The tolerance is met with the relative residual `relative`: whether the rows are solved, too.
    /// `recurred` is the residual that the method has to go on with, where it has one.
    pub(super) fn look_at_rows(
        &mut self,
        x: &[f64],
        r: &[f64],
        relative: f64,
        recurred: Option<&[f64]>,
    ) -> Result<Verdict> {
        let rho = self.scaled_residual(x, r, relative)?;
        let bound = TRUST * self.target;
        if rho <= bound.max(APART * relative) {
            return Ok(Verdict::Solved);
        }
        let now = self.history.len() - 1;
        let start =
            Apart { best: f64::INFINITY, iteration: now, since: now, next: now, renewed: false };
        let apart = self.apart.get_or_insert(start);
        let since = now - apart.since;
        apart.next = now + LOOK.max(since / 4);
        if rho <= super::PROGRESS * apart.best {
            (apart.best, apart.iteration, apart.renewed) = (rho, now, false);
            return Ok(Verdict::Go(Resume::On));
        }
        let (renewed, patient) = (apart.renewed, now - apart.iteration < PATIENCE);
        let finished = match recurred {
            None => false,
            Some(r) => {
                let rows = Rows::new(self.a, self.b, &self.units, x)?;
                rows.largest(r)?.is_none_or(|rho| rho <= bound)
            }
        };
        if patient && !finished {
            return Ok(Verdict::Go(Resume::On));
        }
        if let Some(apart) = self.apart.as_mut().filter(|_| finished && !renewed) {
            apart.renewed = true;
            return Ok(Verdict::Go(Resume::Anew));
        }
        Ok(if rho <= APART * self.target { Verdict::Solved } else { Verdict::Idle })
    }

    /// What [`Outcome::RowsUnsolved`](crate::solver::Outcome::RowsUnsolved) says. Collective.
    pub fn rows_left(&self, x: &[f64], r: &[f64], relative: f64) -> Result<String> {
        let rows = Rows::new(self.a, self.b, &self.units, x)?;
        Ok(format!(
            "the relative residual is {relative:.1e} and yet rows are not solved: relative to the size \
             of the row, the residual is {}; rows of very different sizes hide that from the norm: scale \
             them, impose conditions by elimination, or stop by the 'preconditioned' norm",
            rows.worst(r)?
        ))
    }
}

/// Residuals of rows relative to the sizes of the rows, in the units of a solve.
struct Rows<'a> {
    a: &'a dyn Operator,
    b: &'a [f64],
    /// max |x|.
    x: f64,
    of_a: f64,
    of_b: f64,
}

impl<'a> Rows<'a> {
    fn new(a: &'a dyn Operator, b: &'a [f64], units: &Units, x: &[f64]) -> Result<Self> {
        let mut most = [largest(x)];
        a.space().comm().max(&mut most)?;
        Ok(Rows { a, b, x: most[0], of_a: power(-units.a), of_b: power(-units.b) })
    }

    /// Calls `visit` with that of each own row in turn; with 0, and false comes back, where the size of rows is not known.
    fn each(&self, r: &[f64], mut visit: impl FnMut(f64)) -> bool {
        let (mut sizes, mut known) = ([0.0; TOGETHER], true);
        for (k, part) in r.chunks(TOGETHER).enumerate() {
            let first = k * TOGETHER;
            known &= self.a.row_sizes(first, &mut sizes[..part.len()]);
            for ((r, size), b) in part.iter().zip(&sizes).zip(&self.b[first..]) {
                let of_row = self.of_a * size * self.x + (self.of_b * b).abs();
                visit(if known && *r != 0.0 { r.abs() / of_row } else { 0.0 });
            }
        }
        known
    }

    /// The largest of all; none where the size of rows is not known. Collective.
    fn largest(&self, r: &[f64]) -> Result<Option<f64>> {
        let mut worst = 0.0;
        let known = self.each(r, |rho| {
            // NaN stays.
            if rho > worst || rho.is_nan() {
                worst = rho;
            }
        });
        let mut all = [f64::from(u8::from(!known)), worst];
        self.a.space().comm().max(&mut all)?;
        Ok((all[0] == 0.0).then_some(all[1]))
    }

    /// The worst rows in words. Collective.
    fn worst(&self, r: &[f64]) -> Result<String> {
        let (mut mine, mut row) = (Vec::with_capacity(r.len()), self.a.space().start()..);
        self.each(r, |rho| mine.extend(row.next().map(|row| (rho, row))));
        let order = |a: &(f64, u64), b: &(f64, u64)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        mine.sort_unstable_by(order);
        mine.truncate(NAMED);
        let words: Vec<u64> = mine.iter().flat_map(|(rho, row)| [rho.to_bits(), *row]).collect();
        let all = self.a.space().comm().all_gather(&words)?;
        let pairs = all.iter().flat_map(|words| words.as_chunks::<2>().0);
        let mut all: Vec<(f64, u64)> =
            pairs.map(|&[rho, row]| (f64::from_bits(rho), row)).collect();
        all.sort_unstable_by(order);
        let named: Vec<String> = all
            .iter()
            .take(NAMED)
            .map(|(rho, row)| format!("{rho:.1e} in global row {row}"))
            .collect();
        Ok(named.join(", "))
    }
}

/// How good a solution is that somebody else found.
#[derive(Clone, Debug, PartialEq)]
pub struct Residuals {
    /// ‖b − Ax‖₂ / ‖b‖₂; ‖Ax‖₂ where b = 0.
    pub relative: f64,
    /// As [`Report::scaled_residual`](crate::solver::Report::scaled_residual).
    pub scaled: f64,
    /// The rows with the largest scaled residuals, in words.
    pub rows: String,
}

impl Residuals {
    /// Whether a norm within `tolerance` hides rows that are not solved.
    pub fn apart(&self, tolerance: f64) -> bool {
        self.scaled > (TRUST * tolerance).max(APART * self.relative)
    }
}

/// The residuals of `x` as a solution of A x = b, free of over- and underflow; within the range of A
/// (where b has to lie) for a singular A. Collective.
///
/// # Errors
/// What the communicator reports.
pub fn residuals(a: &dyn Operator, b: &[f64], x: &[f64]) -> Result<Residuals> {
    let range;
    let a: &dyn Operator = match a.null_spaces() {
        None => a,
        Some(null) => {
            range = InRange { a, null };
            &range
        }
    };
    let units = Units::of(a, b, true)?;
    let mut x = x.to_vec();
    super::units::scale(&mut x, units.x());
    let mut r = vec![0.0; x.len()];
    a.apply(&x, &mut r)?;
    super::units::scale(&mut r, -units.a);
    let of_b = power(-units.b);
    r.iter_mut().zip(b).for_each(|(r, b)| *r = of_b * b - *r);
    let squares = [square_local(&r, 1.0), square_local(b, of_b)];
    let comm = a.space().comm();
    let mut all = vec![0.0; 4 * comm.size()];
    comm.gather_f64(squares.as_flattened(), &mut all)?;
    let ranks = all.chunks_exact(4);
    let of = |k: usize| total(ranks.clone().map(|r| [r[k], r[k + 1]])).sqrt();
    let (of_r, of_b) = (of(0), of(2));
    let rows = Rows::new(a, b, &units, &x)?;
    let relative = if of_b > 0.0 { of_r / of_b } else { of_r };
    let scaled = rows.largest(&r)?.unwrap_or(relative);
    Ok(Residuals { relative, scaled, rows: rows.worst(&r)? })
}
