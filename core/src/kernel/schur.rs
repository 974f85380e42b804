//! The Schur complement of one field in another, with a diagonal matrix for the inverse in it.
//!
//! S = A₁₁ − A₁₀ D⁻¹ A₀₁, where D is the diagonal of A₀₀ or its lumped rows: exact where A₀₀ is diagonal,
//! spectrally equivalent to the true one where D is to A₀₀ (mass matrices), and still useful for
//! incompressible flow on meshes that are not too fine.
//!
//! Cost: one round fetches the rows of the first field that own rows of the second point to, another the
//! fields of the columns there; then as many products as A₁₀ A₀₁ has. The entries have the same bits
//! on any number of ranks.
//!
//! Reference: M. Benzi, G. H. Golub, J. Liesen, *Numerical solution of saddle point problems*, Acta
//! Numerica 14 (2005), §10.1.
use super::remote;
use super::split::{Fields, Place};
use crate::matrix::DistCsr;
use crate::{Error, Result};
use std::collections::HashMap;

/// What stands for the inverse of A on the first field in its Schur complement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inverse {
    /// One over its diagonal.
    Diagonal,
    /// One over the sums of the absolute values of its rows, with the sign of the diagonal.
    Lumped,
}

/// Products that a rank may form for each entry of its rows of A, at least a million in all.
const PRODUCTS: usize = 1000;

/// A row of the first field: what stands for its diagonal entry, and its entries in the second field by
/// their numbers there.
struct Reduced {
    weight: f64,
    entries: Vec<(u64, f64)>,
}

/// Where the rows are that own rows, and rows fetched for them, have entries in.
struct Known<'a> {
    fields: &'a Fields,
    start: u64,
    others: HashMap<u64, Place>,
}

impl Known<'_> {
    fn place(&self, id: u64) -> Place {
        let own = id.wrapping_sub(self.start) as usize;
        self.fields.places().get(own).copied().unwrap_or_else(|| self.others[&id])
    }

    fn reduced(
        &self,
        id: u64,
        row: impl Iterator<Item = (u64, f64)>,
        [first, second]: [usize; 2],
        inverse: Inverse,
    ) -> Reduced {
        let (mut diagonal, mut sum, mut entries) = (0.0, 0.0, Vec::new());
        for (col, v) in row {
            let place = self.place(col);
            if col == id {
                diagonal = v;
            }
            if place.field as usize == first {
                sum += f64::abs(v);
            } else if place.field as usize == second {
                entries.push((place.number, v));
            }
        }
        let weight = match inverse {
            Inverse::Diagonal => diagonal,
            Inverse::Lumped => f64::copysign(sum, diagonal),
        };
        Reduced { weight, entries }
    }
}

/// The Schur complement A₁₁ − A₁₀ D⁻¹ A₀₁; 0 and 1 are the fields of `pair`. Collective.
///
/// # Errors
/// [`Error::Breakdown`] naming the row where D is zero or not finite; [`Error::Unsupported`] where the
/// product takes much more work than A has entries; what the communicator reports.
pub fn complement(
    a: &DistCsr,
    fields: &Fields,
    pair: [usize; 2],
    inverse: Inverse,
) -> Result<DistCsr> {
    let [first, second] = pair;
    let ghosts = a.ghost_ids().iter().copied().zip(fields.ghosts().iter().copied());
    let start = a.space().start();
    let mut known = Known { fields, start, others: ghosts.collect() };
    // Own rows first: who owns a row at fault is the one to say so.
    let mut rows: HashMap<u64, Reduced> = HashMap::new();
    for &i in fields.rows(first) {
        let id = a.global_row(i as usize);
        let row = known.reduced(id, a.global_entries(i as usize), pair, inverse);
        if row.weight == 0.0 || !row.weight.is_finite() {
            let why = format_args!(
                "the diagonal entry is {} in the first of the two fields, where the Schur complement \
                 divides by it; name the field with a zero block last",
                row.weight
            );
            return Err(Error::breakdown(id, why));
        }
        rows.insert(id, row);
    }
    let theirs = remote::fetch(a, &wanted(a, fields, pair))?;
    let is_own = |id: u64| id.wrapping_sub(start) < a.n_own() as u64;
    let mut unknown: Vec<u64> = theirs.cols.iter().copied().filter(|&id| !is_own(id)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    let places = fields.places_of(&unknown)?;
    known.others.extend(unknown.into_iter().zip(places));
    for (k, &id) in theirs.ids.iter().enumerate() {
        let range = theirs.row_ptr[k]..theirs.row_ptr[k + 1];
        let row = theirs.cols[range.clone()].iter().copied().zip(theirs.values[range].to_vec());
        rows.insert(id, known.reduced(id, row, pair, inverse));
    }
    let limit = (PRODUCTS * a.nnz_own()).max(1 << 20);
    let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
    let (mut row, mut products) = (Vec::new(), 0);
    for &i in fields.rows(second) {
        row.clear();
        for (id, v) in a.global_entries(i as usize) {
            let place = known.place(id);
            if place.field as usize == second {
                row.push((place.number, v));
            } else if let Some(Reduced { weight, entries }) = rows.get(&id) {
                products += entries.len();
                row.extend(entries.iter().map(|&(number, w)| (number, -v / weight * w)));
            }
            if products > limit {
                return Err(Error::Unsupported(format!(
                    "global row {}: the Schur complement takes more than {limit} products on this \
                     rank; approximate it by \"a11\", or give a 'matrix'",
                    a.global_row(i as usize)
                )));
            }
        }
        // Stable: what adds up to an entry keeps its order.
        row.sort_by_key(|entry| entry.0);
        for entries in row.chunk_by(|x, y| x.0 == y.0) {
            cols.push(entries[0].0);
            values.push(entries.iter().map(|entry| entry.1).sum());
        }
        row_ptr.push(u32::try_from(cols.len()).map_err(|_| remote::too_many())?);
    }
    DistCsr::from_rows(fields.space(second), &row_ptr, &cols, &values)
}

/// The rows of the first field that own rows of the second one point to and others own, increasing.
fn wanted(a: &DistCsr, fields: &Fields, [first, second]: [usize; 2]) -> Vec<u64> {
    let ghost = a.ghost().view();
    let mut reached = vec![false; a.ghost_ids().len()];
    for &i in fields.rows(second) {
        ghost.row(i as usize).for_each(|(j, _)| reached[j] = true);
    }
    let in_first = |j: &usize| reached[*j] && fields.ghosts()[*j].field as usize == first;
    (0..reached.len()).filter(in_first).map(|j| a.ghost_ids()[j]).collect()
}
