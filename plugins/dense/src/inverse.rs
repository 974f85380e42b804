//! The exact inverse M = A⁻¹, dense.
//!
//! Works for any regular A, and singular A whose null space is known (`System::regular`), of at most [`ROWS`] rows; more are refused. Solvers then end after one
//! iteration. It is meant to be looked at, filtered and compared with: what an approximate inverse of
//! a given sparsity could be, and what a network that imitates A⁻¹ aims at.
//!
//! Symmetric A gives an M that is symmetric to the last bit, and positive definite where A is: then
//! every pivot of the elimination is positive, and only then. Other matrices are eliminated with row
//! pivots.
//!
//! Cost: setup 2 n³ flops and 8 n² bytes on every rank, all of which gather A and invert the whole of
//! it; apply one product with n² entries and a gather of the residual. The same M on any number of
//! ranks.
//!
//! Reference: G. H. Golub, C. F. Van Loan, *Matrix Computations*, 4th ed., §3.2 and §4.2.
use crate::elimination::{Pivots, invert};
use ndarray::Array2;
use precondor_sdk::core::kernel::{dense_rows, gather};
use precondor_sdk::core::matrix::ExplicitKind;
use precondor_sdk::core::memory;
use precondor_sdk::core::persist::Stored;
use precondor_sdk::prelude::*;

/// Rows that a matrix may have.
pub const ROWS: u64 = 2000;

/// Parameters of [`Inverse`]: none.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {}

/// The method.
pub struct Inverse;

impl Generator for Inverse {
    const NAME: &'static str = "inverse";
    const SUMMARY: &'static str = "the exact inverse as a dense matrix, for up to 2000 unknowns";
    const CAPABILITIES: Capabilities = Capabilities {
        explicit: true,
        transpose: true,
        refresh: true,
        persist: true,
        ..Capabilities::NONE
    };
    type Params = Params;
    type Output = Stored;

    fn invariances(_: &Params) -> Invariances {
        Invariances::ALL
    }

    fn generate(_: &Params, system: &System) -> Result<Stored> {
        let system = &*system.regular()?;
        let (whole, properties, notes) = invert_whole(system)?;
        let m = dense_rows::matrix(system.a().space(), dense_rows::own(system.a(), &whole))?;
        Ok(Stored::inverse(m, properties, notes))
    }

    fn refresh(m: &mut Stored, _: &Params, system: &System) -> Result<()> {
        let system = &*system.regular()?;
        let (whole, properties, notes) = invert_whole(system)?;
        let renewed = dense_rows::renewed(m.matrix(), dense_rows::own(system.a(), &whole))?;
        *m = Stored::inverse(renewed, properties, notes);
        Ok(())
    }

    fn load(bytes: &[u8], system: &System) -> Result<Stored> {
        Stored::load(bytes, ExplicitKind::Inverse, system)
    }
}

/// A⁻¹ on every rank, row after row, with what is known of it. Collective.
fn invert_whole(system: &System) -> Result<(Vec<f64>, Properties, Vec<String>)> {
    let (a, host) = (system.a(), system.host());
    let look = |done| host.step(done, a.n_global() as usize, "columns");
    if a.n_global() > ROWS {
        return Err(Error::Unsupported(format!(
            "inverse stores all n² entries, so it takes at most {ROWS} unknowns; this matrix has \
             {}",
            a.n_global()
        )));
    }
    if let Some(i) = (0..a.n_own()).find(|&i| a.global_entries(i).all(|e| e.1 == 0.0)) {
        return Err(Error::breakdown(a.global_row(i), "all entries are zero: no inverse"));
    }
    let symmetric = a.first_unsymmetric()?.is_none();
    let whole = whole(a)?;
    let size = whole.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let smallest = f64::EPSILON * size;
    let mut inverse = whole.clone();
    let definite = symmetric && invert(&mut inverse, Pivots::Definite, smallest, look)?.is_ok();
    if !definite {
        inverse.assign(&whole);
        invert(&mut inverse, Pivots::Largest, smallest, look)?.map_err(|column| {
            Error::Breakdown(format!(
                "the matrix is singular: its column {column} depends on those before"
            ))
        })?;
    }
    if symmetric {
        inverse = (&inverse + &inverse.t()) / 2.0;
    }
    let properties = Properties { symmetric, positive_definite: definite, ..Properties::GENERAL };
    let note = match (definite, symmetric) {
        (true, _) => "positive definite: all pivots of the elimination are positive",
        (false, true) => "symmetric, but not positive definite: a pivot is not positive",
        (false, false) => "not symmetric, as the matrix",
    };
    let whole = inverse.iter().copied().collect();
    Ok((whole, properties, vec![note.into()]))
}

/// All of A, on every rank. Collective.
fn whole(a: &DistCsr) -> Result<Array2<f64>> {
    let n = a.n_global() as usize;
    let what = format_args!("the inverse of {n} rows holds all n² entries; take a sparse method");
    let count = memory::count(&[a.n_global(), a.n_global()], what)?;
    // The matrix, its inverse, and a third while it is made symmetric.
    memory::require(3 * 8 * count as u128, what)?;
    let whole = memory::vec_of(0.0, count, what)?;
    let mut whole =
        Array2::from_shape_vec((n, n), whole).map_err(|e| Error::Data(e.to_string()))?;
    gather::rows(a, |row, entries| {
        entries.iter().for_each(|&(col, value)| whole[[row, col]] = value);
        Ok(())
    })?;
    Ok(whole)
}
