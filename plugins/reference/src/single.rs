//! M₂ with Chebyshev's smoother in single precision, on one rank: everything between a residual and a correction in two
//! passes over the grid, with the reference solve between them.
//!
//! With A in planes (`planes.rs`), S of degree d and the steps s₁ … s_d of Chebyshev's iteration,
//! ```text
//! before: s₁ = w₁ D₁⁻¹ r;  r ← r − A s₁;  s₂ = w₂ D₁⁻¹ r + v₂ s₁;  …;  r ← r − A s_d      d products
//! between: c = P A0⁻¹ Pᵀ r, around the exact solve at bad nodes (`bad.rs`)
//! after: r ← r − A c;  s₁ = w₁ D₁⁻¹ r;  …;  z = Σ all steps + c                           d products
//! ```
//! so that residuals are never computed anew; the post-only form begins with c. What one product needs of the one before is a layer on either
//! side: the products of a pass, P and Pᵀ (`shifted.rs`) among them, follow each other at a distance of one layer, and what they work on stays in the cache.
//! With several threads each product is a loop of its own over the layers. No bit depends on which it is.
//!
//! The residual is scaled by a power of two to a size of one first, and A is, too: units play no part. Single precision
//! leaves some 10⁻⁵ in energy at a quarter of a million nodes, a hundredth of what an iteration leaves.
//!
//! Cost, n nodes, k couplings a node: setup one pass over A; apply 2d products (post-only d) of 4(k + 1) bytes and 4k + 7 flops a node, and
//! one solve with A0; held are k + 2 numbers a node of A, 5 of vectors and those of the solve, of 4 bytes each.
use crate::bad::Bad;
use crate::params::Variant;
use crate::planes::{Layers, Planes, Stage};
use crate::positions::{ESTIMATE, Shifts, Walls};
use crate::shifted::Shifted;
use crate::smoother::ratio;
use precondor_sdk::core::kernel::chebyshev::Chebyshev;
use precondor_sdk::core::kernel::chunks;
use precondor_sdk::core::kernel::magnitude::{largest, near_one};
use precondor_sdk::core::kernel::separable::{Separable, Solver};
use precondor_sdk::prelude::*;

/// Nodes, at least, that one thread takes at a time.
const GRAIN: usize = 1 << 13;

/// M₂ of one matrix.
pub(crate) struct Single {
    planes: Planes,
    variant: Variant,
    weights: Vec<[f32; 2]>,
    shifted: Option<Shifted>,
    /// A power of two that brings the largest entry of A near one.
    unit: f64,
    solver: Solver<f32>,
    /// Two steps with their borders.
    steps: [Vec<f32>; 2],
    r: Vec<f32>,
    z: Vec<f32>,
    c: Vec<f32>,
}

impl Single {
    /// What M₂ of a matrix of one rank is made of, to be [`formed`](Self::formed); none where single precision is not enough for its
    /// numbers. What solves with A0 is made out of what did with another one on the same grid, where that is there.
    ///
    /// # Errors
    /// As [`Planes::of`] and [`Solver::alone`].
    pub fn new(a: &DistCsr, operator: &Separable, kept: Option<Self>) -> Result<Option<Self>> {
        let (lattice, unit) = (operator.lattice(), near_one(a.largest()));
        let Some(planes) = Planes::of(a, lattice, unit)? else { return Ok(None) };
        let operator = operator.clone().times(unit);
        let (variant, shifted, weights) = (Variant::Symmetric, None, vec![]);
        if let Some(mut kept) = kept {
            kept.solver.renew(&operator)?;
            return Ok(Some(Single { planes, variant, weights, shifted, unit, ..kept }));
        }
        let (n, length) = (lattice.nodes(), planes.length());
        Ok(Some(Single {
            variant,
            weights,
            shifted,
            unit,
            solver: Solver::alone(&operator)?,
            steps: [vec![0.0; length], vec![0.0; length]],
            r: vec![0.0; n],
            z: vec![0.0; n],
            c: vec![0.0; n],
            planes,
        }))
    }

    /// About how far the nodes are from their places along an axis, out of A alone: the last step of smoothing leaves A0⁻¹ its residual.
    ///
    /// # Errors
    /// What the host reports.
    pub fn estimate(
        &mut self,
        a: &DistCsr,
        bad: Option<&mut Bad>,
        host: &dyn Host,
        (axis, walls): (usize, &Walls),
    ) -> Result<Vec<f32>> {
        let Single { planes, solver, steps, r, z, c, unit, .. } = self;
        let weights = of_degree(ESTIMATE);
        let (d, nodes) = (weights.len(), planes.nodes());
        let stage = |s: usize| match s {
            0 => Stage::Pull { axis, walls, weight: weights[0][0] },
            s if s < d => Stage::Step { weights: weights[s] },
            _ => Stage::Residual,
        };
        pass(planes, host, d + 1, &stage, steps, &mut [&mut *r, &mut *z, &mut *c])?;
        match bad {
            Some(bad) => {
                bad.take_out(a, r, c);
                solver.solve(host, c, nodes)?;
                bad.put_back(*unit, c);
                bad.after_single(a, *unit, r, c);
            }
            None => solver.solve(host, c, nodes)?,
        }
        Ok(z.iter().zip(&*c).map(|(z, c)| z + c).collect())
    }

    /// M₂ in this form, and with P where the nodes' shifts are known.
    pub fn formed(self, variant: Variant, degree: u32, shifts: Option<&Shifts>) -> Self {
        let shifted = shifts.map(|shifts| Shifted::new(&self.planes, shifts));
        Single { variant, weights: of_degree(degree), shifted, ..self }
    }

    /// `z = M₂ r`; allocates nothing.
    ///
    /// # Errors
    /// What the host reports.
    pub fn apply(
        &mut self,
        a: &DistCsr,
        mut bad: Option<&mut Bad>,
        host: &dyn Host,
        r: &[f64],
        z: &mut [f64],
    ) -> Result<()> {
        let scale = near_one(largest(r));
        let Single { planes, variant, weights, shifted, unit, solver, steps, .. } = self;
        let (shifted, symmetric) = (shifted.as_ref(), *variant == Variant::Symmetric);
        let (d, nodes, weight) = (weights.len(), planes.nodes(), weights[0][0]);
        let step = |k: usize| Stage::Step { weights: weights[k] };
        let alone = |stage| move |s: usize| if s == 0 { Stage::Load } else { stage };
        let mut vectors = [&mut self.r[..], &mut self.z, &mut self.c];

        // What is done at bad nodes stands between the smoother and P.
        let (first, apart) = (if symmetric { d + 1 } else { 1 }, symmetric && bad.is_some());
        let spread = shifted.filter(|_| !apart);
        let before = |s: usize| match (s, spread) {
            (s, Some(shifted)) if s == first => Stage::Spread(shifted),
            (0, _) if symmetric => Stage::Enter { r, scale, weight },
            (0, _) => Stage::Take { r, scale },
            (s, _) if s < d => step(s),
            _ => Stage::Residual,
        };
        pass(planes, host, first + usize::from(spread.is_some()), &before, steps, &mut vectors)?;
        if let Some(bad) = bad.as_mut().filter(|_| apart) {
            let [r, _, c] = &mut vectors;
            bad.take_out(a, r, c);
            if let Some(shifted) = shifted {
                pass(planes, host, 2, &alone(Stage::Spread(shifted)), steps, &mut vectors)?;
            }
        }
        solver.solve(host, vectors[2], nodes)?;
        let back = shifted.filter(|_| bad.is_none());
        if let Some(bad) = bad {
            if let Some(shifted) = shifted {
                pass(planes, host, 2, &alone(Stage::Interpolate(shifted)), steps, &mut vectors)?;
            }
            let [r, _, c] = &mut vectors;
            if symmetric {
                bad.put_back(*unit, c);
            }
            bad.after_single(a, *unit, r, c);
        }
        let skipped = 1 + usize::from(back.is_some());
        let after = |s: usize| match (s, back) {
            (0, _) => Stage::Load,
            (1, Some(shifted)) => Stage::Interpolate(shifted),
            (s, _) if s == skipped => Stage::First { weight },
            (s, _) => step(s - skipped),
        };
        pass(planes, host, d + skipped, &after, steps, &mut vectors)?;
        // One after the other: their product may be out of range.
        let (from, unit) = (&self.z, *unit);
        chunks::rows(host, z.len(), GRAIN, [(z, 1)], |run, [z]| {
            for (z, from) in z.iter_mut().zip(&from[run]) {
                *z = f64::from(*from) / scale * unit;
            }
            Ok(())
        })
    }

    pub fn stored_entries(&self) -> usize {
        let shifted = self.shifted.as_ref().map_or(0, |s| s.stored_entries(self.r.len()));
        self.planes.stored_entries() + shifted
    }

    pub fn bytes(&self) -> usize {
        let vectors = 2 * self.steps[0].len() + 3 * self.r.len();
        let shifted = self.shifted.as_ref().map_or(0, Shifted::bytes);
        4 * vectors + shifted + self.planes.bytes() + self.solver.bytes()
    }
}

/// The weights of the smoother's steps.
fn of_degree(degree: u32) -> Vec<[f32; 2]> {
    let weights = Chebyshev::weights(degree, ratio(degree));
    weights.into_iter().map(|w| w.map(|w| w as f32)).collect()
}

/// Does the stages of a pass over the grid, `stage(0)` first; step s is in array s modulo 2.
fn pass<'a>(
    planes: &Planes,
    host: &dyn Host,
    stages: usize,
    stage: &(dyn Fn(usize) -> Stage<'a> + Sync),
    steps: &mut [Vec<f32>; 2],
    [r, z, c]: &mut [&mut [f32]; 3],
) -> Result<()> {
    let (layers, layer, nodes) = (planes.layers(), planes.layer(), planes.nodes());
    if host.threads() < 2 && !planes.is_ring() {
        for turn in 0..layers + stages - 1 {
            for s in (0..stages).filter(|s| (*s..*s + layers).contains(&turn)) {
                let (last, next) = last_and_next(steps, s);
                let l = turn - s;
                let [r, z, c] =
                    [&mut *r, &mut *z, &mut *c].map(|v| &mut v[l * nodes..(l + 1) * nodes]);
                let next = &mut next[(l + 1) * layer..(l + 2) * layer];
                planes.stage(stage(s), l, last, next, Layers { r, z, c });
            }
        }
        return Ok(());
    }
    for s in 0..stages {
        let (last, next) = last_and_next(steps, s);
        let stage = stage(s);
        let body = &mut next[layer..(layers + 1) * layer];
        let arrays = [(body, layer), (&mut *r, nodes), (&mut *z, nodes), (&mut *c, nodes)];
        chunks::rows(host, layers, GRAIN.div_ceil(nodes), arrays, |run, [next, r, z, c]| {
            let parts = next.chunks_exact_mut(layer).zip(r.chunks_exact_mut(nodes));
            let parts = parts.zip(z.chunks_exact_mut(nodes)).zip(c.chunks_exact_mut(nodes));
            for (l, (((next, r), z), c)) in run.zip(parts) {
                planes.stage(stage, l, last, next, Layers { r, z, c });
            }
            Ok(())
        })?;
        planes.close_ends(next);
    }
    Ok(())
}

/// The step that stage s reads, and the one it writes.
fn last_and_next([even, odd]: &mut [Vec<f32>; 2], s: usize) -> (&[f32], &mut [f32]) {
    if s.is_multiple_of(2) { (odd, even) } else { (even, odd) }
}
