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

    /// The numbers of nodes for methods that work on grids of up to so many dimensions.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first row that is another node than these methods take it for.
    /// The same on all ranks.
    pub(super) fn natural(&self, axes: usize) -> Result<Vec<usize>> {
        let [mx, my, mz] = self.nodes;
        if mz > 1 && axes < 3 {
            return Err(Error::Unsupported(format!(
                "global row 0 does not fit a grid of two dimensions: the DMDA has {mx} by {my} by {mz} \
                 nodes"
            )));
        }
        let Some(row) = self.first_out_of_order() else {
            return Ok(if mz > 1 { vec![mx, my, mz] } else { vec![mx, my] });
        };
        let [x, y, z] = self.cuts.each_ref().map(Vec::len);
        let (nodes, parts, how) = match mz {
            1 => (format!("{mx} by {my}"), format!("{x} by {y}"), "into rows (-da_processors_x 1)"),
            _ => (
                format!("{mx} by {my} by {mz}"),
                format!("{x} by {y} by {z}"),
                "into planes (-da_processors_x 1 -da_processors_y 1)",
            ),
        };
        Err(Error::Unsupported(format!(
            "global row {row} does not fit a grid of {nodes} nodes numbered row by row: the DMDA is \
             cut into {parts} processes, and PETSc numbers each part for itself; cut it {how}"
        )))
    }

    /// The first row that is not the node of that number counted row by row, plane by plane.
    fn first_out_of_order(&self) -> Option<usize> {
        let [mx, my, mz] = self.nodes;
        let [x, y, z] = &self.cuts;
        // Only the slowest axis is cut.
        let slowest = if mz > 1 { 2 } else { usize::from(my > 1) };
        if self.cuts[..slowest].iter().all(|cut| cut.len() == 1) {
            return None;
        }
        let (mut row, mut first) = (0, [0; 3]);
        for &depth in z {
            first[1] = 0;
            for &height in y {
                first[0] = 0;
                for &width in x {
                    for (k, j) in (0..depth).flat_map(|k| (0..height).map(move |j| (k, j))) {
                        let natural = ((first[2] + k) * my + first[1] + j) * mx + first[0];
                        if natural != row && width > 0 {
                            return Some(row);
                        }
                        row += width;
                    }
                    first[0] += width;
                }
                first[1] += height;
            }
            first[2] += depth;
        }
        None
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
