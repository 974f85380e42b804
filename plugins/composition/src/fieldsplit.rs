//! Fields of unknowns (velocities and pressures, displacements and temperatures), each with a method of
//! its own. With A in blocks Aᵢⱼ and Hᵢ ≈ Aᵢᵢ⁻¹ the method of field i:
//!
//! | kind | M⁻¹ | an application |
//! |---|---|---|
//! | `additive` | diag(Hᵢ⁻¹): block Jacobi | every Hᵢ once |
//! | `multiplicative` | the Hᵢ⁻¹ and the blocks of A below them | the same, and the products below the diagonal |
//! | `symmetric-multiplicative` | – (forwards, then backwards) | every Hᵢ twice but the last; two products with A |
//! | `schur`, two fields | by `factorisation`, below | |
//!
//! Blocks of A above the diagonal take the place of those below it where the fields are named in the
//! other order.
//!
//! **Schur complements.** S = A₁₁ − A₁₀ A₀₀⁻¹ A₀₁ is what is left for field 1 (the pressures) where field
//! 0 is eliminated. With H ≈ A₀₀⁻¹ and P ≈ S⁻¹, the method of field 1 set up for an approximation of S:
//!
//! | factorisation | M | applications of H, P |
//! |---|---|---|
//! | `full` | [I, −HA₀₁; 0, I] diag(H, P) [I, 0; −A₁₀H, I] | 2, 1 |
//! | `lower` | [H, 0; −PA₁₀H, P] | 1, 1 |
//! | `upper` | [H, −HA₀₁P; 0, P] | 1, 1 |
//! | `diag` | diag(H, ±P), positive | 1, 1 |
//!
//! With exact H and P these give MA with one, one, one and three eigenvalues (`diag` where A₁₁ = 0), so
//! GMRES ends after 1, 2, 2 and 3 iterations. The approximation of S is A₁₁ − A₁₀ D⁻¹ A₀₁ with the diagonal
//! (`diag`) or the lumped rows (`lumped`) of A₀₀ for D, A₁₁ itself (`a11`), or a `matrix` from a file, such as
//! a mass matrix of the pressures. Where S is negative (saddle points) the method of field 1 is set
//! up for −S, so that one for positive definite matrices can be taken, and the sign is put back
//! afterwards, but in `diag`, which is for MINRES.
//!
//! **Symmetric positive definite**: `additive` and `diag` where all Hᵢ (and P, for ±S) are; `full` where,
//! besides, A is symmetric and S positive; `symmetric-multiplicative` where, besides, A is symmetric and
//! λmax(HᵢAᵢᵢ) < 2 for all fields but the last (the proof is that of `composite`, whose kernels are here
//! the rows of the other fields; 30 Lanczos steps estimate it, their error included). What is not known
//! to be definite is declared symmetric alone, where it is that, and a note says why.
//!
//! Fields are told by `stride`, `ranges` or a `file`; without them the rows with a zero diagonal entry are
//! the second of two fields. A field of which a rank owns no row is fine. Cost: setup a pass over A for
//! each block, the methods', and for `diag` and `lumped` a product A₁₀A₀₁, for which rows of A are fetched
//! once; three vectors. Communication: that of the methods and one exchange a product with a block. A
//! refresh keeps fields and patterns.
//!
//! Reference: M. Benzi, G. H. Golub, J. Liesen, *Numerical solution of saddle point problems*, Acta
//! Numerica 14 (2005), §10; M. F. Murphy, G. H. Golub, A. J. Wathen, *A note on preconditioning for
//! indefinite linear systems*, SIAM J. Sci. Comput. 21 (2000). PETSc's PCFIELDSPLIT has the same kinds.
use crate::fields::{Sorted, sort};
use crate::params::{Approximation, Factorisation, Kind, Params, kind};
use crate::part::{Part, common};
use crate::split::{Blocks, signed};
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::pattern;
use precondor_sdk::core::kernel::schur::{self, Inverse};
use precondor_sdk::core::kernel::split::Fields;
use precondor_sdk::core::matrix::io::matrix_market;
use precondor_sdk::prelude::*;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The method.
pub struct Fieldsplit;

/// M.
pub struct Split {
    sorted: Sorted,
    fields: Fields,
    kind: Kind,
    factorisation: Factorisation,
    /// A on each field; what stands for ±S in the second one of `schur`.
    diagonal: Vec<DistCsr>,
    parts: Vec<Part>,
    /// −1 where the second part of `schur` is for −S.
    sign: f64,
    properties: Properties,
    notes: Vec<String>,
    digest: u64,
    work: Mutex<Work>,
}

/// What an application works in, a vector for each field.
pub(crate) struct Work {
    pub blocks: Blocks,
    pub r: Vec<Vec<f64>>,
    pub z: Vec<Vec<f64>>,
    pub t: Vec<Vec<f64>>,
}

impl Generator for Fieldsplit {
    const NAME: &'static str = "fieldsplit";
    const SUMMARY: &'static str =
        "a method for each field of unknowns: block Jacobi, block triangular, Schur complements";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Split;

    fn invariances(params: &Params) -> Invariances {
        // Fields are numbers of unknowns: their order counts.
        match params.approximation {
            _ if params.matrix.is_some() => Invariances::NONE,
            Some(Approximation::Lumped) => Invariances { rows: true, ..Invariances::SCALING },
            _ => Invariances::ROWS_AND_COLUMNS,
        }
    }

    fn generate(params: &Params, system: &System) -> Result<Split> {
        let a = system.a();
        let sorted = sort(params, system)?;
        let fields = Fields::new(a, &sorted.of, sorted.count)?;
        if let Some(f) = (0..fields.count()).find(|&f| fields.space(f).n_global() == 0) {
            return Err(Error::Parameter(format!("field {f} has no rows")));
        }
        let kind = kind(params, &sorted)?;
        let factorisation = params.factorisation.unwrap_or(Factorisation::Full);
        let mut diagonal = Vec::new();
        let mut sign = 1.0;
        for f in 0..fields.count() {
            if kind == Kind::Schur && f == 1 {
                let (s, of_s) = complement(params, system, &fields)?;
                diagonal.push(s);
                sign = of_s;
            } else {
                let block = fields.diagonal_block(a, f)?;
                require_block(&block, &fields, a, f, kind)?;
                diagonal.push(block);
            }
        }
        let method = |f: usize| params.methods.get(f).unwrap_or(&params.methods[0]);
        let part = |(f, block): (usize, &DistCsr)| {
            let of_field = system.with_part(block.clone(), fields.rows(f))?;
            let row = |i| fields.global(a, f, i);
            Part::new(format!("field {f}"), method(f), &of_field, &row)
        };
        let parts = diagonal.iter().enumerate().map(part).collect::<Result<Vec<_>>>()?;
        let blocks = Blocks::new(system, &fields, kind, factorisation)?;
        let vectors = || -> Vec<Vec<f64>> {
            (0..fields.count()).map(|f| vec![0.0; fields.rows(f).len()]).collect()
        };
        let work = Mutex::new(Work { blocks, r: vectors(), z: vectors(), t: vectors() });
        let (properties, notes, digest) = (Properties::GENERAL, vec![], pattern::digest(a));
        let mut m = Split {
            sorted,
            fields,
            kind,
            factorisation,
            diagonal,
            parts,
            sign,
            properties,
            notes,
            digest,
            work,
        };
        m.settle(a)?;
        Ok(m)
    }

    fn refresh(m: &mut Split, params: &Params, system: &System) -> Result<()> {
        let a = system.a();
        let sorted = sort(params, system)?;
        let other = m.digest != pattern::digest(a) || sorted != m.sorted;
        if a.space().comm().any(other)? {
            return Err(Error::PatternChanged);
        }
        for f in 0..m.fields.count() {
            if m.kind == Kind::Schur && f == 1 {
                (m.diagonal[f], m.sign) = complement(params, system, &m.fields)?;
            } else {
                let (own, ghost) = m.fields.values(a, f, f);
                m.diagonal[f] = m.diagonal[f].with_values(own, ghost)?;
                require_block(&m.diagonal[f], &m.fields, a, f, m.kind)?;
            }
            let of_field = system.with_part(m.diagonal[f].clone(), m.fields.rows(f))?;
            let row = |i| m.fields.global(a, f, i);
            m.parts[f].renew(&of_field, &row)?;
        }
        let work = m.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        work.blocks.refresh(a, &m.fields)?;
        m.settle(a)
    }
}

/// Refuses a field on which A is zero, which no method can be set up for. Collective.
fn require_block(
    block: &DistCsr,
    fields: &Fields,
    a: &DistCsr,
    f: usize,
    kind: Kind,
) -> Result<()> {
    let values = block.own().view().values.iter().chain(block.ghost().view().values);
    let comm = a.space().comm();
    if comm.any(values.into_iter().any(|&v| v != 0.0))? {
        return Ok(());
    }
    let first = fields.rows(f).first().map_or(u64::MAX, |&i| a.global_row(i as usize));
    let first = comm.all_gather(&[first])?.iter().map(|row| row[0]).min().unwrap_or_default();
    let cure = match kind {
        Kind::Schur if f == 0 => "name this field last: the other one is then eliminated",
        Kind::Schur => "approximate the Schur complement by \"diag\", \"lumped\" or a 'matrix'",
        _ => "use the kind \"schur\", which needs no such block of its second field",
    };
    Err(Error::Unsupported(format!(
        "field {f}: A is zero between its rows, the first of which is global row {first}; {cure}"
    )))
}

/// What stands for ±S, and the sign. Collective.
fn complement(params: &Params, system: &System, fields: &Fields) -> Result<(DistCsr, f64)> {
    let a = system.a();
    let inverse = match params.approximation {
        Some(Approximation::Lumped) => Inverse::Lumped,
        Some(Approximation::A11) => {
            let block = fields.diagonal_block(a, 1)?;
            require_block(&block, fields, a, 1, Kind::Schur)?;
            return signed(block);
        }
        _ => Inverse::Diagonal,
    };
    let (s, sign) = signed(schur::complement(a, fields, [0, 1], inverse)?)?;
    let Some(file) = &params.matrix else { return Ok((s, sign)) };
    let whole = matrix_market::read_from(&system.host().read(file)?[..], Path::new(file))?;
    let space = fields.space(1);
    if whole.n_rows() as u64 != space.n_global() || whole.n_rows() != whole.n_cols() {
        return Err(Error::file(
            file,
            format!(
                "the matrix is {}×{}, the second field has {} rows",
                whole.n_rows(),
                whole.n_cols(),
                space.n_global()
            ),
        ));
    }
    let first = space.start() as usize;
    let rows = whole.view().rows(first..first + space.n_own());
    let (from, to) = (rows.row_ptr[0], rows.row_ptr[space.n_own()]);
    let row_ptr: Vec<u32> = rows.row_ptr.iter().map(|end| end - from).collect();
    let range = from as usize..to as usize;
    let cols: Vec<u64> = rows.cols[range.clone()].iter().map(|&j| j.into()).collect();
    let given = DistCsr::from_rows(space, &row_ptr, &cols, &rows.values[range])?;
    // Whether it is for S or for −S is told by S.
    Ok((signed(given)?.0, sign))
}

impl Split {
    /// Finds out what holds of M. Collective.
    fn settle(&mut self, a: &DistCsr) -> Result<()> {
        let mut all = common(&self.parts);
        let sizes: Vec<String> =
            (0..self.fields.count()).map(|f| self.fields.space(f).n_global().to_string()).collect();
        let how = if self.sorted.by_diagonal { ", the last with a zero diagonal" } else { "" };
        self.notes = vec![format!("fields of {} rows{how}", sizes.join(" and "))];
        if self.kind == Kind::Schur {
            let entries = self.diagonal[1].nnz_global()?;
            let of = if self.sign < 0.0 {
                "the negative of the Schur complement"
            } else {
                "the Schur complement"
            };
            self.notes.push(format!("field 1: {of}, approximated with {entries} entries"));
        }
        if self.fields.count() > 1 {
            let one_sided = match self.kind {
                Kind::Additive => false,
                Kind::Multiplicative => true,
                Kind::SymmetricMultiplicative => a.first_unsymmetric()?.is_some(),
                Kind::Schur => match self.factorisation {
                    Factorisation::Diag => false,
                    Factorisation::Upper | Factorisation::Lower => true,
                    Factorisation::Full => a.first_unsymmetric()?.is_some(),
                },
            };
            all.symmetric &= !one_sided;
            all.positive_definite &= !one_sided;
            if all.positive_definite && self.kind == Kind::SymmetricMultiplicative {
                all.positive_definite = self.contracts()?;
            }
            let full = self.kind == Kind::Schur && self.factorisation == Factorisation::Full;
            if full && self.sign < 0.0 && all.positive_definite {
                all.positive_definite = false;
                let why = "M is indefinite, as A is; factorisation = \"diag\" is positive definite";
                self.notes.push(why.into());
            }
        }
        self.properties = all;
        Ok(())
    }

    /// Whether all methods but the last contract enough for M to be positive definite. Collective.
    fn contracts(&mut self) -> Result<bool> {
        for (part, block) in self.parts.iter().zip(&self.diagonal).take(self.parts.len() - 1) {
            let (contracts, note) = part.contracts(block, 1.0)?;
            self.notes.push(note);
            if !contracts {
                let why = "M is not known to be positive definite: that needs a largest eigenvalue below 2 \
                           of all fields but the last";
                self.notes.push(why.into());
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `z = M r`, or Mᵀ r.
    fn run(&self, transposed: bool, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.fields.count();
        (0..count).for_each(|f| self.fields.take(f, r, &mut work.r[f]));
        let mut failed = None;
        let apply = |f: usize, r: &[f64], z: &mut [f64], failed: &mut Option<Error>| {
            self.parts[f].apply(transposed, r, z, failed);
        };
        let Work { blocks, r: rest, z: found, t } = &mut *work;
        match self.kind {
            Kind::Additive => {
                (0..count).for_each(|f| apply(f, &rest[f], &mut found[f], &mut failed));
            }
            Kind::Multiplicative | Kind::SymmetricMultiplicative => {
                let both_ways = self.kind == Kind::SymmetricMultiplicative;
                for k in 0..count {
                    // The transpose of the symmetric form begins with the first, too.
                    let at = |k: usize| if transposed && !both_ways { count - 1 - k } else { k };
                    let f = at(k);
                    for g in (0..k).map(at) {
                        blocks.product(transposed, [f, g], &found[g], &mut t[f])?;
                        subtract(&t[f], &mut rest[f]);
                    }
                    apply(f, &rest[f], &mut found[f], &mut failed);
                }
                for f in (0..count - 1).rev().filter(|_| both_ways) {
                    self.fields.take(f, r, &mut rest[f]);
                    for (g, found) in found.iter().enumerate() {
                        blocks.product(transposed, [f, g], found, &mut t[f])?;
                        subtract(&t[f], &mut rest[f]);
                    }
                    apply(f, &rest[f], &mut t[f], &mut failed);
                    found[f].iter_mut().zip(&t[f]).for_each(|(z, step)| *z += step);
                }
            }
            Kind::Schur => {
                use Factorisation::{Diag, Full, Lower, Upper};
                let form = match self.factorisation {
                    Lower if transposed => Upper,
                    Upper if transposed => Lower,
                    form => form,
                };
                if form != Upper {
                    apply(0, &rest[0], &mut found[0], &mut failed);
                }
                if matches!(form, Full | Lower) {
                    blocks.product(transposed, [1, 0], &found[0], &mut t[1])?;
                    subtract(&t[1], &mut rest[1]);
                }
                apply(1, &rest[1], &mut found[1], &mut failed);
                if self.sign < 0.0 && form != Diag {
                    found[1].iter_mut().for_each(|z| *z = -*z);
                }
                if matches!(form, Full | Upper) {
                    blocks.product(transposed, [0, 1], &found[1], &mut t[0])?;
                }
                match form {
                    Full => {
                        apply(0, &t[0], &mut rest[0], &mut failed);
                        subtract(&rest[0], &mut found[0]);
                    }
                    Upper => {
                        subtract(&t[0], &mut rest[0]);
                        apply(0, &rest[0], &mut found[0], &mut failed);
                    }
                    Lower | Diag => {}
                }
            }
        }
        (0..count).for_each(|f| self.fields.put(f, &found[f], z));
        failed.map_or(Ok(()), Err)
    }
}

/// `y −= x`.
fn subtract(x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y -= x);
}

impl Preconditioner for Split {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.run(false, r, z)
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.run(true, r, z)
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let parts: usize = self.parts.iter().map(Part::stored_entries).sum();
        parts + work.blocks.nnz_own()
    }
    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let vectors: usize = [&work.r, &work.z, &work.t].into_iter().flatten().map(Vec::len).sum();
        let diagonal: usize = self.diagonal.iter().map(DistCsr::bytes).sum();
        let parts: usize = self.parts.iter().map(Part::bytes).sum();
        let fields = self.fields.bytes() + 4 * self.sorted.of.len();
        parts + diagonal + work.blocks.bytes() + 8 * vectors + fields
    }
    fn notes(&self) -> Vec<String> {
        let parts = self.parts.iter().flat_map(Part::notes);
        self.notes.iter().cloned().chain(parts).collect()
    }
}
