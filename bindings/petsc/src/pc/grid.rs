//! What a DMDA says about the grid: its size, where its nodes are, and how its numbering becomes the one that structured methods
//! understand.
//!
//! Node (i, j) of a grid of `mx` by `my` is row `j·mx + i` to these methods. A DMDA numbers the nodes of one process after those
//! of the one before: the same, where the grid is cut into rows of nodes only (planes in three dimensions). Cut otherwise, they
//! get the matrix reordered. So do they where all rows of a face have a diagonal entry only, as programs have that keep Dirichlet
//! nodes among the unknowns: the grid is the one inside.
use super::callback::Done;
use crate::api::{Api, Bool, IntCell, RawDm, RawMat, RawPc, slice};
use precondor_core::comm::Communicator;
use precondor_core::reordered::Order;
use precondor_core::system::{GRID_INDEX, System};
use precondor_core::{Error, Result};
use std::ptr::{null, null_mut};
use std::sync::Arc;

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

    /// The grid of a system's unknowns for methods that work on grids of up to so many dimensions. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a grid of more dimensions, the same on all ranks; what the communicator reports.
    pub(super) fn layout(&self, system: &System, axes: usize) -> Result<Layout> {
        let [mx, my, mz] = self.nodes;
        if mz > 1 && axes < 3 {
            return Err(Error::Unsupported(format!(
                "global row 0 does not fit a grid of two dimensions: the DMDA has {mx} by {my} by {mz} \
                 nodes"
            )));
        }
        let (a, ([x, y, z], [w, h, _])) = (system.a(), self.corner);
        // Whether a row of each face, first and last along each axis, is none of a diagonal entry only.
        let mut coupled = [0.0; 6];
        for i in 0..a.n_own() {
            let row = a.global_row(i);
            let node = [x + i % w, y + i / w % h, z + i / (w * h)];
            let on = |face: &usize| {
                let (d, last) = (face / 2, face % 2 == 1);
                node[d] == if last { self.nodes[d] - 1 } else { 0 }
            };
            let faces: Vec<usize> = (0..6).filter(on).collect();
            if !faces.is_empty() && a.global_entries(i).any(|(col, v)| col != row && v != 0.0) {
                faces.into_iter().for_each(|face| coupled[face] = 1.0);
            }
        }
        a.space().comm().max(&mut coupled)?;
        let (mut first, mut inside) = ([0; 3], self.nodes);
        for d in 0..3 {
            let out = [0, 1].map(|end| usize::from(coupled[2 * d + end] == 0.0));
            if self.nodes[d] > 2 {
                first[d] = out[0];
                inside[d] -= out[0] + out[1];
            }
        }
        let three = mz > 1;
        Ok(Layout { nodes: self.nodes, cuts: self.cuts.clone(), first, inside, three })
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

/// The grid of the unknowns that structured methods get, within that of a DMDA.
#[derive(Clone, PartialEq)]
pub(super) struct Layout {
    /// Nodes of the DMDA along each axis.
    nodes: [usize; 3],
    /// Nodes of each process along each axis.
    cuts: [Vec<usize>; 3],
    /// The first node that methods get, and how many, along each axis.
    first: [usize; 3],
    inside: [usize; 3],
    three: bool,
}

impl Layout {
    /// The numbers of nodes along the axes.
    pub(super) fn grid(&self) -> &[usize] {
        if self.three { &self.inside } else { &self.inside[..2] }
    }

    /// The order that methods get rows in, on so many ranks; none where it is that of the DMDA.
    pub(super) fn order(&self, ranks: usize) -> Option<Order> {
        let slowest = if self.three { 2 } else { usize::from(self.nodes[1] > 1) };
        let cut = self.cuts[..slowest].iter().any(|cut| cut.len() > 1);
        let less = self.inside != self.nodes;
        if !cut && !less {
            return None;
        }
        let [x, y, z] = self.cuts.each_ref().map(Vec::len);
        let mut notes = Vec::new();
        if cut {
            let parts =
                if self.three { format!("{x} by {y} by {z}") } else { format!("{x} by {y}") };
            let layers = if self.three { "planes" } else { "rows" };
            notes.push(format!("the DMDA is cut into {parts} processes: M is made and applied on whole {layers} of nodes"));
        }
        if less {
            let all = |nodes: [usize; 3]| nodes.iter().product::<usize>();
            let out = all(self.nodes) - all(self.inside);
            notes.push(format!("{out} unknowns on the boundary have a diagonal entry only and are solved for by themselves"));
        }
        let layer: usize = self.inside[..slowest].iter().product();
        let layers = self.inside[slowest];
        let starts = (0..=ranks).map(|rank| (layer * (layers * rank / ranks)) as u64).collect();
        let boxes = self.boxes();
        let (first, inside) = (self.first, self.inside);
        let number = move |row: u64| {
            let (start, corner, [w, h, _]) =
                boxes[boxes.partition_point(|part| part.0 <= row).checked_sub(1)?];
            let at = (row - start) as usize;
            let node = [corner[0] + at % w, corner[1] + at / w % h, corner[2] + at / (w * h)];
            (0..3).rev().try_fold(0, |sum, d| {
                let along = node[d].checked_sub(first[d]).filter(|&k| k < inside[d])?;
                Some(sum * inside[d] as u64 + along as u64)
            })
        };
        Some(Order { starts, number: Arc::new(number), note: notes.join("; ") })
    }

    /// The first row, the first node and the numbers of nodes of each process that has any.
    fn boxes(&self) -> Vec<(u64, [usize; 3], [usize; 3])> {
        let along = |d: usize| {
            let mut first = 0;
            let part = move |&count: &usize| {
                first += count;
                (first - count, count)
            };
            self.cuts[d].iter().map(part).collect::<Vec<_>>()
        };
        let [x, y, z] = [along(0), along(1), along(2)];
        let (mut boxes, mut row) = (Vec::new(), 0);
        for &(k, depth) in &z {
            for &(j, height) in &y {
                for &(i, width) in &x {
                    let count = width * height * depth;
                    if count > 0 {
                        boxes.push((row, [i, j, k], [width, height, depth]));
                    }
                    row += count as u64;
                }
            }
        }
        boxes
    }
}
