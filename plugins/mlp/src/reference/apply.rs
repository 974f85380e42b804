//! The wrapped reference map as an operator: `z = M₂ r` on each rank's rows of a grid, on the threads of the
//! host.
//!
//! ```text
//! y = S r     t = r − A y     u = A0⁻¹ Pᵀ t     y += R Rᵀ t + P u     t = r − A y     z = y + S t
//! ```
//!
//! Everything inside is in single precision: `M₂` has to be close to `A⁻¹` only as far as the network made
//! it so, and what rounding adds is, measured in energy, some 10⁻⁵ of the result at a quarter of a million
//! nodes (see `kernel/separable` of the core), a thousandth of what an iteration leaves. The residual is scaled by a power of two
//! first, so that no residual is too small or too large; the matrix is divided by its level against `A0`
//! (`kernel/level.rs` of the core), and the result, too, so that neither are its units.
//!
//! Cost an application: two sweeps with `A`, `S` and each of `P` and `R`, one solve with `A0`; the
//! coefficients are read twice, the vectors stay in the second-level cache. Rows of the grid are shared out
//! to the threads in nine loops, in which no sum depends on how: the result has the same bits on any number
//! of threads, and of ranks, but for the coarse correction, whose sums over ranks are rounded in their order.
//!
//! Communication an application, with `H = 2s + 4` rows around (`share.rs`) where the smoother reaches `s`
//! rows (`spd` 0, `stencil` 1, `sweep` 2), slabs as in `kernel/slab` and two single-precision numbers in a word
//! of 8 bytes:
//! - a gather of one word: the largest residual;
//! - ⌈own(s) ∩ nodes(around(r, H))/2⌉ words from rank s to r ≠ s where that is not empty: the residual, with
//!   the rows around;
//! - ⌈rows(r)·columns(q)/2⌉ words from each rank r to each other q, and ⌈columns(r)·around(q, s + 2)/2⌉
//!   back: the solve with `A0`;
//! - with the coarse correction two gathers more (`coarse.rs`).
//!
//! So 2(p − 1) + 2 messages a rank where slabs have `H` rows or more, and about
//! `8 n/p + 8 mx (3s + 6)` bytes.

use std::ops::Range;
use std::sync::Arc;

use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::chunks;
use precondor_sdk::core::kernel::magnitude::{largest, near_one};
use precondor_sdk::core::kernel::separable::{Separable, Solver};
use precondor_sdk::core::kernel::slab::Redistribution;
use precondor_sdk::prelude::*;

use crate::reference::coarse::{Coarse, CoarseMemory};
use crate::reference::pgp::Stencils;
use crate::reference::share::Share;
use crate::reference::stencil::{Onto, Stencil};
use precondor_sdk::core::kernel::bands::grain;
use precondor_sdk::core::kernel::grid::Grid;

/// `M₂` of one matrix; all planes are of the rows that a rank keeps.
pub struct Operator {
    host: Arc<dyn Host>,
    comm: Comm,
    share: Share,
    a: Stencil<f32>,
    /// `P`, `R` and `S`.
    pub stencils: Stencils<f32>,
    /// `C^-½` at every node, a plane; empty where the coefficient is constant.
    scaling: Vec<f32>,
    /// What the matrix was divided by, and the result is.
    level: f64,
    coarse: Option<Coarse>,
}

/// The memory of an application, and what it communicates with.
pub struct Memory {
    planes: [Vec<f32>; 5],
    /// Brings the residual's rows around.
    inward: Redistribution<f32>,
    solver: Solver<f32>,
    coarse: CoarseMemory,
}

impl Memory {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let planes = self.planes.iter().map(Vec::len).sum::<usize>();
        let communication = self.inward.bytes() + self.solver.bytes();
        size_of::<f32>() * planes + communication + self.coarse.bytes()
    }
}

impl Operator {
    /// The map of a matrix with given stencils, which each rank has in the rows that it keeps.
    pub fn new(
        host: Arc<dyn Host>,
        comm: &Comm,
        share: Share,
        a: Stencil<f32>,
        stencils: Stencils<f32>,
    ) -> Self {
        let comm = comm.clone();
        Operator { host, comm, share, a, stencils, scaling: Vec::new(), level: 1.0, coarse: None }
    }

    /// The same for `level` times the matrix.
    #[must_use]
    pub fn at(self, level: f64) -> Self {
        Operator { level, ..self }
    }

    /// What the matrix was divided by.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// The same around `C^-½ A0⁻¹ C^-½` for a coefficient, one number a node.
    #[must_use]
    pub fn scaled(mut self, coefficient: Option<&[f64]>) -> Self {
        if let Some(coefficient) = coefficient {
            let roots: Vec<f32> = coefficient.iter().map(|c| c.sqrt().recip() as f32).collect();
            self.scaling = vec![0.0; self.grid().plane()];
            self.grid().to_plane(&roots, &mut self.scaling);
        }
        self
    }

    /// The same with a correction on a coarse grid before and after the reference solve.
    #[must_use]
    pub fn corrected(self, coarse: Option<Coarse>) -> Self {
        Operator { coarse, ..self }
    }

    /// Stored numbers of this rank's slab, the bands of `A` not counted, and the coarse factor.
    pub fn entries(&self) -> usize {
        let scaling = usize::from(!self.scaling.is_empty());
        let nodes = self.share.slab().len() * self.grid().mx;
        let coarse = self.coarse.as_ref().map_or(0, Coarse::entries);
        (self.stencils.entries_a_node() + scaling) * nodes + coarse
    }

    /// The part of the grid that this rank works on.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// The rows that are kept.
    fn grid(&self) -> Grid {
        self.a.grid()
    }

    /// Bytes held, those of [`Memory`] not counted.
    pub fn bytes(&self) -> usize {
        self.a.bytes()
            + self.stencils.bytes()
            + size_of::<f32>() * self.scaling.len()
            + size_of::<f64>() * self.coarse.as_ref().map_or(0, Coarse::entries)
    }

    /// Makes the memory of another operator on the same slabs, with the same variant, fit this one.
    pub fn fit(&self, memory: &mut Memory) {
        memory.coarse = self.coarse.as_ref().map_or_else(CoarseMemory::default, Coarse::memory);
    }

    /// Memory for [`apply`](Self::apply), allocated once. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn memory(&self) -> Result<Memory> {
        let (slabs, reach) = (self.share.slabs(), self.stencils.variant().reach());
        let wants = |rank: usize| slabs.nodes(self.share.kept(rank));
        let Grid { mx, my } = slabs.grid();
        let laplacian = Separable::laplacian(&[mx, my]);
        Ok(Memory {
            planes: std::array::from_fn(|_| vec![0.0; self.grid().plane()]),
            inward: Redistribution::new(&self.comm, 1, |rank| slabs.own(rank), wants)?,
            solver: Solver::new(&laplacian, slabs, &self.comm, reach + 2)?,
            coarse: self.coarse.as_ref().map_or_else(CoarseMemory::default, Coarse::memory),
        })
    }

    /// Runs `body` on runs of `rows` of the grid with their parts of the bodies of `planes`.
    fn rows<const N: usize>(
        &self,
        rows: &Range<usize>,
        planes: [&mut [f32]; N],
        body: impl Fn(Range<usize>, [&mut [f32]; N]) + Sync,
    ) -> Result<()> {
        let (start, stride) = (self.grid().body().start, self.grid().stride());
        let part = start + rows.start * stride..start + rows.end * stride;
        let bodies = planes.map(|plane| (&mut plane[part.clone()], stride));
        chunks::rows(&*self.host, rows.len(), grain(self.grid()), bodies, |run, parts| {
            body(rows.start + run.start..rows.start + run.end, parts);
            Ok(())
        })
    }

    /// `y = S x`, or `y += S x`, in `rows`; `spare` is work space.
    fn smooth(
        &self,
        rows: &Range<usize>,
        x: &[f32],
        spare: &mut [f32],
        onto: Onto<'_, f32>,
        y: &mut [f32],
    ) -> Result<()> {
        let Some(sweep) = self.stencils.sweep(&self.a) else {
            let s = &self.stencils.s;
            return self.rows(rows, [y], |rows, [y]| s.sweep(rows, false, x, 1.0, onto, y));
        };
        // The rows that these follow from, as far as there are any.
        let reach = self.stencils.variant().reach();
        let swept = rows.start.saturating_sub(reach)..(rows.end + reach).min(self.grid().my);
        spare.copy_from_slice(x);
        sweep.within(swept, self.share.first()).apply(spare);
        let spare = &*spare;
        self.rows(rows, [y], |rows, [y]| {
            let from = self.grid().body().start + rows.start * self.grid().stride();
            let pairs = y.iter_mut().zip(&spare[from..]);
            match onto {
                Onto::Nothing => pairs.for_each(|(y, s)| *y = 0.0 + s),
                _ => pairs.for_each(|(y, s)| *y += s),
            }
        })
    }

    /// `x ← C^-½ x` on rows of the grid.
    fn scale(&self, rows: Range<usize>, x: &mut [f32]) {
        if self.scaling.is_empty() {
            return;
        }
        let stride = self.grid().stride();
        let scaling = &self.scaling[self.grid().body().start + rows.start * stride..];
        x.iter_mut().zip(scaling).for_each(|(x, s)| *x *= s);
    }

    /// Writes `scale · r` to the plane `x`, in all rows that are kept.
    fn enter(
        &self,
        r: &[f64],
        scale: f64,
        x: &mut [f32],
        inward: &mut Redistribution<f32>,
    ) -> Result<()> {
        let (Grid { mx, .. }, first) = (self.grid(), self.share.own().start);
        if self.share.is_alone() {
            return self.rows(&self.share.around(0), [x], |rows, [x]| {
                let from = r[rows.start * mx..rows.end * mx].chunks_exact(mx);
                for (to, from) in x.chunks_exact_mut(mx + 1).zip(from) {
                    to.iter_mut().zip(from).for_each(|(to, &r)| *to = (scale * r) as f32);
                }
            });
        }
        let scaled = |nodes: Range<usize>, out: &mut [f32]| {
            let from = &r[nodes.start - first..nodes.end - first];
            out.iter_mut().zip(from).for_each(|(out, &r)| *out = (scale * r) as f32);
        };
        inward.give(|_, nodes, out| scaled(nodes, out));
        for (nodes, places) in self.share.places(inward.kept()) {
            scaled(nodes, &mut x[places]);
        }
        inward.fetch(|_, nodes, from| {
            let first = nodes.start;
            for (nodes, places) in self.share.places(nodes) {
                x[places].copy_from_slice(&from[nodes.start - first..nodes.end - first]);
            }
        })
    }

    /// `z = y / (scale · level)` at this rank's nodes.
    fn leave(&self, y: &[f32], scale: f64, z: &mut [f64]) -> Result<()> {
        // One after the other: their product may be out of range.
        let left = |y: f32| f64::from(y) / scale / self.level;
        let Grid { mx, my } = self.grid();
        let (stride, first) = (self.grid().stride(), self.share.own().start);
        if self.share.is_alone() {
            let y = &y[self.grid().body()];
            return chunks::rows(&*self.host, my, grain(self.grid()), [(z, mx)], |rows, [z]| {
                let from = y[rows.start * stride..].chunks_exact(stride);
                for (to, from) in z.chunks_exact_mut(mx).zip(from) {
                    to.iter_mut().zip(from).for_each(|(to, &y)| *to = left(y));
                }
                Ok(())
            });
        }
        for (nodes, places) in self.share.places(self.share.own()) {
            let to = z[nodes.start - first..nodes.end - first].iter_mut();
            to.zip(&y[places]).for_each(|(to, &y)| *to = left(y));
        }
        Ok(())
    }

    /// `z = M₂ r`, one number a node that this rank owns. Collective; allocates nothing.
    ///
    /// # Errors
    /// What the communicator reports; what the host reports, after all communication.
    pub fn apply(&self, r: &[f64], z: &mut [f64], memory: &mut Memory) -> Result<()> {
        let (stride, start) = (self.grid().stride(), self.grid().body().start);
        let Stencils { p, r: half, .. } = &self.stencils;
        let Memory { planes: [x, y, t, u, w], inward, solver, coarse: spare } = memory;
        let reach = self.stencils.variant().reach();
        // Rows around: how many follow from how many, see `share.rs`.
        let [one, two, three, four] = [1, 2, 3, 4].map(|k| self.share.around(reach + k));
        let [own, rest] = [0, reach].map(|k| self.share.around(k));

        let mut size = [largest(r)];
        self.comm.max(&mut size)?;
        let scale = near_one(size[0]);
        self.enter(r, scale, x, inward)?;
        let x = &*x;
        let residual = |rows: &Range<usize>, y: &[f32], t: &mut [f32]| {
            self.rows(rows, [t], |rows, [t]| self.a.sweep(rows, false, y, -1.0, Onto::Plane(x), t))
        };
        let mut done = self.smooth(&four, x, w, Onto::Nothing, y);
        done = done.and(residual(&three, y, t));
        if let Some(coarse) = &self.coarse {
            coarse.add(&self.comm, t, four.clone(), y, spare)?;
            done = done.and(residual(&three, y, t));
        }
        let transposed = |rows: &Range<usize>, u: &mut [f32], w: &mut [f32]| {
            self.rows(rows, [u, w], |rows, [u, w]| {
                p.sweep(rows.clone(), true, t, 1.0, Onto::Nothing, u);
                self.scale(rows.clone(), u);
                half.sweep(rows, true, t, 1.0, Onto::Nothing, w);
            })
        };
        done = done.and(transposed(&two, u, w));
        let solved = &mut u[start + two.start * stride..start + two.end * stride];
        done = done.and(solver.solve(&*self.host, solved, stride));
        if !self.scaling.is_empty() {
            done = done.and(self.rows(&two, [u], |rows, [u]| self.scale(rows, u)));
        }
        done = done.and(self.rows(&one, [y], |rows, [y]| {
            p.sweep(rows.clone(), false, u, 1.0, Onto::Itself, y);
            half.sweep(rows, false, w, 1.0, Onto::Itself, y);
        }));
        done = done.and(residual(&rest, y, t));
        if let Some(coarse) = &self.coarse {
            coarse.add(&self.comm, t, one.clone(), y, spare)?;
            done = done.and(residual(&rest, y, t));
        }
        done = done.and(self.smooth(&own, t, w, Onto::Itself, y));
        done.and(self.leave(y, scale, z))
    }
}
