//! FSAI: M = GᵀG with G ≈ L⁻¹ lower triangular on a given pattern, A = L Lᵀ.
//!
//! G minimises ‖I − G L‖_F over matrices with the pattern of tril(Aᵏ) ([`FsaiParams::power`])
//! without that L has to be known: row i of G, with entries in the columns J (the last of them i),
//! is y / √yᵢ with A(J, J) y = eᵢ. Equivalently, with the Cholesky factor A(J, J) = C Cᵀ, it is the
//! solution of Cᵀ g = eᵢ; diag(G A Gᵀ) = 1.
//!
//! Works for every symmetric positive definite A: no step can break down, and M is symmetric
//! positive definite. For other matrices it is an error that names the row. M alone leaves the
//! number of iterations growing with the size of a grid, like any local method.
//!
//! Cost: setup O(n·k³) for k entries a row, eight rows at a time; communication of the rows of A
//! within k steps, and of the entries of G whose columns others own. Apply one product with G and
//! one with Gᵀ, which is stored too. Bitwise the same G on any number of ranks.
//!
//! Reference: L. Kolotilina, A. Yeremin, *Factorized sparse approximate inverse preconditionings
//! I*, SIAM J. Matrix Anal. Appl. 14 (1993), §2; E. Chow, *Parallel implementation and practical use
//! of sparse approximate inverse preconditioners with a priori sparsity patterns*, Int. J. High
//! Perform. Comput. Appl. 15 (2001).
use crate::plan::{GRAIN, Plan};
use precondor_sdk::core::kernel::batch::{self, LANES, Lanes, packed};
use precondor_sdk::core::kernel::chunks::{self, Pool};
use precondor_sdk::core::kernel::pattern::{Part, Pattern};
use precondor_sdk::core::kernel::reach::Reach;
use precondor_sdk::core::kernel::remote;
use precondor_sdk::core::matrix::{Explicit, ExplicitKind};
use precondor_sdk::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Parameters of [`Fsai`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct FsaiParams {
    /// G has the lower triangle of the pattern of this power of A.
    #[schemars(range(min = 0, max = 8))]
    pub power: u32,
    /// Entries with |aᵢⱼ| ≤ threshold·√(aᵢᵢ aⱼⱼ) are left out of A before its pattern is taken.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub threshold: f64,
}

impl Default for FsaiParams {
    fn default() -> Self {
        FsaiParams { power: 1, threshold: 0.0 }
    }
}

/// The method.
pub struct Fsai;

/// G and Gᵀ.
pub struct Factored {
    g: DistCsr,
    transpose: DistCsr,
    params: FsaiParams,
    plan: Plan,
    /// G r, between the two products.
    between: Mutex<Vec<f64>>,
}

impl Generator for Fsai {
    const NAME: &'static str = "fsai";
    const SUMMARY: &'static str =
        "factorised sparse approximate inverse on the lower pattern of a power of A";
    const CAPABILITIES: Capabilities =
        Capabilities { explicit: true, transpose: true, refresh: true, many: false };
    type Params = FsaiParams;
    type Output = Factored;

    fn generate(params: &FsaiParams, system: &System) -> Result<Factored> {
        system.a().require_symmetric(Self::NAME)?;
        let mut plan = Plan::new(system, params.power, params.threshold, Part::Lower)?;
        let (g, transpose) = factor(&mut plan, system)?;
        let between = Mutex::new(vec![0.0; g.n_own()]);
        Ok(Factored { g, transpose, params: params.clone(), plan, between })
    }

    fn refresh(m: &mut Factored, params: &FsaiParams, system: &System) -> Result<()> {
        if *params != m.params {
            return Err(Error::PatternChanged);
        }
        m.plan.require_same(system.a())?;
        system.a().require_symmetric(Self::NAME)?;
        (m.g, m.transpose) = factor(&mut m.plan, system)?;
        Ok(())
    }
}

impl Preconditioner for Factored {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut between = self.between.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.g.spmv(r, &mut between);
        first.and(self.transpose.spmv(&between, z))
    }

    fn properties(&self) -> Properties {
        Properties::SPD
    }

    fn stored_entries(&self) -> usize {
        self.g.nnz_own()
    }

    fn bytes(&self) -> usize {
        let vector = 8 * self.g.n_own();
        self.g.bytes() + self.transpose.bytes() + self.plan.pattern.bytes() + vector
    }

    fn explicit(&self) -> Option<Explicit<'_>> {
        Some(Explicit::of(ExplicitKind::Factor, &self.g))
    }

    fn notes(&self) -> Vec<String> {
        vec![self.plan.note()]
    }
}

/// G, and its transpose.
fn factor(plan: &mut Plan, system: &System) -> Result<(DistCsr, DistCsr)> {
    let a = system.a();
    let mut values = vec![0.0; plan.pattern.cols.len()];
    {
        let reach = plan.pattern.reach(a)?;
        let rows = Rows { reach: &reach, pattern: &plan.pattern, start: a.space().start() };
        rows.solve(system, &mut values)?;
    }
    let g = plan.pattern.matrix(a.space(), values)?;
    let transpose = remote::transpose(&g)?;
    plan.computed += 1;
    Ok((g, transpose))
}

/// The small systems of all own rows.
struct Rows<'a> {
    reach: &'a Reach<'a>,
    pattern: &'a Pattern,
    start: u64,
}

impl Rows<'_> {
    /// Computes the entries of G.
    fn solve(&self, system: &System, values: &mut [f64]) -> Result<()> {
        let pool = Pool::default();
        let make = || Work::new(self.reach.numbering().len());
        chunks::fill(system.host().as_ref(), &self.pattern.row_ptr, GRAIN, values, |range, out| {
            pool.with(make, |work| self.solve_chunk(range, work, out))
        })
    }

    fn solve_chunk(&self, range: Range<usize>, work: &mut Work, out: &mut [f64]) -> Result<()> {
        let first = self.pattern.row_ptr[range.start] as usize;
        let mut order = std::mem::take(&mut work.order);
        self.pattern.by_size(range, &mut order);
        for rows in order.chunks(LANES) {
            let size = self.pattern.row(rows[rows.len() - 1] as usize).len();
            work.start(size);
            for (lane, &i) in rows.iter().enumerate() {
                self.gather(i as usize, lane, work);
            }
            let ratio = batch::cholesky(size, &mut work.matrix);
            batch::solve_upper(size, &work.matrix, &mut work.row);
            for (lane, &i) in rows.iter().enumerate() {
                let i = i as usize;
                let (k, to) = (self.pattern.row(i).len(), self.pattern.row_ptr[i] as usize - first);
                if ratio.0[lane] <= k as f64 * f64::EPSILON {
                    return Err(Error::breakdown(
                        self.start + i as u64,
                        "the matrix is not positive definite on the pattern of this row",
                    ));
                }
                for (g, x) in out[to..to + k].iter_mut().zip(&work.row) {
                    *g = x.0[lane];
                }
            }
        }
        work.order = order;
        Ok(())
    }

    /// Puts A(J, J) of row `i` and the right-hand side eᵢ into `lane` of the batch.
    fn gather(&self, i: usize, lane: usize, work: &mut Work) {
        let pattern = self.pattern.row(i);
        for (a, &j) in pattern.iter().enumerate() {
            work.place[j as usize] = a as u32;
        }
        for (a, &j) in pattern.iter().enumerate() {
            let row = &mut work.matrix[packed(a, 0)..=packed(a, a)];
            row[a].0[lane] = 0.0;
            self.reach.visit(j, |c, value| {
                // Places are smaller than a to the left of the diagonal, and only there.
                if let Some(cell) = row.get_mut(work.place[c as usize] as usize) {
                    cell.0[lane] = value;
                }
            });
        }
        for &j in pattern {
            work.place[j as usize] = ABSENT;
        }
        work.row[pattern.len() - 1].0[lane] = 1.0;
    }
}

/// A column that is not in the pattern of the row at hand.
const ABSENT: u32 = u32::MAX;

/// What a chunk of rows is solved in.
struct Work {
    order: Vec<u32>,
    /// Where each column stands in the pattern of the row at hand; [`ABSENT`] between rows.
    place: Vec<u32>,
    matrix: Vec<Lanes>,
    row: Vec<Lanes>,
}

impl Work {
    fn new(n_columns: usize) -> Self {
        let place = vec![ABSENT; n_columns];
        Work { order: Vec::new(), place, matrix: Vec::new(), row: Vec::new() }
    }

    /// Starts a batch of systems with up to `size` unknowns, all of them the identity.
    fn start(&mut self, size: usize) {
        self.matrix.clear();
        self.matrix.resize(packed(size, 0), Lanes::default());
        for a in 0..size {
            self.matrix[packed(a, a)] = Lanes::all(1.0);
        }
        self.row.clear();
        self.row.resize(size, Lanes::default());
    }
}
