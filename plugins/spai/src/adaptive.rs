//! Patterns of FSAI that grow row by row where entries help most.
//!
//! Row i of G before it is scaled, g̃ with g̃ᵢ = 1, minimises ψ = g̃ᵀA g̃ over the entries in its
//! pattern; Kaporin's conditioning number of G A Gᵀ is the smaller the smaller the ψ of the rows
//! are. An entry j < i outside the pattern has the derivative ∂ψ/∂gⱼ = 2 (A g̃)ⱼ, and setting it
//! alone lowers ψ by (A g̃)ⱼ² / aⱼⱼ. In each of [`steps`](FsaiParams::steps) steps a row gains the
//! [`growth`](FsaiParams::growth) entries with the largest |(A g̃)ⱼ| / √aⱼⱼ (the gradient for the
//! matrix scaled to a unit diagonal, so that the scaling of A does not matter; of equals those with
//! the smaller column) and g̃ is computed anew. A row is complete when a step lowers its ψ by less
//! than [`tolerance`](FsaiParams::tolerance) · ψ. At the end entries with
//! |gⱼ| √aⱼⱼ ≤ [`filter`](FsaiParams::filter) · gᵢ √aᵢᵢ can be left out; the values on what is left
//! are computed afresh, which lowers ψ further than scaling the row alone.
//!
//! When it works: as FSAI, for every symmetric positive definite A. It pays where entries differ
//! much in what they are good for: anisotropy, jumps, unstructured meshes.
//!
//! Cost: a row of k entries O(k³ + steps·k·(k + entries of a row of A)); the factor of A(J, J) is
//! extended, not computed again. A row gains at most steps·growth entries; rows of A longer than
//! [`max_row`](FsaiParams::max_row) do not grow, and none grows through them or beyond as many entries.
//! Communication: the rows of A within power + steps edges of own ones, in one exchange before the first
//! step (`kernel::remote::neighbours`). Bitwise the same pattern on any number of ranks.
//!
//! Reference: C. Janna, M. Ferronato, *Adaptive pattern research for block FSAI preconditioning*,
//! SIAM J. Sci. Comput. 33 (2011), §3; I. Kaporin, *New convergence results and preconditioning
//! strategies for the conjugate gradient method*, Numer. Linear Algebra Appl. 1 (1994).
use crate::fsai::FsaiParams;
use crate::plan::GRAIN;
use precondor_sdk::core::kernel::batch::packed;
use precondor_sdk::core::kernel::chunks::{self, Pool};
use precondor_sdk::core::kernel::pattern::Pattern;
use precondor_sdk::core::kernel::reach::Reach;
use precondor_sdk::prelude::*;

/// The lower triangular pattern that `start`, of A to `params.power`, grows to with the rows of A within
/// `params.power + params.steps` steps. Collective.
pub(crate) fn grow(
    params: &FsaiParams,
    mut start: Pattern,
    reach: &Reach<'_>,
    system: &System,
) -> Result<Pattern> {
    let a = system.a();
    start.renumber(reach)?;
    let rows = Rows { params, size: sizes(reach), reach, start: &start };
    let pool = Pool::default();
    let first = a.space().start();
    let made = chunks::collect(system.host().as_ref(), a.n_own(), GRAIN, |range| {
        pool.with(
            || Row::new(rows.size.len()),
            |row| {
                let (mut ends, mut cols) = (Vec::with_capacity(range.len()), Vec::new());
                for i in range {
                    row.grow(&rows, i, &mut cols)
                        .map_err(|why| Error::breakdown(first + i as u64, why))?;
                    ends.push(cols.len());
                }
                Ok((ends, cols))
            },
        )
    })?;
    Pattern::from_chunks(&made, reach.numbering())
}

/// √aⱼⱼ of every column that `reach` numbers; zero where it is not positive, or not at hand.
fn sizes(reach: &Reach<'_>) -> Vec<f64> {
    let mut sizes = vec![0.0; reach.numbering().len()];
    for (j, size) in (0..).zip(&mut sizes) {
        reach.visit(j, |c, value| {
            if c == j && value > 0.0 {
                *size = value.sqrt();
            }
        });
    }
    sizes
}

/// What all rows share.
struct Rows<'a> {
    params: &'a FsaiParams,
    reach: &'a Reach<'a>,
    start: &'a Pattern,
    size: Vec<f64>,
}

/// A column that has no place.
const ABSENT: u32 = u32::MAX;
/// What came of it: nothing, or why the row cannot be made.
type Checked = std::result::Result<(), &'static str>;
const INDEFINITE: &str = "the matrix is not positive definite on the pattern of this row";
const NOT_FINITE: &str = "it has, or a row near it has, an entry that is not a finite number";

/// The row at hand. Columns J without the row's own come in the order in which they were added.
struct Row {
    me: u32,
    cols: Vec<u32>,
    /// Of each column: where it stands in `cols`, between rows [`ABSENT`].
    place: Vec<u32>,
    /// The Cholesky factor L of A(J, J), row after row, with inverse diagonal entries.
    factor: Vec<f64>,
    /// −L⁻¹ A(J, i); ψ = aᵢᵢ − ‖y‖², so that ψ never increases as J grows.
    y: Vec<f64>,
    psi: f64,
    /// L⁻ᵀ y: the row g̃ but for its last entry, 1.
    g: Vec<f64>,
    /// Columns of A that a step asks for.
    wanted: Vec<u32>,
    /// Columns outside J next to it, with (A g̃)ⱼ.
    found: Vec<(f64, u32)>,
    /// Of each column: where it stands in `found`, between steps [`ABSENT`].
    slot: Vec<u32>,
}

impl Row {
    fn new(n_columns: usize) -> Self {
        let absent = || vec![ABSENT; n_columns];
        Row {
            me: 0,
            cols: Vec::new(),
            place: absent(),
            factor: Vec::new(),
            y: Vec::new(),
            psi: 0.0,
            g: Vec::new(),
            wanted: Vec::new(),
            found: Vec::new(),
            slot: absent(),
        }
    }

    /// Appends the columns of own row `i`, in increasing order. After an error, which says why, the
    /// row is of no more use.
    fn grow(&mut self, rows: &Rows<'_>, i: usize, out: &mut Vec<u32>) -> Checked {
        let params = rows.params;
        self.me = rows.reach.numbering().of_own(i);
        self.psi = rows.size[self.me as usize].powi(2);
        if self.psi == 0.0 {
            return Err(INDEFINITE);
        }
        for &j in rows.start.row(i) {
            if j != self.me {
                self.add(rows, j)?;
            }
        }
        // What a long row of A reaches is no neighbourhood to grow into.
        let long = |j: u32| rows.reach.len(j) > params.max_row as usize;
        let steps = if long(self.me) { 0 } else { params.steps };
        for _ in 0..steps {
            let before = self.psi;
            self.solve();
            self.search(rows)?;
            let mut found = std::mem::take(&mut self.found);
            for &(_, j) in &found {
                self.add(rows, j)?;
            }
            let done = found.is_empty() || before - self.psi < params.tolerance * before;
            found.clear();
            self.found = found;
            if done {
                break;
            }
        }
        let first = out.len();
        if params.filter > 0.0 {
            self.solve();
            let floor = params.filter * rows.size[self.me as usize];
            let strong =
                |(&j, g): (&u32, &f64)| (g.abs() * rows.size[j as usize] > floor).then_some(j);
            out.extend(self.cols.iter().zip(&self.g).filter_map(strong));
        } else {
            out.extend_from_slice(&self.cols);
        }
        out[first..].sort_unstable();
        out.push(self.me);
        for j in self.cols.drain(..) {
            self.place[j as usize] = ABSENT;
        }
        self.factor.clear();
        self.y.clear();
        Ok(())
    }

    /// Adds column `j` to J: a row of L, an entry of y.
    fn add(&mut self, rows: &Rows<'_>, j: u32) -> Checked {
        let p = self.cols.len();
        self.factor.resize(packed(p + 1, 0), 0.0);
        let (above, row) = self.factor.split_at_mut(packed(p, 0));
        let (mut diagonal, mut y) = (0.0, 0.0);
        self.wanted.clear();
        self.wanted.extend_from_slice(&self.cols);
        self.wanted.extend([j, self.me]);
        rows.reach.visit_among(j, &self.wanted, |c, value| {
            if c == j {
                diagonal = value;
            } else if c == self.me {
                y = -value;
            } else if let Some(cell) = row.get_mut(self.place[c as usize] as usize) {
                *cell = value;
            }
        });
        let mut pivot = diagonal;
        for b in 0..p {
            let other = &above[packed(b, 0)..=packed(b, b)];
            let products = row[..b].iter().zip(other).map(|(x, y)| x * y);
            row[b] = (row[b] - products.sum::<f64>()) * other[b];
            pivot -= row[b] * row[b];
            y -= row[b] * self.y[b];
        }
        let rounding = (p + 1) as f64 * f64::EPSILON;
        // Comparisons that NaN fails too.
        if !(diagonal > 0.0 && pivot > rounding * diagonal) {
            return Err(INDEFINITE);
        }
        row[p] = 1.0 / pivot.sqrt();
        y *= row[p];
        self.psi -= y * y;
        if self.psi.is_nan() || self.psi <= rounding * rows.size[self.me as usize].powi(2) {
            return Err(INDEFINITE);
        }
        self.y.push(y);
        self.place[j as usize] = p as u32;
        self.cols.push(j);
        Ok(())
    }

    /// g̃ on J.
    fn solve(&mut self) {
        self.g.clone_from(&self.y);
        for a in (0..self.cols.len()).rev() {
            let row = &self.factor[packed(a, 0)..=packed(a, a)];
            let (rest, known) = self.g.split_at_mut(a);
            known[0] *= row[a];
            for (x, l) in rest.iter_mut().zip(row) {
                *x -= l * known[0];
            }
        }
    }

    /// Leaves in `found` the columns to add to J, those with the largest scaled gradient first.
    fn search(&mut self, rows: &Rows<'_>) -> Checked {
        let (found, slot, place, me) = (&mut self.found, &mut self.slot, &self.place, self.me);
        let mut gather = |row: u32, g: f64| {
            rows.reach.visit(row, |c, value| {
                if c >= me || place[c as usize] != ABSENT {
                    return;
                }
                if let Some((sum, _)) = found.get_mut(slot[c as usize] as usize) {
                    *sum += g * value;
                } else {
                    slot[c as usize] = found.len() as u32;
                    found.push((g * value, c));
                }
            });
        };
        let short = |j: u32| rows.reach.len(j) <= rows.params.max_row as usize;
        gather(me, 1.0);
        let known = self.cols.iter().zip(&self.g);
        known.clone().filter(|(j, _)| short(**j)).for_each(|(&j, &g)| gather(j, g));
        // A long row of A leads nowhere, but counts where others led.
        for (&j, g) in known.filter(|(j, _)| !short(**j)) {
            let add =
                |(sum, c): &mut (f64, u32)| *sum += g * rows.reach.entry(j, *c).unwrap_or(0.0);
            found.iter_mut().for_each(add);
        }
        for (gradient, j) in found.iter_mut() {
            slot[*j as usize] = ABSENT;
            if !gradient.is_finite() {
                return Err(NOT_FINITE);
            }
            let size = rows.size[*j as usize];
            *gradient = if size > 0.0 { gradient.abs() / size } else { 0.0 };
        }
        // Less than rounding is no gain.
        let floor = f64::EPSILON * rows.size[me as usize];
        found.retain(|(gradient, _)| *gradient > floor);
        let order = |x: &(f64, u32), y: &(f64, u32)| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1));
        let room = (rows.params.max_row as usize).saturating_sub(self.cols.len() + 1);
        let growth = (rows.params.growth as usize).min(room);
        if found.len() > growth {
            found.select_nth_unstable_by(growth, order);
            found.truncate(growth);
        }
        found.sort_unstable_by(order);
        Ok(())
    }
}
