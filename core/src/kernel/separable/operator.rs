//! A separable operator: what fits an axis in every direction.
use std::sync::Arc;

use super::axis::Axis;
use crate::kernel::lattice::{Lattice, STEPS, Step};
use crate::matrix::{DistCsr, Space};
use crate::{Error, Result};

/// The sum over axes of the axis' stiffness times the other axes' masses, and `shift` times the product of all
/// masses: K ⊗ M + M ⊗ K + σ M ⊗ M in two dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Separable {
    /// Along x, y and perhaps z; x runs fastest.
    pub axes: Vec<Axis>,
    /// σ, not negative.
    pub shift: f64,
}

impl Separable {
    /// The five-point or seven-point Laplacian with walls: 4 or 6 on the diagonal, −1 for neighbours.
    pub fn laplacian(dims: &[usize]) -> Self {
        Separable { axes: dims.iter().map(|&m| Axis::unit(m)).collect(), shift: 0.0 }
    }

    /// Refuses what is no operator that can be solved with.
    ///
    /// # Errors
    /// [`Error::Data`] saying why.
    pub fn check(&self) -> Result<()> {
        if !(2..=3).contains(&self.axes.len()) {
            return Err(Error::Data(format!(
                "a grid of {} axes, not two or three",
                self.axes.len()
            )));
        }
        if !(self.shift >= 0.0 && self.shift.is_finite()) {
            return Err(Error::Data(format!("a multiple {} of the mass", self.shift)));
        }
        self.axes.iter().try_for_each(Axis::check)
    }

    /// Nodes along every axis.
    pub fn dims(&self) -> Vec<usize> {
        self.axes.iter().map(Axis::nodes).collect()
    }

    /// The grid it lives on.
    pub fn lattice(&self) -> Lattice {
        let mut lattice =
            Lattice { dims: [1; 3], dimension: self.axes.len(), periodic: [false; 3] };
        for (a, axis) in self.axes.iter().enumerate() {
            (lattice.dims[a], lattice.periodic[a]) = (axis.nodes(), axis.periodic);
        }
        lattice
    }

    /// Whether constants cost nothing.
    pub fn is_singular(&self) -> bool {
        self.shift == 0.0 && self.axes.iter().all(Axis::is_free)
    }

    /// The same, `factor` times as large.
    #[must_use]
    pub fn times(mut self, factor: f64) -> Self {
        self.axes.iter_mut().flat_map(|axis| &mut axis.stiffness).for_each(|k| *k *= factor);
        self.shift *= factor;
        self
    }

    /// The product of the masses of the axes but `without` at a place.
    fn mass(&self, place: [usize; 3], without: Option<usize>) -> f64 {
        let axes = self.axes.iter().enumerate().filter(|&(a, _)| Some(a) != without);
        axes.map(|(a, axis)| axis.mass[place[a]]).product()
    }

    /// What the operator makes of constants of size 1, at a place.
    pub(super) fn of_constants(&self, place: [usize; 3]) -> f64 {
        let walls = self.axes.iter().enumerate().map(|(a, axis)| {
            let (i, m) = (place[a], axis.nodes());
            let first = if i == 0 && !axis.periodic { axis.stiffness[0] } else { 0.0 };
            let last = if i + 1 == m && !axis.periodic { axis.stiffness[m] } else { 0.0 };
            (first + last) * self.mass(place, Some(a))
        });
        walls.sum::<f64>() + self.shift * self.mass(place, None)
    }

    /// The entry of the node at `place` for the neighbour a step further, which is there.
    pub fn entry(&self, place: [usize; 3], step: Step) -> f64 {
        let mut moved = (0..self.axes.len()).filter(|&a| step[a] != 0);
        match (moved.next(), moved.next()) {
            (None, _) => {
                let parts = self.axes.iter().enumerate();
                let stiff =
                    parts.map(|(a, axis)| axis.diagonal(place[a]) * self.mass(place, Some(a)));
                stiff.sum::<f64>() + self.shift * self.mass(place, None)
            }
            (Some(a), None) => {
                let before = if step[a] < 0 { place[a] } else { place[a] + 1 };
                -self.axes[a].stiffness[before] * self.mass(place, Some(a))
            }
            _ => 0.0,
        }
    }

    /// The diagonal entries of the nodes from a place on along the first axis.
    pub fn diagonal(&self, place: [usize; 3], out: &mut [f64]) {
        let Some((first, others)) = self.axes.split_first() else { return };
        let masses = |without: Option<usize>| -> f64 {
            let axes = others.iter().enumerate().filter(|&(a, _)| Some(a) != without);
            axes.map(|(a, axis)| axis.mass[place[a + 1]]).product()
        };
        let of_others = others.iter().enumerate();
        let stiff: f64 =
            of_others.map(|(a, axis)| axis.diagonal(place[a + 1]) * masses(Some(a))).sum();
        let (mass, rest) = (masses(None), stiff + self.shift * masses(None));
        for (out, i) in out.iter_mut().zip(place[0]..) {
            *out = first.diagonal(i) * mass + first.mass[i] * rest;
        }
    }

    /// The matrix on `space`. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the space has another number of rows.
    pub fn matrix(&self, space: &Arc<Space>) -> Result<DistCsr> {
        let lattice = self.lattice();
        lattice.fits_unknowns(space.n_global())?;
        let (mut ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
        let straight =
            || STEPS.into_iter().filter(|step| step.iter().filter(|s| **s != 0).count() < 2);
        for row in space.start()..space.start() + space.n_own() as u64 {
            let place = lattice.place(row);
            let mut entries: Vec<(u64, f64)> = straight()
                .filter_map(|step| Some((lattice.neighbour(place, step)?, self.entry(place, step))))
                .collect();
            entries.sort_unstable_by_key(|entry| entry.0);
            cols.extend(entries.iter().map(|entry| entry.0));
            values.extend(entries.iter().map(|entry| entry.1));
            ptr.push(cols.len() as u32);
        }
        DistCsr::from_rows(space, &ptr, &cols, &values)
    }
}
