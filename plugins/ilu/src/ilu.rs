//! Incomplete LU: M⁻¹ = (I + L) D (I + U) ≈ A, with L and U kept sparse in one of two ways.
//!
//! - ILU(k) (`level`): an entry is kept where its level of fill is at most k. ILU(0) has the
//!   pattern of A, and (I + L) D (I + U) equals A on it.
//! - ILUT(p, τ) (`max_fill`, `drop_tolerance`): row i keeps the p largest entries of L and of U
//!   among those above τ‖aᵢ‖₂.
//!
//! Exists for M- and H-matrices; for others a pivot may vanish, which is an error naming the row, or
//! is cured by `shift`. Widely useful with GMRES and BiCGStab; for symmetric positive definite A
//! prefer `ic`. Iteration counts grow with the size of the problem.
//!
//! Each rank factorises the block of columns that it owns: block Jacobi between the ranks, and M
//! depends on their number. `schwarz` with `inner = "ilu"` lets the blocks
//! overlap.
//!
//! Cost: setup O(Σ over entries of L of the length of that row of U), of the order of twenty
//! products with A for ILU(0); apply one product's worth of flops over the factors' entries, 12 bytes each;
//! no communication. A refresh skips the search for fill.
//!
//! Reference: Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, §10.3
//! (ILU(k)), §10.4 (ILUT).
use crate::factors::{Factors, Pivots};
use crate::{level, threshold};
use precondor_sdk::prelude::*;

/// Parameters of [`Ilu`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// Level of fill k of ILU(k); 0, the pattern of A, where neither this nor a parameter of ILUT
    /// is given.
    pub level: Option<u32>,
    /// ILUT: entries of row i up to this times ‖aᵢ‖₂ are dropped; 0 where only `max_fill` is given.
    #[schemars(range(min = 0.0))]
    pub drop_tolerance: Option<f64>,
    /// ILUT: entries kept in a row of L, and in a row of U, at most; no limit where only
    /// `drop_tolerance` is given.
    pub max_fill: Option<u32>,
    /// Pivots smaller than this times Σⱼ|aᵢⱼ| are moved away from zero to that size; where it is
    /// not given, a zero pivot is an error.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub shift: Option<f64>,
}

/// How fill is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fill {
    Level(u32),
    Threshold { tolerance: f64, max: usize },
}

impl Params {
    fn fill(&self) -> Result<Fill> {
        match (self.level, self.drop_tolerance, self.max_fill) {
            (level, None, None) => Ok(Fill::Level(level.unwrap_or(0))),
            (None, tolerance, max) => Ok(Fill::Threshold {
                tolerance: tolerance.unwrap_or(0.0),
                max: max.map_or(usize::MAX, |max| max as usize),
            }),
            _ => Err(Error::Parameter(
                "'level' chooses ILU(k), 'drop_tolerance' and 'max_fill' choose ILUT: give one kind"
                    .into(),
            )),
        }
    }
}

/// The method.
pub struct Ilu;

/// The factors of this rank's block.
pub struct IncompleteLu {
    factors: Factors,
    fill: Fill,
    /// Pattern of A, where the factors' does not show it: offsets and columns.
    source: Option<(Vec<u32>, Vec<u32>)>,
    /// Pivots moved away from zero, on all ranks.
    moved: u64,
    refreshed: u32,
    ranks: usize,
}

impl IncompleteLu {
    /// Whether the pattern of L and U is that which `a` would get.
    fn fits(&self, a: CsrView<'_>) -> bool {
        if let Some((row_ptr, cols)) = &self.source {
            return row_ptr == a.row_ptr && cols == a.cols;
        }
        self.factors.inverse.len() == a.n_rows()
            && (0..a.n_rows()).all(|i| {
                let off_diagonal = a.row_cols(i).iter().filter(|&&j| j as usize != i);
                let kept = self.factors.lower.row(i).0.iter().chain(self.factors.upper.row(i).0);
                off_diagonal.eq(kept)
            })
    }
}

impl Generator for Ilu {
    const NAME: &'static str = "ilu";
    const SUMMARY: &'static str =
        "incomplete LU of each rank's own block, fill kept by level (ILU(k)) or by size (ILUT)";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = IncompleteLu;

    fn invariances(params: &Params) -> Invariances {
        let rows = Invariances { rows: true, ..Invariances::SCALING };
        // Entries are dropped, and pivots moved, by the size of their rows.
        match (params.fill(), params.shift) {
            (Ok(Fill::Level(_)), None) => Invariances::ROWS_AND_COLUMNS,
            _ => rows,
        }
    }

    fn generate(params: &Params, system: &System) -> Result<IncompleteLu> {
        let a = system.a();
        let (own, fill) = (a.own().view(), params.fill()?);
        let mut pivots = Pivots { shift: params.shift, moved: 0 };
        let factors = match fill {
            Fill::Level(k) => {
                let mut factors = level::pattern(own, k)?;
                level::values(a, &mut factors, &mut pivots)?;
                factors
            }
            Fill::Threshold { tolerance, max } => {
                threshold::factorise(a, tolerance, max, &mut pivots)?
            }
        };
        let hidden = matches!(fill, Fill::Level(1..));
        let source = hidden.then(|| (own.row_ptr.to_vec(), own.cols.to_vec()));
        let ranks = a.space().comm().size();
        Ok(IncompleteLu { factors, fill, source, moved: moved(a, pivots)?, refreshed: 0, ranks })
    }

    /// ILU(k) keeps its pattern; ILUT, whose pattern comes from the values, is built anew.
    fn refresh(m: &mut IncompleteLu, params: &Params, system: &System) -> Result<()> {
        let a = system.a();
        if let Fill::Threshold { .. } = params.fill()? {
            let refreshed = m.refreshed + 1;
            *m = IncompleteLu { refreshed, ..Ilu::generate(params, system)? };
            return Ok(());
        }
        let changed = m.fill != params.fill()? || !m.fits(a.own().view());
        if a.space().comm().any(changed)? {
            return Err(Error::PatternChanged);
        }
        let mut pivots = Pivots { shift: params.shift, moved: 0 };
        level::values(a, &mut m.factors, &mut pivots)?;
        m.moved = moved(a, pivots)?;
        m.refreshed += 1;
        Ok(())
    }
}

/// Pivots moved on all ranks. Collective.
fn moved(a: &DistCsr, pivots: Pivots) -> Result<u64> {
    let mut moved = [f64::from(pivots.moved)];
    a.space().comm().sum(&mut moved)?;
    Ok(moved[0] as u64)
}

impl Preconditioner for IncompleteLu {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.factors.solve(r, z);
        Ok(())
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.factors.solve_transposed(r, z);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties { rank_independent: false, ..Properties::GENERAL }
    }
    fn stored_entries(&self) -> usize {
        self.factors.stored_entries()
    }
    fn bytes(&self) -> usize {
        let source = self.source.as_ref().map_or(0, |(row_ptr, cols)| row_ptr.len() + cols.len());
        self.factors.bytes() + 4 * source
    }
    fn notes(&self) -> Vec<String> {
        let reuse = match self.fill {
            Fill::Level(_) => "the pattern of the factors kept",
            Fill::Threshold { .. } => "ILUT built anew each time",
        };
        let mut notes = crate::notes(self.ranks, self.refreshed, reuse);
        if self.moved > 0 {
            notes.push(format!("{} small pivots moved away from zero", self.moved));
        }
        notes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_does_not_touch_the_pattern() {
        let tridiagonal = |centre: f64| {
            let near = |i: usize| [(i, (i + 1) % 9, -1.0), (i, i, centre), (i, (i + 8) % 9, -1.0)];
            let a = Csr::from_triplets(9, 9, (0..9).flat_map(near).collect::<Vec<_>>()).unwrap();
            System::new(DistCsr::solo(a).unwrap())
        };
        let params = Params { level: Some(1), ..Params::default() };
        let mut m = Ilu::generate(&params, &tridiagonal(3.0)).unwrap();
        let places = |m: &IncompleteLu| {
            [&m.factors.lower, &m.factors.upper].map(|t| (t.row(0).0.as_ptr(), t.nnz()))
        };
        let before = places(&m);
        Ilu::refresh(&mut m, &params, &tridiagonal(4.0)).unwrap();
        assert_eq!(places(&m), before);
        assert_eq!(m.factors.inverse[0], 0.25);
    }
}
