//! What a method is set up for: a matrix, and what else is known about the problem.
use crate::comm::Communicator;
use crate::host::{Alone, Host};
use crate::matrix::{DistCsr, NullSpaces};
use crate::{Error, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Numbers that come along with the rows of a matrix, `width` for each own row.
#[derive(Clone, Debug, PartialEq)]
pub struct Aux {
    /// Numbers a row.
    pub width: usize,
    /// `n_own · width` numbers, row after row.
    pub values: Arc<[f64]>,
}

/// The name of the auxiliary data that hold where each unknown is: [`System::coordinates`].
pub const COORDINATES: &str = "coordinates";
/// The name of the auxiliary data that hold the 0-based column and row of each unknown's node on a grid.
pub const GRID_INDEX: &str = "grid-index";
/// The name of the auxiliary data that hold the coefficient at each unknown: [`System::coefficient`].
pub const COEFFICIENT: &str = "coefficient";
/// The name of the auxiliary data that hold the null space of A: orthonormal vectors, their entries row after
/// row.
pub const NULL_SPACE: &str = "null-space";
/// The name of the auxiliary data that hold vectors that A takes to nearly zero:
/// [`System::near_null_space`].
pub const NEAR_NULL_SPACE: &str = "near-nullspace";
/// The name of the auxiliary data that hold the unknowns of a node, the same number for each row:
/// [`System::block_size`].
pub const BLOCK_SIZE: &str = "block-size";
/// The name of the auxiliary data that hold what counts as symmetric
/// ([`DistCsr::symmetry_tolerance`]): one number, the same for each row.
pub const SYMMETRY_TOLERANCE: &str = "symmetry-tolerance";

/// What is said of the rows, whatever stands in them: it holds for every matrix with the same rows.
const OF_ROWS: [&str; 5] =
    [COORDINATES, GRID_INDEX, NEAR_NULL_SPACE, BLOCK_SIZE, SYMMETRY_TOLERANCE];

/// A matrix with its auxiliary data and the services of the host it lives in. Clones share.
///
/// Auxiliary data have names, those of the constants of this module or others, and come along with the rows
/// that a rank owns. What methods ask for has an accessor: [`coordinates`](System::coordinates),
/// [`near_null_space`](System::near_null_space), [`block_size`](System::block_size),
/// [`coefficient`](System::coefficient).
#[derive(Clone)]
pub struct System {
    a: DistCsr,
    aux: BTreeMap<String, Aux>,
    host: Arc<dyn Host>,
}

impl System {
    /// A matrix, without host services beyond serial loops and without auxiliary data but the null
    /// space that it is known to have.
    pub fn new(a: DistCsr) -> Self {
        let mut system = System { a, aux: BTreeMap::new(), host: Arc::new(Alone) };
        system.know_null_space();
        system
    }

    /// The same system, whose matrix is singular with these null spaces.
    #[must_use]
    pub fn with_null_spaces(self, null: NullSpaces) -> Self {
        let mut system = System { a: self.a.with_null_spaces(null), ..self };
        system.know_null_space();
        system
    }

    fn know_null_space(&mut self) {
        if let Some(null) = self.a.null_spaces().and_then(|null| null.right.as_ref()) {
            let known = Aux { width: null.len(), values: null.by_rows().into() };
            self.aux.insert(NULL_SPACE.to_owned(), known);
        }
    }

    /// The same system, where entries of A count as equal to their mirror images up to this part of the
    /// largest of their row, for solvers and for methods, loaded ones too.
    #[must_use]
    pub fn with_symmetry_tolerance(mut self, tolerance: f64) -> Self {
        let values = vec![tolerance; self.a.n_own()].into();
        self.aux.insert(SYMMETRY_TOLERANCE.to_owned(), Aux { width: 1, values });
        System { a: self.a.with_symmetry_tolerance(tolerance), ..self }
    }

    /// The same system with the services of `host`, whose threads products with A run on, too.
    #[must_use]
    pub fn with_host(self, host: Arc<dyn Host>) -> Self {
        System { a: self.a.with_host(Arc::clone(&host)), host, ..self }
    }

    /// The same system with `width` numbers a row under `name`.
    ///
    /// # Errors
    /// [`Error::Data`] where `values` is not `n_own · width` long, or not what `name` stands for.
    pub fn with_aux(mut self, name: &str, width: usize, values: Vec<f64>) -> Result<Self> {
        if width.checked_mul(self.a.n_own()) != Some(values.len()) {
            return Err(Error::Data(format!(
                "auxiliary data '{name}': {} numbers for {} rows of {width}",
                values.len(),
                self.a.n_own()
            )));
        }
        sound(name, width, &values, self.a.space().start())?;
        if name == SYMMETRY_TOLERANCE
            && let Some(&tolerance) = values.first()
        {
            self.a = self.a.with_symmetry_tolerance(tolerance);
        }
        self.aux.insert(name.to_owned(), Aux { width, values: values.into() });
        Ok(self)
    }

    /// The same system with the place of each own unknown, `dimension` numbers each: 1, 2 or 3.
    ///
    /// # Errors
    /// As [`with_aux`](System::with_aux).
    pub fn with_coordinates(self, dimension: usize, places: Vec<f64>) -> Result<Self> {
        self.with_aux(COORDINATES, dimension, places)
    }

    /// The same system with `count` vectors that A takes to nearly zero (rigid body modes), their own entries
    /// row after row.
    ///
    /// # Errors
    /// As [`with_aux`](System::with_aux).
    pub fn with_near_null_space(self, count: usize, by_rows: Vec<f64>) -> Result<Self> {
        self.with_aux(NEAR_NULL_SPACE, count, by_rows)
    }

    /// The same system, whose nodes have `size` unknowns each, one after the other.
    ///
    /// # Errors
    /// [`Error::Data`] where `size` is 0.
    pub fn with_block_size(self, size: usize) -> Result<Self> {
        if size == 0 {
            return Err(Error::Data("a node has at least one unknown".into()));
        }
        let values = vec![size as f64; self.a.n_own()];
        self.with_aux(BLOCK_SIZE, 1, values)
    }

    /// The matrix.
    pub fn a(&self) -> &DistCsr {
        &self.a
    }
    /// Auxiliary data under `name`.
    pub fn aux(&self, name: &str) -> Option<&Aux> {
        self.aux.get(name)
    }
    /// Where the own unknowns are, where that is known: `width` coordinates each, 1 to 3.
    pub fn coordinates(&self) -> Option<&Aux> {
        self.aux(COORDINATES)
    }
    /// Vectors that A takes to nearly zero, where some are known: `width` of them, their own entries row after
    /// row.
    pub fn near_null_space(&self) -> Option<&Aux> {
        self.aux(NEAR_NULL_SPACE)
    }
    /// The coefficient of the differential equation at the own unknowns, where it is known.
    pub fn coefficient(&self) -> Option<&Aux> {
        self.aux(COEFFICIENT)
    }
    /// Unknowns of a node, one after the other; 1 where nothing is known. Collective: a rank without rows is
    /// told, too.
    ///
    /// # Errors
    /// [`Error::Data`], on all ranks, where ranks have different numbers, or a rank's rows start within a node;
    /// what the communicator reports.
    pub fn block_size(&self) -> Result<usize> {
        let space = self.a.space();
        let known = self.aux(BLOCK_SIZE).and_then(|aux| aux.values.first());
        let mine = known.map_or(u64::from(space.n_own() > 0), |&size| size as u64);
        let all: Vec<u64> = space.comm().all_gather(&[mine])?.iter().map(|size| size[0]).collect();
        let size = all.iter().copied().find(|&size| size > 0).unwrap_or(1);
        if let Some(rank) = all.iter().position(|&other| other > 0 && other != size) {
            let why = format!(
                "the block size is {size}, and {} on rank {rank}: it must be the same",
                all[rank]
            );
            return Err(Error::Data(why));
        }
        match space.starts().iter().find(|&&start| start % size != 0) {
            None => Ok(size as usize),
            Some(row) => Err(Error::Data(format!(
                "the block size is {size}, but global row {row} is not the first of a node, where a rank's \
                 rows end"
            ))),
        }
    }
    /// All auxiliary data, by name.
    pub fn all_aux(&self) -> impl Iterator<Item = (&str, &Aux)> {
        self.aux.iter().map(|(name, aux)| (name.as_str(), aux))
    }
    /// Services of the host.
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }
    /// The same surroundings for a matrix with other rows, without auxiliary data: what a method hands to an
    /// inner method for a part of A.
    #[must_use]
    pub fn for_matrix(&self, a: DistCsr) -> Self {
        let inner = System::new(a).with_host(Arc::clone(&self.host));
        match self.aux(SYMMETRY_TOLERANCE).and_then(|aux| aux.values.first()) {
            Some(&tolerance) => inner.with_symmetry_tolerance(tolerance),
            None => inner,
        }
    }

    /// The same surroundings for another matrix with the same rows: with what is known of these (coordinates,
    /// place on the grid, near null space, block size), without what holds for A alone (null space,
    /// coefficient). Not collective.
    ///
    /// # Errors
    /// [`Error::Data`] where the rows are spread in another way.
    pub fn with_matrix(&self, a: DistCsr) -> Result<Self> {
        if a.space().starts() != self.a.space().starts() {
            let why = "a matrix with other rows than the one whose auxiliary data it should have";
            return Err(Error::Data(why.into()));
        }
        let of_rows = self.aux.iter().filter(|(name, _)| OF_ROWS.contains(&name.as_str()));
        let mut system = self.for_matrix(a);
        system.aux.extend(of_rows.map(|(name, aux)| (name.clone(), aux.clone())));
        Ok(system)
    }

    /// The same surroundings for a part of A, whose rows are the own rows `rows`: with what is known of these,
    /// but not the null space, nor the block size, as some unknowns of a node may be left. Not collective.
    ///
    /// # Errors
    /// [`Error::Data`] where A has no such row, or there are not as many as `part` has.
    pub fn with_part(&self, part: DistCsr, rows: &[u32]) -> Result<Self> {
        if rows.len() != part.n_own() || rows.iter().any(|&i| i as usize >= self.a.n_own()) {
            return Err(Error::Data(
                "a part of a matrix with rows that the matrix does not have".into(),
            ));
        }
        let known = [COORDINATES, GRID_INDEX, COEFFICIENT, NEAR_NULL_SPACE].into_iter();
        let mut known = known.filter_map(|name| Some((name, self.aux(name)?)));
        known.try_fold(self.for_matrix(part), |system, (name, aux)| {
            let row = |&i: &u32| &aux.values[i as usize * aux.width..][..aux.width];
            let values = rows.iter().flat_map(row).copied().collect();
            system.with_aux(name, aux.width, values)
        })
    }

    /// The same system, made regular where its null space is known (auxiliary data `null-space`): as
    /// many diagonal entries as that has vectors are doubled, in rows that tell the vectors apart. What
    /// factorisations, and all that solve with parts of A, start from. Collective where a null space is
    /// known.
    ///
    /// Solutions with the changed matrix Ã are solutions with A: where Lᵀ r = 0 for the left null
    /// space, Ã z = r makes Lᵀ (Ã − A) z = 0, so that z is zero in the rows that were changed. A
    /// positive semidefinite A becomes positive definite.
    ///
    /// # Errors
    /// [`Error::Data`] for a null space that rows with a diagonal entry do not tell apart; what the
    /// communicator reports.
    pub fn regular(&self) -> Result<Cow<'_, System>> {
        let Some(null) = self.aux(NULL_SPACE).filter(|null| null.width > 0) else {
            return Ok(Cow::Borrowed(self));
        };
        let rows = telling_rows(&self.a, null)?;
        let own = self.a.own().view();
        let mut values = own.values.to_vec();
        for i in rows {
            if let Ok(at) = own.row_cols(i).binary_search(&(i as u32)) {
                values[own.range(i).start + at] *= 2.0;
            }
        }
        let a = self.a.with_values(values, self.a.ghost().view().values.to_vec())?;
        let mut regular = System { a, ..self.clone() };
        regular.aux.remove(NULL_SPACE);
        Ok(Cow::Owned(regular))
    }
}

/// Refuses values that cannot be what auxiliary data of that name are; `start` is the first own row.
fn sound(name: &str, width: usize, values: &[f64], start: u64) -> Result<()> {
    let refuse = |why: String| Err(Error::Data(format!("auxiliary data '{name}': {why}")));
    let row = |k: usize| start + (k / width) as u64;
    match name {
        COORDINATES if !(1..=3).contains(&width) => {
            return refuse(format!("{width} coordinates a row; there are 1, 2 or 3"));
        }
        NEAR_NULL_SPACE if width == 0 => return refuse("not one vector".into()),
        BLOCK_SIZE if width != 1 => return refuse(format!("{width} numbers a row, not one")),
        BLOCK_SIZE => {
            let whole = |v: f64| v >= 1.0 && v.fract() == 0.0 && v <= f64::from(u32::MAX);
            if let Some(k) = values.iter().position(|&v| !whole(v) || v != values[0]) {
                let why = "is not the whole number, 1 or more, that all rows have";
                return refuse(format!("{} in global row {} {why}", values[k], row(k)));
            }
        }
        _ => {}
    }
    let finite = [COORDINATES, NEAR_NULL_SPACE].contains(&name);
    match values.iter().position(|v| finite && !v.is_finite()) {
        Some(k) => refuse(format!("{} in global row {}", values[k], row(k))),
        None => Ok(()),
    }
}

/// Names the first own row without a diagonal entry in which the null space is not zero.
fn without_diagonal(a: &DistCsr, null: &Aux) -> Result<()> {
    let rows = null.values.chunks_exact(null.width).enumerate();
    let found = rows.filter(|(i, row)| a.diagonal(*i) == 0.0 && row.iter().any(|v| *v != 0.0));
    match found.map(|(i, _)| a.global_row(i)).next() {
        None => Ok(()),
        Some(row) => {
            let why = "A is singular, and nothing on the diagonal of this row could be made larger";
            Err(Error::breakdown(row, why))
        }
    }
}

/// Rows with less than this part of the largest are not chosen.
const LARGE: f64 = 0.5;

/// Own rows among as many as the null space has vectors, in which these are linearly independent: the
/// last row whose part orthogonal to those of the rows before is large, again and again. Collective.
fn telling_rows(a: &DistCsr, null: &Aux) -> Result<Vec<usize>> {
    let (width, comm) = (null.width, a.space().comm());
    let mut rest = null.values.to_vec();
    for (i, row) in rest.chunks_exact_mut(width).enumerate() {
        if a.diagonal(i) == 0.0 {
            row.fill(0.0);
        }
    }
    let mut mine = Vec::new();
    for _ in 0..width {
        let sizes = || rest.chunks_exact(width).map(|row| row.iter().map(|v| v * v).sum::<f64>());
        let mut largest = [sizes().fold(0.0, f64::max)];
        comm.max(&mut largest)?;
        if largest[0] <= f64::MIN_POSITIVE {
            comm.agree_first(without_diagonal(a, null))?;
            return Err(Error::Data(format!(
                "the null space has {width} vectors that A's rows with a diagonal entry do not tell \
                 apart"
            )));
        }
        let last = sizes().enumerate().rfind(|(_, size)| *size >= LARGE * largest[0]);
        let words = last.map_or(Vec::new(), |(i, _)| {
            rest[i * width..(i + 1) * width].iter().map(|v| v.to_bits()).collect()
        });
        let all = comm.all_gather(&words)?;
        let chosen = all.iter().rposition(|words| !words.is_empty());
        let Some(rank) = chosen else { continue };
        if let Some((i, _)) = last.filter(|_| rank == comm.rank()) {
            mine.push(i);
        }
        let direction: Vec<f64> = all[rank].iter().map(|&bits| f64::from_bits(bits)).collect();
        let square: f64 = direction.iter().map(|v| v * v).sum();
        for row in rest.chunks_exact_mut(width) {
            let dot: f64 = row.iter().zip(&direction).map(|(r, d)| r * d).sum();
            row.iter_mut().zip(&direction).for_each(|(r, d)| *r -= dot / square * d);
        }
    }
    Ok(mine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Csr;

    fn diagonal(n: usize) -> DistCsr {
        let cols = (0..n as u32).collect();
        let a = Csr::new(n, (0..=n as u32).collect(), cols, vec![2.0; n]).expect("a matrix");
        DistCsr::solo(a).expect("square")
    }

    /// Four unknowns of two nodes, with all that may be known of them.
    fn known() -> System {
        let system = System::new(diagonal(4)).with_block_size(2).expect("two");
        let system = system.with_coordinates(1, vec![0.0, 0.0, 1.0, 1.0]).expect("places");
        let system = system.with_near_null_space(1, vec![1.0, 2.0, 3.0, 4.0]).expect("a vector");
        let system = system.with_aux(COEFFICIENT, 1, vec![5.0; 4]).expect("numbers");
        let system = system.with_aux(NULL_SPACE, 1, vec![0.5; 4]).expect("a vector");
        system.with_symmetry_tolerance(1e-3)
    }

    fn names(system: &System) -> Vec<&str> {
        system.all_aux().map(|(name, _)| name).collect()
    }

    #[test]
    fn another_matrix_with_the_same_rows_keeps_what_is_known_of_rows() {
        let other = known().with_matrix(diagonal(4)).expect("the same rows");
        assert_eq!(names(&other), [BLOCK_SIZE, COORDINATES, NEAR_NULL_SPACE, SYMMETRY_TOLERANCE]);
        assert_eq!(other.block_size(), Ok(2));
        assert!(known().with_matrix(diagonal(3)).is_err());
        assert_eq!(names(&known().for_matrix(diagonal(4))), [SYMMETRY_TOLERANCE]);
    }

    #[test]
    fn a_part_keeps_what_is_known_of_its_rows() {
        let part = known().with_part(diagonal(2), &[1, 2]).expect("two rows");
        assert_eq!(names(&part), [COEFFICIENT, COORDINATES, NEAR_NULL_SPACE, SYMMETRY_TOLERANCE]);
        assert_eq!(*part.coordinates().expect("places").values, [0.0, 1.0]);
        assert_eq!(*part.near_null_space().expect("a vector").values, [2.0, 3.0]);
        assert!(known().with_part(diagonal(2), &[1, 4]).is_err());
        assert!(known().with_part(diagonal(2), &[1]).is_err());
    }
}
