//! What PETSc tells of a matrix beside its entries, as auxiliary data of a system: `null-space`
//! (`MatSetNullSpace`, or the constants where rows add up to zero), `near-nullspace`
//! (`MatSetNearNullSpace`), `block-size` (`MatSetBlockSize`) and `coordinates` (`PCSetCoordinates`).
use super::callback::Done;
use crate::api::{Api, Bool, IntCell, RawMat, RawNullSpace, slice};
use precondor_core::matrix::{NullSpace, NullSpaces};
use precondor_core::system::{NULL_SPACE, System};
use precondor_core::{Error, Result};
use std::ptr::{null, null_mut};

/// Where the nodes of this process are, as `PCSetCoordinates` tells.
#[derive(Clone)]
pub(super) struct Places {
    pub(super) dimension: usize,
    /// `dimension` numbers a node.
    pub(super) values: Vec<f64>,
}

impl Places {
    /// The system, whose nodes have so many unknowns each, with the coordinates of its unknowns: `PCSetCoordinates`
    /// may have had a place for each of them, too.
    fn describe(&self, system: System, unknowns: usize) -> Result<System> {
        let (n, dimension) = (system.a().n_own(), self.dimension.max(1));
        let nodes = self.values.len() / dimension;
        let times = match nodes {
            nodes if nodes == n => 1,
            nodes if nodes * unknowns == n => unknowns,
            nodes => {
                return Err(Error::Data(format!(
                    "PCSetCoordinates was given {nodes} nodes of this process; its rows of the matrix are {} \
                     nodes of {unknowns} unknowns",
                    n / unknowns
                )));
            }
        };
        let repeat = |place| std::iter::repeat_n(place, times).flatten();
        let values = self.values.chunks_exact(dimension).flat_map(repeat).copied().collect();
        system.with_coordinates(self.dimension, values)
    }
}

/// What the matrix knows; the same kinds of things on all ranks.
#[derive(Default)]
pub(super) struct Known {
    null: Option<Vectors>,
    near: Option<Vectors>,
    block_size: usize,
    places: Option<Places>,
}

/// Vectors that span a space: own entries, and whether the constant is one more.
struct Vectors {
    constant: bool,
    vectors: Vec<Vec<f64>>,
}

impl Known {
    /// What `p` knows, and what the PC was told.
    ///
    /// # Safety
    /// `p` is null or a live matrix.
    pub(super) unsafe fn of(api: &Api, p: RawMat, places: Option<Places>) -> Done<Known> {
        if p.is_null() {
            return Ok(Known { block_size: 1, ..Known::default() });
        }
        let (mut exact, mut near) = (null_mut(), null_mut());
        let mut size = IntCell::default();
        // SAFETY: the caller's promise; what is lent stays alive with the matrix.
        unsafe {
            api.MatGetNullSpace(p, &mut exact)?;
            api.MatGetNearNullSpace(p, &mut near)?;
            api.MatGetBlockSize(p, &mut size)?;
            Ok(Known {
                null: Vectors::of(api, exact)?,
                near: Vectors::of(api, near)?,
                block_size: api.int(size).max(1) as usize,
                places,
            })
        }
    }

    /// The system with what is known of it. Collective.
    pub(super) fn describe(&self, system: System) -> Result<System> {
        let n = system.a().n_own();
        let system = match self.block_size {
            size @ 2.. => system.with_block_size(size)?,
            _ => system,
        };
        let system = match &self.places {
            Some(places) => places.describe(system, self.block_size)?,
            None => system,
        };
        let system = match &self.near {
            Some(near) => {
                let (width, values) = near.by_rows(n);
                system.with_near_null_space(width, values)?
            }
            None => system,
        };
        let null = match &self.null {
            Some(Vectors { constant: true, vectors }) if vectors.is_empty() => {
                Some(NullSpace::constant(system.a().space())?)
            }
            Some(given) => {
                let ones = given.constant.then(|| vec![1.0; n]);
                let all = ones.into_iter().chain(given.vectors.iter().cloned()).collect();
                Some(NullSpace::new(system.a().space(), all, "that of the Mat")?)
            }
            None => NullSpaces::find(system.a())?.and_then(|found| found.right),
        };
        match null {
            Some(null) => system.with_aux(NULL_SPACE, null.len(), null.by_rows()),
            None => Ok(system),
        }
    }
}

impl Vectors {
    /// # Safety
    /// `space` is null or a live null space.
    unsafe fn of(api: &Api, space: RawNullSpace) -> Done<Option<Vectors>> {
        if space.is_null() {
            return Ok(None);
        }
        let (mut constant, mut count, mut at) = (Bool::default(), IntCell::default(), null());
        let mut vectors = Vec::new();
        // SAFETY: the caller's promise; as many vectors as PETSc says, whose entries go back.
        unsafe {
            api.MatNullSpaceGetVecs(space, &mut constant, &mut count, &mut at)?;
            for &x in slice(at, api.int(count).max(0) as usize) {
                let (mut n, mut values) = (IntCell::default(), null());
                api.VecGetLocalSize(x, &mut n)?;
                api.VecGetArrayRead(x, &mut values)?;
                vectors.push(slice(values, api.int(n) as usize).to_vec());
                api.VecRestoreArrayRead(x, &mut values)?;
            }
        }
        let constant = constant.get();
        Ok((constant || !vectors.is_empty()).then_some(Vectors { constant, vectors }))
    }

    /// The entries of all of them, the constant first, row after row; and how many there are.
    fn by_rows(&self, n: usize) -> (usize, Vec<f64>) {
        let width = usize::from(self.constant) + self.vectors.len();
        let row = |i: usize| {
            let one = self.constant.then_some(1.0);
            one.into_iter().chain(self.vectors.iter().filter_map(move |v| v.get(i).copied()))
        };
        (width, (0..n).flat_map(row).collect())
    }
}
