//! Incomplete Cholesky, IC(0): M⁻¹ = (I + L) D (I + L)ᵀ ≈ A with the pattern of A, for symmetric
//! positive definite A and conjugate gradients.
//!
//! The product equals A on its pattern. Exists for M- and H-matrices. For others a pivot may turn
//! out not to be positive: then A + α diag(A) is factorised instead (Manteuffel), with α = 0.001 at
//! first and doubled until it works. α never needs to exceed the number of off-diagonal entries of
//! the fullest row, where the shifted matrix is diagonally dominant if A is definite: beyond that A
//! is refused.
//!
//! `ordering` permutes rows and columns of the block alike before that, which leaves M symmetric.
//!
//! Each rank factorises the block of columns that it owns and shifts it as that block needs: block
//! Jacobi between the ranks, and M depends on their number. `schwarz` with `method = "ic"` lets the blocks
//! overlap.
//!
//! Cost: setup O(Σ over columns of L of the square of their length) an attempt, of the order of ten products with A;
//! apply one product's worth of flops; L is kept once, half the size of A. No communication, but for the test of
//! symmetry. A refresh keeps the pattern. On several threads L is kept twice more where substitutions gain by it
//! (`levels`); M has the same bits on any number of them.
//!
//! Reference: J. A. Meijerink, H. A. van der Vorst, Math. Comp. 31 (1977) 148–162 (IC(0));
//! T. A. Manteuffel, Math. Comp. 34 (1980) 473–497 (shift); C.-J. Lin, J. J. Moré, SIAM J. Sci.
//! Comput. 21 (1999) 24–45 (its doubling).
use crate::cholesky::{self, Factors, Failed};
use crate::levels::Levels;
use crate::rearranged::Rearranged;
use precondor_sdk::core::kernel::ordering::Ordering;
use precondor_sdk::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

/// First shift tried after a breakdown without one.
const FIRST_SHIFT: f64 = 1e-3;

/// Parameters of [`Ic`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars", extend("x-precondor-passes" = 2))]
pub struct Params {
    /// Shift α of the first attempt at A + α diag(A).
    #[schemars(range(min = 0.0), extend("x-precondor-tune" = [0.001, 0.1]))]
    pub shift: f64,
    /// In which order rows and columns are eliminated.
    pub ordering: Ordering,
}

/// The method.
pub struct Ic;

/// The factors of this rank's block.
pub struct IncompleteCholesky {
    factors: Factors,
    /// Where rows are not eliminated in their order.
    places: Option<Rearranged>,
    /// Where substitutions run on several threads.
    levels: Option<Levels>,
    host: Arc<dyn Host>,
    shifts: Shifts,
    refreshed: u32,
    ranks: usize,
}

impl IncompleteCholesky {
    /// x ← M x, at the places.
    fn substitute(&self, x: &mut [f64]) -> Result<()> {
        match &self.levels {
            Some(levels) => levels.solve_in_place(&*self.host, &self.factors.inverse, x)?,
            None => self.factors.solve_in_place(x),
        }
        Ok(())
    }
}

/// `factors` by levels, where there are threads for them and it pays.
fn levels(factors: &Factors, system: &System) -> Option<Levels> {
    if system.host().threads() > 1 { Levels::new(&factors.upper) } else { None }
}

/// What it took to factorise: the most of all ranks.
struct Shifts {
    alpha: f64,
    failed: u32,
}

impl Generator for Ic {
    const NAME: &'static str = "ic";
    const SUMMARY: &'static str = "incomplete Cholesky IC(0) of each rank's own block, for symmetric positive definite systems";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = IncompleteCholesky;

    fn invariances(_: &Params) -> Invariances {
        Invariances::BOTH
    }

    fn generate(params: &Params, system: &System) -> Result<IncompleteCholesky> {
        let system = &*system.regular()?;
        let a = system.a();
        check(a)?;
        let places = Rearranged::ordered(a.own().view(), params.ordering)?;
        let own = in_order(places.as_ref(), a)?;
        let mut factors = Factors::pattern(own.view());
        let shifts = factorise(params, a, &own, places.as_ref(), &mut factors)?;
        let ranks = a.space().comm().size();
        let (levels, host) = (levels(&factors, system), Arc::clone(system.host()));
        Ok(IncompleteCholesky { factors, places, levels, host, shifts, refreshed: 0, ranks })
    }

    fn refresh(m: &mut IncompleteCholesky, params: &Params, system: &System) -> Result<()> {
        let system = &*system.regular()?;
        let (a, places) = (system.a(), m.places.as_ref());
        let same = a.n_own() == m.factors.inverse.len()
            && places.is_some() == (params.ordering != Ordering::Natural);
        if a.space().comm().any(!same)? {
            return Err(Error::PatternChanged);
        }
        check(a)?;
        let own = in_order(places, a)?;
        if a.space().comm().any(!m.factors.fits(own.view()))? {
            return Err(Error::PatternChanged);
        }
        m.shifts = factorise(params, a, &own, places, &mut m.factors)?;
        m.levels = levels(&m.factors, system);
        m.refreshed += 1;
        Ok(())
    }
}

/// The own block of `a`, its rows and columns at their places.
fn in_order<'a>(places: Option<&Rearranged>, a: &'a DistCsr) -> Result<Cow<'a, Csr>> {
    Ok(match places {
        None => Cow::Borrowed(a.own()),
        Some(places) => Cow::Owned(places.matrix(a.own().view())?),
    })
}

/// That `a` may be positive definite. Collective.
fn check(a: &DistCsr) -> Result<()> {
    let own = a.own().view();
    let entry = |i: usize| own.row(i).find(|&(j, _)| j >= i).filter(|&(j, _)| j == i);
    let mut diagonal = (0..own.n_rows()).map(|i| (i, entry(i).map_or(0.0, |(_, d)| d)));
    if let Some((i, d)) = diagonal.find(|(_, d)| !d.is_finite() || *d <= 0.0) {
        return Err(Error::breakdown(
            a.global_row(i),
            format_args!("the diagonal entry is {d}; ic needs a positive definite matrix"),
        ));
    }
    a.require_symmetric("ic")
}

/// Factorises `own`, the block of `a` at its places, shifted as far as needed. Collective.
fn factorise(
    params: &Params,
    a: &DistCsr,
    own: &Csr,
    places: Option<&Rearranged>,
    factors: &mut Factors,
) -> Result<Shifts> {
    let mut mirrored = None;
    let mut most = [params.shift, 0.0];
    let [alpha, failed] = &mut most;
    loop {
        let own = mirrored.as_ref().unwrap_or(own).view();
        let row = match factors.factorise(own, *alpha) {
            Ok(()) => break,
            Err(Failed::Unmirrored) => {
                mirrored = Some(cholesky::mirrored(own)?);
                continue;
            }
            Err(Failed::Pivot(row)) => row,
        };
        let fullest = (0..own.n_rows()).map(|i| own.row_cols(i).len()).max().unwrap_or(0);
        if *alpha > fullest as f64 {
            let row = places.and_then(|places| places.row(row as u64)).map_or(row, |i| i as usize);
            return Err(Error::breakdown(
                a.global_row(row),
                format_args!(
                    "no positive pivot even with {alpha} of the diagonal added; ic needs a \
                     positive definite matrix"
                ),
            ));
        }
        *alpha = (2.0 * *alpha).max(FIRST_SHIFT);
        *failed += 1.0;
    }
    a.space().comm().max(&mut most)?;
    Ok(Shifts { alpha: most[0], failed: most[1] as u32 })
}

impl Preconditioner for IncompleteCholesky {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let Some(places) = &self.places else {
            z.copy_from_slice(r);
            return self.substitute(z);
        };
        let mut end = Ok(());
        places.apply(r, z, |x| end = self.substitute(x));
        end
    }
    fn properties(&self) -> Properties {
        Properties { rank_independent: false, ..Properties::SPD }
    }
    fn stored_entries(&self) -> usize {
        self.factors.upper.nnz() + self.factors.inverse.len()
    }
    fn bytes(&self) -> usize {
        self.factors.bytes()
            + self.places.as_ref().map_or(0, Rearranged::bytes)
            + self.levels.as_ref().map_or(0, Levels::bytes)
    }
    fn notes(&self) -> Vec<String> {
        let mut notes = crate::notes(self.ranks, self.refreshed, "the pattern of the factors kept");
        if self.shifts.alpha > 0.0 {
            notes.push(format!(
                "factors of A + α diag(A) with α = {}, after {} breakdowns with less",
                self.shifts.alpha, self.shifts.failed
            ));
        }
        notes
    }
}
