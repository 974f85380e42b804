//! What a DMDA says about the grid: its size, where its nodes are, and whether its numbering is the one
//! that structured methods understand.
//!
//! Node (i, j) of a grid of `mx` by `my` is row `j·mx + i` to these methods. A DMDA numbers the nodes of
//! one process after those of the one before: the same, where the grid is cut into rows of nodes only.
use super::callback::Done;
use crate::api::{Api, Bool, IntCell, RawDm, RawMat, RawPc, slice};
use precondor_core::system::{GRID_INDEX, System};
use precondor_core::{Error, Result};
use std::ptr::{null, null_mut};

/// A DMDA.
pub(super) struct Dmda {
    /// Nodes in each direction, 1 beyond the dimension.
    nodes: [usize; 3],
    /// Dimensions.
    dimension: usize,
    /// Unknowns of each node.
    unknowns: usize,
    /// Nodes of each process, for each direction.
    cuts: [Vec<usize>; 3],
    /// The first node of this process and its numbers of nodes.
    corner: ([usize; 3], [usize; 3]),
    /// Coordinates of the own nodes, where they were set.
    coordinates: Vec<f64>,
}

impl Dmda {
    /// The DMDA of a PC or of its matrix.
    ///
    /// # Safety
    /// `pc` is live; `p` is null or live.
    pub(super) unsafe fn of(api: &Api, pc: RawPc, p: RawMat) -> Done<Option<Dmda>> {
        // SAFETY: the caller's promise; a discretisation that is lent stays alive with its owner.
        unsafe {
            let mut dm: RawDm = null_mut();
            api.PCGetDM(pc, &mut dm)?;
            if dm.is_null() && !p.is_null() {
                api.MatGetDM(p, &mut dm)?;
            }
            let mut is_da = Bool::default();
            if !dm.is_null() {
                api.PetscObjectTypeCompare(dm.cast(), c"da".as_ptr(), &mut is_da)?;
            }
            if !is_da.get() {
                return Ok(None);
            }
            Self::read(api, dm).map(Some)
        }
    }

    /// # Safety
    /// `dm` is a live DMDA.
    unsafe fn read(api: &Api, dm: RawDm) -> Done<Dmda> {
        let number = |cell: IntCell| api.int(cell) as usize;
        let mut cells = [IntCell::default(); 9];
        let [dim, m, n, p, ranks_m, ranks_n, ranks_p, unknowns, stencil] = &mut cells;
        // SAFETY: the caller's promise; arrays have as many numbers as there are processes.
        unsafe {
            let none = null_mut();
            api.DMDAGetInfo(
                dm, dim, m, n, p, ranks_m, ranks_n, ranks_p, unknowns, stencil, none, none, none,
                none,
            )?;
            let [dimension, m, n, p, ranks_m, ranks_n, ranks_p, unknowns, _] = cells.map(number);
            let mut cuts = [null(); 3];
            let [x, y, z] = &mut cuts;
            api.DMDAGetOwnershipRanges(dm, x, y, z)?;
            let ranks = [ranks_m, ranks_n, ranks_p];
            let cuts = std::array::from_fn(|k| match cuts[k].is_null() {
                true => vec![1],
                false => api.ints(cuts[k], ranks[k].max(1)).iter().map(|c| c as usize).collect(),
            });
            let mut corner = [IntCell::default(); 6];
            let [x, y, z, w, h, d] = &mut corner;
            api.DMDAGetCorners(dm, x, y, z, w, h, d)?;
            let [x, y, z, w, h, d] = corner.map(number);
            let coordinates = Self::coordinates(api, dm)?;
            let (nodes, corner) = ([m, n, p].map(|n| n.max(1)), ([x, y, z], [w, h, d]));
            let unknowns = unknowns.max(1);
            Ok(Dmda { nodes, dimension, unknowns, cuts, corner, coordinates })
        }
    }

    /// # Safety
    /// `dm` is a live DMDA.
    unsafe fn coordinates(api: &Api, dm: RawDm) -> Done<Vec<f64>> {
        let (mut x, mut n, mut values) = (null_mut(), IntCell::default(), null());
        // SAFETY: the caller's promise; what is borrowed goes back.
        unsafe {
            api.DMGetCoordinates(dm, &mut x)?;
            if x.is_null() {
                return Ok(vec![]);
            }
            api.VecGetLocalSize(x, &mut n)?;
            api.VecGetArrayRead(x, &mut values)?;
            let copy = slice(values, api.int(n) as usize).to_vec();
            api.VecRestoreArrayRead(x, &mut values)?;
            Ok(copy)
        }
    }

    /// Nodes of this process.
    fn own(&self) -> usize {
        self.corner.1.iter().product()
    }

    /// Whether the rows of the matrix are the unknowns of the nodes: on a coarse level they are not.
    pub(super) fn fits(&self, system: &System) -> bool {
        let (a, all) = (system.a(), self.nodes.iter().product::<usize>());
        [self.own(), all].map(|nodes| (nodes * self.unknowns) as u64)
            == [a.n_own() as u64, a.n_global()]
    }

    /// Whether each node has one unknown.
    pub(super) fn is_scalar(&self) -> bool {
        self.unknowns == 1
    }

    /// The grid for methods that work on one of two dimensions.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first row that is another node than these methods take it for.
    /// The same on all ranks.
    pub(super) fn natural(&self) -> Result<[usize; 2]> {
        let [mx, my, mz] = self.nodes;
        if mz > 1 {
            return Err(Error::Unsupported(format!(
                "global row 0 does not fit a grid of two dimensions: the DMDA has {mx} by {my} by {mz} \
                 nodes"
            )));
        }
        let [x, y, _] = &self.cuts;
        if x.len() == 1 || my == 1 {
            return Ok([mx, my]);
        }
        // The first process has x[0] by y[0] nodes. Where it has several rows of them, its second is
        // numbered before the rest of the first; else the whole first row comes in order.
        let before: usize = y.iter().take_while(|&&height| height == 1).sum::<usize>() * mx;
        let row = before + x[0];
        Err(Error::Unsupported(format!(
            "global row {row} does not fit a grid of {mx} by {my} nodes numbered row by row: the DMDA is \
             cut into {} by {} processes, and PETSc numbers each part for itself; cut it into rows \
             (-da_processors_x 1)",
            x.len(),
            y.len()
        )))
    }

    /// The system with what is known of its nodes, for each of their unknowns: `grid-index` and `coordinates`.
    pub(super) fn describe(&self, system: System) -> Result<System> {
        let ([x, y, z], [w, h, d]) = self.corner;
        let places = (0..d).flat_map(|k| (0..h).flat_map(move |j| (0..w).map(move |i| [i, j, k])));
        let places = places.map(|[i, j, k]| [(x + i) as f64, (y + j) as f64, (z + k) as f64]);
        let width = self.dimension.max(2);
        let places = places.flat_map(|place| std::iter::repeat_n(place, self.unknowns));
        let index: Vec<f64> = places.flat_map(|place| place.into_iter().take(width)).collect();
        let system = system.with_aux(GRID_INDEX, width, index)?;
        // All ranks have coordinates, or none; ranks without nodes have none of either.
        if self.coordinates.is_empty() || self.coordinates.len() != self.dimension * self.own() {
            return Ok(system);
        }
        let places = self.coordinates.chunks_exact(self.dimension);
        let places = places.flat_map(|place| std::iter::repeat_n(place, self.unknowns).flatten());
        system.with_coordinates(self.dimension, places.copied().collect())
    }
}
