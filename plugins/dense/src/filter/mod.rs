//! Another method's explicit M, filtered: M ← T(M) drops the entries |mᵢⱼ| ≤ ε, or ≤ ε maxₖₗ|mₖₗ|, and, if
//! told to, all but the k n largest; entries are then kept in double, single, half precision or as whole numbers of
//! 8 bits with one scale.
//!
//! With [`Params::coarse`] what is filtered is not M but the remainder of its smooth part:
//! M ← Pc Ac⁻¹ Pcᵀ + T(M − Pc Ac⁻¹ Pcᵀ), see `filter/coarse.rs`.
//!
//! - ε is absolute in [`Params::threshold`], as in the table of thresholded inverses that this method
//!   reproduces (225 unknowns, exact inverse, Richardson's iteration; `tests/table.rs`): what is left then
//!   depends on the units of A. It does not with [`Params::relative_threshold`].
//! - Works for any method that stores its inverse or a factor of it (then GᵀG is formed first). M
//!   stays as symmetric as it is; [`Params::symmetrize`] replaces it by (M + Mᵀ)/2 before entries are
//!   dropped.
//! - A symmetric result is declared positive definite where it is seen to be, by dominance or by the
//!   Lanczos process. Dropping entries of an inverse soon makes it indefinite: conjugate gradients
//!   then refuse it.
//!
//! Cost: setup that of the other method and a few passes over its entries (with `coarse`: over all n²,
//! at most 2000 rows); apply one product with what is left, and a reduction of the coarse vector.
//!
//! Reference: L. Kolotilina, A. Nikishin, A. Yeremin, *Factorized sparse approximate inverse
//! preconditionings IV: simple approaches to rising efficiency*, Numer. Linear Algebra Appl. 6 (1999)
//! (post-filtering); E. Chow, Y. Saad, *Approximate inverse preconditioners via sparse-sparse
//! iterations*, SIAM J. Sci. Comput. 19 (1998), §3.2 (dropping).
mod coarse;
mod largest;
mod rounded;
mod rows;

use crate::filter::coarse::Coarse;
use crate::filter::rounded::{Rounded, Scale};
use crate::inverse::{Inverse, ROWS};
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::kernel::symmetric;
use precondor_sdk::core::matrix::{Explicit, ExplicitKind};
use precondor_sdk::core::persist::{Numbers, Rows};
use precondor_sdk::core::schema::named_method;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;

/// Parameters of [`Filter`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars", extend("x-precondor-tune" = false))]
pub struct Params {
    /// The method whose M is filtered: a name, or a section with its name and its parameters. It has
    /// to store M, or a factor of it, as a matrix.
    #[schemars(extend("x-precondor-method" = true))]
    pub method: Value,
    /// Entries of at most this magnitude are dropped: in the units of M, so that 2 A is filtered otherwise
    /// than A.
    #[schemars(range(min = 0.0))]
    pub threshold: f64,
    /// Entries of at most this part of the largest are dropped, whatever the units.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub relative_threshold: f64,
    /// Entries a row to keep on average over the whole matrix, the largest; all where it is left out.
    /// Entries as large as the smallest of them stay, too.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub keep: Option<f64>,
    /// Replace M by (M + Mᵀ)/2 before entries are dropped, for conjugate gradients.
    pub symmetrize: bool,
    /// How the entries that are left are stored.
    pub precision: Precision,
    /// Nodes in a row and rows of a coarse grid: the part of M that bilinear functions on it can
    /// represent is kept apart, and only the rest filtered.
    pub coarse: Option<[usize; 2]>,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            method: Inverse::NAME.into(),
            threshold: 0.0,
            relative_threshold: 0.0,
            keep: None,
            symmetrize: false,
            precision: Precision::F64,
            coarse: None,
        }
    }
}

/// How entries are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Precision {
    /// Double: 8 bytes each.
    F64,
    /// Single: 4 bytes each.
    F32,
    /// The upper half of single: 2 bytes each.
    Bf16,
    /// Whole numbers from -127 to 127 times one scale for all: 1 byte each.
    Int8,
}

/// The method.
pub struct Filter;

/// T(M), or Pc Ac⁻¹ Pcᵀ + T(M − Pc Ac⁻¹ Pcᵀ).
pub struct Filtered {
    stored: Rounded,
    coarse: Option<Coarse>,
    properties: Properties,
    notes: Vec<String>,
}

/// M of the other method in double precision, and what it is. Collective.
fn unfiltered(params: &Params, system: &System) -> Result<(DistCsr, Properties, Vec<String>)> {
    let (name, section) = named_method(&params.method).ok_or_else(|| {
        let why = "parameter 'method': it takes a method's name, or a section with 'name'";
        Error::Parameter(why.into())
    })?;
    let inner = system.host().inner(&name, &section, system);
    let inner = inner.map_err(|e| e.inside(format!("parameter 'method': {name}")))?;
    let explicit = inner.explicit().ok_or_else(|| {
        Error::Unsupported(format!(
            "parameter 'method': {name} stores no inverse as a matrix; filter needs one"
        ))
    })?;
    let m = rows::inverse(&explicit, system.a().space())?;
    Ok((m, inner.properties(), inner.notes()))
}

impl Generator for Filter {
    const NAME: &'static str = "filter";
    const SUMMARY: &'static str =
        "another method's explicit inverse without its small entries, in fewer bits";
    const CAPABILITIES: Capabilities =
        Capabilities { explicit: true, persist: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Filtered;

    fn invariances(params: &Params) -> Invariances {
        let Params { threshold, relative_threshold, keep, symmetrize, precision, coarse, .. } =
            params;
        let dropped = *relative_threshold > 0.0 || keep.is_some() || coarse.is_some();
        if *threshold > 0.0 {
            return Invariances { permutation: coarse.is_none(), ..Invariances::NONE };
        }
        if dropped || *precision == Precision::Int8 {
            return Invariances { permutation: coarse.is_none(), ..Invariances::SCALING };
        }
        // Powers of two do not change how entries are rounded.
        Invariances { rows: !symmetrize, columns: !symmetrize, ..Invariances::ALL }
    }

    fn generate(params: &Params, system: &System) -> Result<Filtered> {
        let a = system.a();
        let coarse = match params.coarse {
            Some(nodes) => Some(coarse(a, nodes)?),
            None => None,
        };
        let (mut m, of_method, mut notes) = unfiltered(params, system)?;
        if params.symmetrize {
            m = symmetric::part(&m)?;
        }
        if let Some(coarse) = &coarse {
            m = coarse.remainder(&m)?;
        }
        let all = m.nnz_global()?;
        let largest = match params.keep {
            Some(keep) => largest::limit(&m, (keep * a.n_global() as f64).floor())?,
            None => 0.0,
        };
        let magnitude = largest::magnitude(&m)?;
        if !magnitude.is_finite() {
            return Err(Error::Data("parameter 'method': its M has infinite entries".into()));
        }
        let scale = Scale::new(params.precision, magnitude);
        let small = params.threshold.max(params.relative_threshold * magnitude);
        let stays = |v: f64| v.abs() > small && v.abs() >= largest;
        m = rows::from_rows(a.space(), |i, row| {
            let rounded = |v| scale.rounded(params.precision, v);
            let kept = m.global_entries(i).filter(|e| stays(e.1)).map(|(j, v)| (j, rounded(v)));
            row.extend(kept.filter(|e| e.1 != 0.0));
        })?;
        let kept = m.nnz_global()?;
        notes.push(format!(
            "{kept} of {all} entries kept ({:.1} %), {:.1} a row",
            100.0 * kept as f64 / all.max(1) as f64,
            kept as f64 / a.n_global().max(1) as f64
        ));
        let symmetric = m.first_unsymmetric()?.is_none();
        let definite = match &coarse {
            _ if !symmetric => None,
            None => symmetric::definite(&m)?,
            Some(coarse) => symmetric::definite(&coarse.sum(&m)?)?,
        };
        notes.push(match definite {
            Some(definite) => definite.to_string(),
            None if symmetric => "symmetric, but not found to be positive definite".into(),
            None => "not symmetric".into(),
        });
        let properties = Properties {
            symmetric,
            positive_definite: definite.is_some(),
            constant: true,
            rank_independent: of_method.rank_independent,
        };
        let stored = Rounded::new(&m, params.precision, scale);
        Ok(Filtered { stored, coarse, properties, notes })
    }

    fn load(bytes: &[u8], system: &System) -> Result<Filtered> {
        let rows = Rows::read(bytes, system)?.of_kind(ExplicitKind::Inverse)?;
        let precision = match rows.values {
            Numbers::F64(_) => Precision::F64,
            Numbers::F32(_) => Precision::F32,
            Numbers::Bf16(_) => Precision::Bf16,
        };
        let m = rows.widened(system)?;
        let stored = Rounded::new(&m, precision, Scale::new(precision, 0.0));
        let (properties, notes) = (rows.about.properties(), rows.about.notes);
        Ok(Filtered { stored, coarse: None, properties, notes })
    }
}

/// Sets up the smooth part. Collective.
fn coarse(a: &DistCsr, [kx, ky]: [usize; 2]) -> Result<Coarse> {
    if a.n_global() > ROWS {
        return Err(Error::Unsupported(format!(
            "parameter 'coarse': the remainder has n² entries before it is filtered, so filter takes \
             at most {ROWS} unknowns then; this matrix has {}",
            a.n_global()
        )));
    }
    let grid = Grid::of(a, None)?;
    if kx == 0 || ky == 0 || kx > grid.mx || ky > grid.my {
        return Err(Error::Parameter(format!(
            "parameter 'coarse': {kx} by {ky} nodes is no coarser grid than {} by {}",
            grid.mx, grid.my
        )));
    }
    a.require_symmetric("parameter 'coarse': filter")?;
    Coarse::new(a, grid, [kx, ky])
}

impl Preconditioner for Filtered {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.stored.product(r, z)?;
        self.coarse.as_ref().map_or(Ok(()), |coarse| coarse.add_product(r, z))
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        self.stored.nnz() + self.coarse.as_ref().map_or(0, Coarse::stored_entries)
    }
    fn bytes(&self) -> usize {
        self.stored.bytes() + self.coarse.as_ref().map_or(0, Coarse::bytes)
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        if self.coarse.is_some() { None } else { self.stored.explicit() }
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
