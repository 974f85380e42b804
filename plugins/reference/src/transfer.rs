//! P, which takes what is solved for on the nodes of the reference grid to the nodes of A, and its transpose, as matrices.
//!
//! - First order, from A alone: P = I + c E, E = D0⁻¹A0 − D⁻¹A.
//! - Second order, where it is known how far the nodes are from those of the reference grid ([`Shifts`]): with δ in spacings of the grid,
//!   u(x + δ) ≈ u + Σ δₐ ∂ₐu + ½ Σ δₐ δ_b ∂ₐ∂_b u, derivatives by central differences: 9 entries a row in two dimensions, 19 in three.
use crate::positions::{Shifts, weight};
use precondor_sdk::core::kernel::lattice::{Lattice, STEPS};
use precondor_sdk::core::kernel::separable::Separable;
use precondor_sdk::prelude::*;

/// P and Pᵀ.
pub(crate) struct Transfer {
    pub p: DistCsr,
    pub transposed: DistCsr,
    /// Every diagonal entry of P exceeds the sum of the others in its row: P is nonsingular.
    pub dominant: bool,
    /// Whether their pattern is that of A, which keeps it.
    shared: bool,
}

impl Transfer {
    /// I + c E, on the pattern of A. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn first_order(
        a: &DistCsr,
        operator: &Separable,
        c: f64,
        diagonal: &[f64],
    ) -> Result<Self> {
        let lattice = operator.lattice();
        let ghost_diagonal = a.on_ghosts(diagonal)?;
        let start = a.space().start();
        let mut off_diagonal = vec![0.0; a.n_own()];
        let mut block = |view: CsrView<'_>, diagonal_of: &[f64], number: &dyn Fn(usize) -> u64| {
            let (mut p, mut transposed) =
                (Vec::with_capacity(view.nnz()), Vec::with_capacity(view.nnz()));
            for (i, d) in diagonal.iter().enumerate() {
                let row = start + i as u64;
                let place = lattice.place(row);
                let middle = operator.entry(place, [0; 3]);
                for (j, value) in view.row(i) {
                    let col = number(j);
                    if col == row {
                        // E is zero there.
                        p.push(1.0);
                        transposed.push(1.0);
                        continue;
                    }
                    let step = lattice.step_to(place, col);
                    let between = step.map_or(0.0, |step| operator.entry(place, STEPS[step]));
                    let there = operator.entry(lattice.place(col), [0; 3]);
                    let entry = c * (between / middle - value / d);
                    off_diagonal[i] += entry.abs();
                    p.push(entry);
                    transposed.push(c * (between / there - value / diagonal_of[j]));
                }
            }
            (p, transposed)
        };
        let own = block(a.own().view(), diagonal, &|j| start + j as u64);
        let ghost = block(a.ghost().view(), &ghost_diagonal, &|j| a.ghost_ids()[j]);
        let mut largest = [off_diagonal.iter().copied().fold(0.0, f64::max)];
        a.space().comm().max(&mut largest)?;
        Ok(Transfer {
            p: a.with_values(own.0, ghost.0)?,
            transposed: a.with_values(own.1, ghost.1)?,
            dominant: largest[0] < 1.0,
            shared: true,
        })
    }

    /// Second order, to nodes that are shifted. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn shifted(a: &DistCsr, lattice: Lattice, shifts: &Shifts) -> Result<Self> {
        let (space, start) = (a.space(), a.space().start());
        let around = STEPS.into_iter().filter(|step| step.iter().filter(|s| **s != 0).count() < 3);
        let around: Vec<_> = around.collect();
        let (mut ptr, mut cols) = (vec![0], vec![]);
        for k in 0..a.n_own() {
            let place = lattice.place(start + k as u64);
            let first = cols.len();
            cols.extend(around.iter().filter_map(|&step| lattice.neighbour(place, step)));
            cols[first..].sort_unstable();
            ptr.push(cols.len() as u32);
        }
        let pattern = DistCsr::from_rows(space, &ptr, &cols, &vec![0.0; cols.len()])?;
        let widened = |axis: &Vec<f32>| axis.iter().map(|d| f64::from(*d)).collect::<Vec<f64>>();
        let here: Vec<Vec<f64>> = shifts.axes.iter().map(widened).collect();
        let there: Vec<Vec<f64>> =
            here.iter().map(|axis| pattern.on_ghosts(axis)).collect::<Result<_>>()?;
        let at = |axes: &[Vec<f64>], i: usize| {
            let mut shift = [0.0; 3];
            shift.iter_mut().zip(axes).for_each(|(shift, axis)| *shift = axis[i]);
            shift
        };
        // By how much the diagonal entry exceeds the others of its row.
        let mut excess = vec![0.0; a.n_own()];
        let mut block = |view: CsrView<'_>, axes: &[Vec<f64>], number: &dyn Fn(usize) -> u64| {
            let (mut p, mut transposed) =
                (Vec::with_capacity(view.nnz()), Vec::with_capacity(view.nnz()));
            for (i, excess) in excess.iter_mut().enumerate() {
                let row = start + i as u64;
                let place = lattice.place(row);
                for (j, _) in view.row(i) {
                    let col = number(j);
                    let step = lattice.step_to(place, col).map_or([0; 3], |s| STEPS[s]);
                    let entry = weight(at(&here, i), step);
                    *excess += if col == row { entry } else { -entry.abs() };
                    p.push(entry);
                    transposed.push(weight(at(axes, j), step.map(|s| -s)));
                }
            }
            (p, transposed)
        };
        let own = block(pattern.own().view(), &here, &|j| start + j as u64);
        let ghost = block(pattern.ghost().view(), &there, &|j| pattern.ghost_ids()[j]);
        let mut least = [-excess.iter().copied().fold(f64::INFINITY, f64::min)];
        space.comm().max(&mut least)?;
        Ok(Transfer {
            p: pattern.with_values(own.0, ghost.0)?,
            transposed: pattern.with_values(own.1, ghost.1)?,
            dominant: least[0] < 0.0,
            shared: false,
        })
    }

    pub fn stored_entries(&self) -> usize {
        2 * self.p.nnz_own()
    }

    pub fn bytes(&self) -> usize {
        let values = 8 * self.p.nnz_own();
        values + if self.shared { values } else { self.p.bytes() }
    }
}
