//! What a preconditioner is, and what makes one.
//!
//! Two traits, because their lives differ. A [`Generator`] is a name, parameters and a recipe: no
//! state, known before any matrix. A [`Preconditioner`] is what the recipe gives for one matrix: it
//! owns all it needs, is applied thousands of times and never changes under `&self`.
use crate::invariance::Invariances;
use crate::matrix::Explicit;
use crate::persist;
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::ops::Range;

/// An approximate inverse M ≈ A⁻¹ of one matrix.
///
/// Vectors hold the entries that this rank owns.
pub trait Preconditioner: Send + Sync {
    /// `z = M r`; `z` is overwritten whatever it held. Collective; does not allocate.
    ///
    /// # Errors
    /// A data error never skips communication: write NaN, carry on, and return `Err` at the end;
    /// the solver tells the other ranks.
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()>;

    /// What a solver may assume about M.
    fn properties(&self) -> Properties;

    /// Numbers that M is made of on this rank (matrix entries, stencils, factors).
    fn stored_entries(&self) -> usize;

    /// Bytes that this rank keeps for M, indices and work space included.
    fn bytes(&self) -> usize;

    /// `Zⱼ = M Rⱼ` for `k` vectors stored one after the other: `r.len() = z.len() = k·n`.
    ///
    /// # Errors
    /// As [`apply`](Preconditioner::apply).
    fn apply_many(&self, k: usize, r: &[f64], z: &mut [f64]) -> Result<()> {
        let n = r.len().checked_div(k).unwrap_or(0);
        (0..k).try_for_each(|j| {
            let range = j * n..(j + 1) * n;
            self.apply(&r[range.clone()], &mut z[range])
        })
    }

    /// `z = M r` and `y = A z`, where the way to z gives both for less than a product with the matrix A that M was
    /// made for.
    ///
    /// # Errors
    /// [`Error::Unsupported`], on all ranks and with nothing done, where it does not; as
    /// [`apply`](Preconditioner::apply) else.
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        let _ = (r, z, y);
        Err(Error::Unsupported("this preconditioner gives no product".into()))
    }

    /// `z = Mᵀ r`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the method does not offer it; as
    /// [`apply`](Preconditioner::apply) else.
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        if self.properties().symmetric {
            return self.apply(r, z);
        }
        Err(Error::Unsupported("this preconditioner has no transpose".into()))
    }

    /// The explicitly stored inverse, or its factor, where that is what M is.
    fn explicit(&self) -> Option<Explicit<'_>> {
        None
    }

    /// What a reader of a report should know: fallbacks taken, shifts added, estimates made.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The name of the method that M is of, where this one chose another to do its work. A solve
    /// that fails with this M does not go on with that method.
    fn delegate(&self) -> Option<String> {
        None
    }
}

/// What a solver may assume about M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// M = Mᵀ up to rounding.
    pub symmetric: bool,
    /// M is symmetric and positive definite.
    pub positive_definite: bool,
    /// Every application uses the same M (Krylov methods other than flexible ones need it).
    pub constant: bool,
    /// M is the same operator on any number of ranks.
    pub rank_independent: bool,
}

impl Properties {
    /// Constant and rank independent, neither symmetric nor definite.
    pub const GENERAL: Self = Properties {
        symmetric: false,
        positive_definite: false,
        constant: true,
        rank_independent: true,
    };
    /// Constant, rank independent, symmetric and positive definite.
    pub const SPD: Self =
        Properties { symmetric: true, positive_definite: true, ..Properties::GENERAL };
}

/// M = I: what a solver gets where no preconditioner is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

impl Preconditioner for Identity {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        z.copy_from_slice(r);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.apply(r, z)
    }
}

/// M = diag(d), d > 0.
#[derive(Clone, Debug)]
pub struct Diagonal(pub Vec<f64>);

impl Preconditioner for Diagonal {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        z.iter_mut().zip(r).zip(&self.0).for_each(|((z, r), d)| *z = d * r);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        self.0.len()
    }
    fn bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }
}

/// Optional parts that a method offers; `plugins describe` lists them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// [`Preconditioner::explicit`] gives the stored inverse (`explicit/1`).
    pub explicit: bool,
    /// [`Preconditioner::apply_transpose`] works for some matrices (`apply-transpose/1`).
    pub transpose: bool,
    /// [`Generator::refresh`] works (`refresh/1`).
    pub refresh: bool,
    /// [`Preconditioner::apply_many`] is faster than one by one (`apply-many/1`).
    pub many: bool,
    /// [`Preconditioner::apply_and_multiply`] works for some matrices (`apply-and-multiply/1`).
    pub product: bool,
    /// [`Generator::save`] and [`Generator::load`] work (`persist/1`).
    pub persist: bool,
    /// [`Preconditioner::delegate`] names another method (`delegate/1`).
    pub delegate: bool,
}

impl Capabilities {
    /// None of them.
    pub const NONE: Self = Capabilities {
        explicit: false,
        transpose: false,
        refresh: false,
        many: false,
        product: false,
        persist: false,
        delegate: false,
    };
}

/// Parameters of a method: a struct whose JSON schema is the only statement of names, meanings,
/// ranges and defaults.
pub trait Parameters: DeserializeOwned + JsonSchema + Send + Sync + 'static {}
impl<T: DeserializeOwned + JsonSchema + Send + Sync + 'static> Parameters for T {}

/// The recipe of a method: parameters and a system in, a preconditioner out.
///
/// Associated constants rather than methods, because a plugin's table is pure data until called.
pub trait Generator: Send + Sync + 'static {
    /// What a user types: lower case, words joined by `-`.
    const NAME: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// Optional parts that this method offers.
    const CAPABILITIES: Capabilities = Capabilities::NONE;
    /// Parameters; all of them have defaults.
    type Params: Parameters;
    /// What comes out.
    type Output: Preconditioner + 'static;

    /// What M keeps when A changes, with these parameters and provided that the methods they name keep
    /// it, too. The test kit checks both what is declared and that nothing more is so.
    fn invariances(params: &Self::Params) -> Invariances {
        let _ = params;
        Invariances::SCALING
    }

    /// Builds M for a system. Collective: the caller sees to it that all ranks succeed or all
    /// fail, so an early `return Err` is fine anywhere.
    ///
    /// # Errors
    /// Names the parameter, or the global row, that it cannot go on with.
    fn generate(params: &Self::Params, system: &System) -> Result<Self::Output>;

    /// Rebuilds `m` for new values on the same pattern, reusing its symbolic work. Collective.
    ///
    /// # Errors
    /// [`Error::PatternChanged`] for another pattern; [`Error::Unsupported`] where the method has
    /// no such part. After any error `m` must not be applied.
    fn refresh(m: &mut Self::Output, params: &Self::Params, system: &System) -> Result<()> {
        let _ = (m, params, system);
        Err(crate::instance::no_refresh(Self::NAME))
    }

    /// What [`load`](Generator::load) needs to make this rank's part of M again; `rows` are the
    /// global numbers of the rows that it owns. Collective. The host keeps the bytes, with the
    /// method's name and version, its parameters and what tells the matrix.
    ///
    /// Where M is stored explicitly there is nothing to write: its rows are saved.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where this M cannot be saved.
    fn save(m: &Self::Output, rows: Range<u64>) -> Result<Vec<u8>> {
        persist::explicit(m, rows)
    }

    /// M out of what [`save`](Generator::save) wrote, for a matrix with the pattern of the one it
    /// was saved for; [`persist::Rows::read`] reads explicit rows, which may come from another
    /// number of ranks. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] for bytes that are not understood.
    fn load(bytes: &[u8], system: &System) -> Result<Self::Output> {
        let _ = (bytes, system);
        Err(persist::no_persist(Self::NAME))
    }
}
