//! Sparse Cholesky: M = A⁻¹ = Q (L Lᵀ)⁻¹ Qᵀ, a direct solver, as the peer of everything iterative.
//!
//! Q orders the rows, by approximate minimum degree if nothing else is asked for, so that L has few
//! entries; where it gets dense
//! enough, columns with the same pattern are factorised as one dense block. A direct solve takes one
//! iteration of any method; what it costs grows faster than the matrix.
//!
//! Works for symmetric positive definite A, and for semidefinite A whose null space is known; for others
//! the factorisation fails with the pivot.
//!
//! Cost on a plane mesh of n nodes: L has O(n log n) entries, setup O(n^1.5) flops, an application four
//! for each entry. New values on the same pattern ([`Generator::refresh`]) reuse ordering and pattern of
//! L. On several ranks every rank gathers A, factorises the whole of it and solves for all rows: the
//! same bits on any number of ranks, no gain in time.
//!
//! The factorisation is the crate `faer`, which takes longer to compile than all the rest: it is left
//! out unless the program is built with `--features cholesky`, and setting the method up says so.
//!
//! Reference: P. Amestoy, T. Davis, I. Duff, *An approximate minimum degree ordering algorithm*, SIAM
//! J. Matrix Anal. Appl. 17 (1996); T. Davis, *Direct Methods for Sparse Linear Systems*, SIAM 2006, §4.
#![deny(missing_docs)]
#[cfg_attr(feature = "faer", path = "factor.rs")]
#[cfg_attr(not(feature = "faer"), path = "absent.rs")]
mod factor;

use factor::Factor;
use precondor_sdk::core::kernel::gather::{self, Gather};
use precondor_sdk::core::kernel::ordering::Ordering;
use precondor_sdk::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Parameters of [`Cholesky`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// In which order rows and columns are eliminated.
    pub ordering: Ordering,
}

impl Default for Params {
    fn default() -> Self {
        Params { ordering: Ordering::Amd }
    }
}

/// The method.
pub struct Cholesky;

/// A⁻¹ by its factor.
pub struct Solve {
    pattern: Csr,
    first: usize,
    ranks: usize,
    ordering: Ordering,
    work: Mutex<Whole>,
}

/// The whole matrix, factorised, and how vectors reach all of its rows.
struct Whole {
    factor: Factor,
    gather: Gather,
    whole: Vec<f64>,
}

impl Generator for Cholesky {
    const NAME: &'static str = "cholesky";
    const SUMMARY: &'static str =
        "sparse Cholesky factorisation, a direct solver (with --features cholesky)";
    const CAPABILITIES: Capabilities = Capabilities { refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Solve;

    fn invariances(_: &Params) -> Invariances {
        // It is A⁻¹ for a symmetric matrix.
        Invariances { permutation: true, ..Invariances::BOTH }
    }

    fn generate(params: &Params, system: &System) -> Result<Solve> {
        let system = &*system.regular()?;
        let a = system.a();
        a.require_symmetric(Self::NAME)?;
        let whole = whole(a)?;
        let factor = Factor::new(&whole, params.ordering)?;
        let work =
            Whole { factor, gather: Gather::new(a.space()), whole: vec![0.0; whole.n_rows()] };
        let (first, ranks) = (a.space().start() as usize, a.space().comm().size());
        let ordering = params.ordering;
        Ok(Solve { pattern: whole, first, ranks, ordering, work: Mutex::new(work) })
    }

    fn refresh(m: &mut Solve, params: &Params, system: &System) -> Result<()> {
        let system = &*system.regular()?;
        let a = system.a();
        a.require_symmetric(Self::NAME)?;
        let whole = whole(a)?;
        let (old, new) = (m.pattern.view(), whole.view());
        if (old.row_ptr, old.cols, m.ordering) != (new.row_ptr, new.cols, params.ordering) {
            return Err(Error::PatternChanged);
        }
        let work = m.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        work.factor.refresh(&whole)?;
        m.pattern = whole;
        Ok(())
    }
}

/// All rows of `a`, on every rank. Collective.
fn whole(a: &DistCsr) -> Result<Csr> {
    if a.space().comm().size() == 1 {
        return Ok(a.own().clone());
    }
    let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
    gather::rows(a, |_, entries| {
        cols.extend(entries.iter().map(|&(col, _)| col as u32));
        values.extend(entries.iter().map(|&(_, value)| value));
        row_ptr.push(u32::try_from(cols.len()).map_err(|_| {
            Error::Unsupported("cholesky gathers A: 2³² or more entries do not fit".into())
        })?);
        Ok(())
    })?;
    Csr::new(a.n_global() as usize, row_ptr, cols, values)
}

impl Preconditioner for Solve {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Whole { factor, gather, whole } = &mut *work;
        gather.whole(r, whole)?;
        factor.solve(whole);
        z.copy_from_slice(&whole[self.first..self.first + z.len()]);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).factor.stored_entries()
    }
    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.factor.bytes() + work.gather.bytes() + 8 * work.whole.len() + self.pattern.bytes()
    }
    fn notes(&self) -> Vec<String> {
        let entries = self.stored_entries() as f64 / self.pattern.n_rows().max(1) as f64;
        let mut notes = vec![format!("{entries:.1} numbers a row stored in the factor")];
        if self.ranks > 1 {
            notes.push("every rank gathers the residual and solves for all rows".into());
        }
        notes
    }
}

export_plugin!(Cholesky);
