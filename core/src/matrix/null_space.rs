//! Null spaces of singular matrices, and projections off them.
//!
//! For a singular A the system A x = b has solutions only where b is orthogonal to the left null
//! space (Aᵀ n = 0), and then as many as the right one (A n = 0) has vectors. With orthonormal bases N
//! and L of the two, solvers work on (I − L Lᵀ) A x = (I − L Lᵀ) b with all iterates orthogonal to N:
//! a regular system, whose solution is the least-squares solution of the given one with the smallest
//! norm. For symmetric A both null spaces are the same.
//!
//! A basis vector stores the rows where it is not zero, so that the constants on many parts of a
//! matrix take no more room than one vector. Cost of a projection: 4 flops an entry and one
//! reduction.
//!
//! Reference: Å. Björck, *Numerical Methods for Least Squares Problems*, SIAM 1996, §1.1; PETSc's
//! `MatNullSpace` is the same idea.
use super::space::{add_up, total};
use super::{DistCsr, Space, dot_local};
use crate::comm::Communicator;
use crate::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// A vector that keeps less than this of its length when those before it are taken out depends on
/// them.
const DEPENDENT: f64 = 1e-10;

/// Orthonormal vectors, spread like the rows of a matrix; an immutable shared handle.
#[derive(Clone)]
pub struct NullSpace {
    space: Arc<Space>,
    basis: Arc<[Part]>,
    work: Arc<Mutex<ReductionRoom>>,
    name: Arc<str>,
}

/// What this rank owns of a basis vector.
struct Part {
    /// Own rows where it is not zero; none: all of them.
    rows: Option<Vec<u32>>,
    values: Vec<f64>,
}

/// Room for a reduction.
struct ReductionRoom {
    mine: Vec<f64>,
    all: Vec<f64>,
    sums: Vec<f64>,
}

impl std::fmt::Debug for NullSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NullSpace({} vectors: {})", self.len(), self.name)
    }
}

impl NullSpace {
    /// The constant vector. Not collective.
    ///
    /// # Errors
    /// [`Error::Data`] for a space without rows.
    pub fn constant(space: &Arc<Space>) -> Result<Self> {
        if space.n_global() == 0 {
            return Err(Error::Data("a matrix without rows has no null space".into()));
        }
        let value = 1.0 / (space.n_global() as f64).sqrt();
        let part = Part { rows: None, values: vec![value; space.n_own()] };
        Ok(Self::of_parts(space, vec![part], "the constant vector"))
    }

    /// What `vectors` (own entries) span, called `name`. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] on all ranks, naming the first vector that is of the wrong length, not finite,
    /// zero, or that depends on those before it; where there is none.
    pub fn new(space: &Arc<Space>, vectors: Vec<Vec<f64>>, name: &str) -> Result<Self> {
        let refuse =
            |k: usize, why: &str| Error::Data(format!("vector {} of the null space {why}", k + 1));
        let mut mine = match vectors.is_empty() {
            true => Err(Error::Data("a null space needs at least one vector".into())),
            false => Ok(()),
        };
        for (k, v) in vectors.iter().enumerate() {
            if v.len() != space.n_own() {
                mine = mine.and(Err(refuse(k, &format!("has {} entries", v.len()))));
            } else if let Some(i) = v.iter().position(|v| !v.is_finite()) {
                let row = space.start() + i as u64;
                mine = mine.and(Err(refuse(k, &format!("is {} in global row {row}", v[i]))));
            }
        }
        space.comm().agree(mine)?;
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(vectors.len());
        for (k, mut v) in vectors.into_iter().enumerate() {
            let mut largest = [v.iter().fold(0.0, |m: f64, v| m.max(v.abs()))];
            space.comm().max(&mut largest)?;
            if largest[0] == 0.0 {
                return Err(refuse(k, "is zero"));
            }
            v.iter_mut().for_each(|v| *v /= largest[0]);
            let before = space.norm(&v)?;
            // Twice is enough to be orthogonal to rounding.
            for _ in 0..2 {
                for q in &basis {
                    let [dot] = space.dots([(q, &v)])?;
                    v.iter_mut().zip(q).for_each(|(v, q)| *v -= dot * q);
                }
            }
            let norm = space.norm(&v)?;
            if norm <= DEPENDENT * before {
                return Err(refuse(k, "depends on those before it"));
            }
            v.iter_mut().for_each(|v| *v /= norm);
            basis.push(v);
        }
        let parts = basis.into_iter().map(|values| Part { rows: None, values });
        Ok(Self::of_parts(space, parts.collect(), name))
    }

    /// The constants on parts of the rows that have none in common: of each part the own rows, and
    /// how many it has on all ranks. Not collective; all ranks give the same parts.
    pub(super) fn of_indicators(
        space: &Arc<Space>,
        parts: Vec<(Vec<u32>, u64)>,
        name: &str,
    ) -> Self {
        let part = |(rows, size): (Vec<u32>, u64)| {
            let values = vec![1.0 / (size as f64).sqrt(); rows.len()];
            Part { rows: Some(rows), values }
        };
        Self::of_parts(space, parts.into_iter().map(part).collect(), name)
    }

    fn of_parts(space: &Arc<Space>, basis: Vec<Part>, name: &str) -> Self {
        let (k, size) = (basis.len(), space.comm().size());
        let reduced = if size == 1 { 0 } else { 2 * k };
        let work = ReductionRoom {
            mine: vec![0.0; reduced],
            all: vec![0.0; reduced * size],
            sums: vec![0.0; k],
        };
        let (space, work) = (Arc::clone(space), Arc::new(Mutex::new(work)));
        NullSpace { space, basis: basis.into(), work, name: name.into() }
    }

    /// How many vectors span it; at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.basis.len()
    }

    /// What it is, in words.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Own entries of basis vector `k`.
    ///
    /// # Panics
    /// If there is no such vector.
    pub fn vector(&self, k: usize) -> Vec<f64> {
        let Part { rows, values } = &self.basis[k];
        let Some(rows) = rows else { return values.clone() };
        let mut v = vec![0.0; self.space.n_own()];
        rows.iter().zip(values).for_each(|(&i, &value)| v[i as usize] = value);
        v
    }

    /// The entries of all basis vectors, row after row: what the auxiliary data `null-space` of a
    /// [`System`](crate::system::System) is.
    pub fn by_rows(&self) -> Vec<f64> {
        let k = self.len();
        let mut all = vec![0.0; k * self.space.n_own()];
        for j in 0..k {
            for (i, value) in self.vector(j).into_iter().enumerate() {
                all[i * k + j] = value;
            }
        }
        all
    }

    /// `x ← (I − N Nᵀ) x`, and the norm of what was taken away. An x that is not finite is left as it
    /// is, and NaN returned. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// Where `x` does not have an entry for each own row.
    pub fn remove(&self, x: &mut [f64]) -> Result<f64> {
        assert_eq!(x.len(), self.space.n_own(), "a vector of own entries");
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let ReductionRoom { mine, all, sums } = &mut *work;
        let comm = self.space.comm();
        if comm.size() == 1 {
            for (sum, part) in sums.iter_mut().zip(&*self.basis) {
                *sum = total([part.dot(x)]);
            }
        } else {
            for (sum, part) in mine.chunks_exact_mut(2).zip(&*self.basis) {
                sum.copy_from_slice(&part.dot(x));
            }
            comm.gather_f64(mine, all)?;
            let ranks = all.chunks_exact(2 * self.basis.len());
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = total(ranks.clone().map(|r| [r[2 * k], r[2 * k + 1]]));
            }
        }
        if !sums.iter().all(|sum| sum.is_finite()) {
            return Ok(f64::NAN);
        }
        for (&sum, part) in sums.iter().zip(&*self.basis) {
            part.subtract(sum, x);
        }
        Ok(sums.iter().fold(0.0, |norm: f64, sum| norm.hypot(*sum)))
    }

    /// max |A n| ÷ |A||n| over the rows of A and the vectors n: zero to rounding for a null space of
    /// A. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// Where A has other rows.
    pub fn defect(&self, a: &DistCsr) -> Result<f64> {
        let mut ghost = vec![0.0; a.ghost_ids().len()];
        let mut worst = [0.0];
        for k in 0..self.len() {
            let v = self.vector(k);
            let token = a.exchange_start(&v)?;
            a.exchange_finish(token, &mut ghost)?;
            let (own, other) = (a.own().view(), a.ghost().view());
            // Relative to the largest row: a row where n is all but zero says nothing.
            let (mut off, mut size) = (0.0f64, 0.0f64);
            for i in 0..a.n_own() {
                let here = own.row(i).map(|(j, w)| w * v[j]);
                let there = other.row(i).map(|(j, w)| w * ghost[j]);
                let (sum, abs) = here
                    .chain(there)
                    .fold((0.0, 0.0), |(sum, abs): (f64, f64), w| (sum + w, abs + w.abs()));
                (off, size) = (off.max(sum.abs()), size.max(abs));
            }
            let mut both = [off, size];
            a.space().comm().max(&mut both)?;
            if both[0] > 0.0 {
                worst[0] = f64::max(worst[0], both[0] / both[1]);
            }
        }
        Ok(worst[0])
    }
}

impl Part {
    /// Its inner product with `x`, as an unevaluated sum.
    fn dot(&self, x: &[f64]) -> [f64; 2] {
        const LENGTH: usize = 256;
        let Some(rows) = &self.rows else { return dot_local(&self.values, x) };
        let mut there = [0.0; LENGTH];
        add_up(rows.chunks(LENGTH).zip(self.values.chunks(LENGTH)).map(|(rows, values)| {
            for (there, &i) in there.iter_mut().zip(rows) {
                *there = x[i as usize];
            }
            dot_local(values, &there[..rows.len()])
        }))
    }

    /// `x ← x − factor · this`.
    fn subtract(&self, factor: f64, x: &mut [f64]) {
        match &self.rows {
            None => x.iter_mut().zip(&self.values).for_each(|(x, v)| *x -= factor * v),
            Some(rows) => {
                for (&i, v) in rows.iter().zip(&self.values) {
                    x[i as usize] -= factor * v;
                }
            }
        }
    }
}

/// The null spaces of a singular matrix, as far as they are known.
///
/// Solvers take what lies in the right one out of all iterates, and what lies in the left one out of
/// the right-hand side and out of products with A.
#[derive(Clone, Debug)]
pub struct NullSpaces {
    /// Vectors n with A n = 0.
    pub right: Option<NullSpace>,
    /// Vectors n with Aᵀ n = 0.
    pub left: Option<NullSpace>,
}

impl NullSpaces {
    /// Both the same: of a symmetric A.
    pub fn symmetric(null: NullSpace) -> Self {
        NullSpaces { left: Some(null.clone()), right: Some(null) }
    }

    /// What it is, in words.
    pub fn name(&self) -> String {
        match (&self.right, &self.left) {
            (Some(right), Some(left)) if Arc::ptr_eq(&right.basis, &left.basis) => {
                right.name().to_owned()
            }
            (Some(right), Some(left)) => format!("{}, left: {}", right.name(), left.name()),
            (Some(right), None) => format!("{}, the left one is not known", right.name()),
            (None, Some(left)) => format!("left: {}", left.name()),
            (None, None) => "none".to_owned(),
        }
    }

    /// Whether both are one and the same.
    pub fn is_symmetric(&self) -> bool {
        match (&self.right, &self.left) {
            (Some(right), Some(left)) => Arc::ptr_eq(&right.basis, &left.basis),
            _ => false,
        }
    }
}
