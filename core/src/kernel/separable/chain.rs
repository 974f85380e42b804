//! The tridiagonal systems that are left of a separable operator when all axes but the last one are in modes:
//! (α M + K) x = r/ν for every mode, α its eigenvalues' sum and ν its weight; some modes side by side.
//!
//! Eliminating a node adds to its neighbours what it is coupled to: the pivots come out of sums of positive
//! numbers alone, exact to rounding however small α is. On a ring what couples the remaining nodes to the last one
//! is kept beside.
//!
//! Where nothing holds (α = 0, free ends) the system is singular; constants then get an eigenvalue of their own,
//! that of the axis' longest wave, and everything else what the singular system gives.
use std::ops::Range;

use multiversion::multiversion;

use super::axis::Axis;
use super::number::Number;
use crate::Result;
use crate::host::Host;
use crate::kernel::chunks;

/// Modes whose systems are solved together, where there are enough of them.
pub(super) const MODES: usize = 64;

/// Widths of blocks of modes: what a kernel exists for.
const WIDTHS: [usize; 4] = [MODES, 32, 16, 8];

/// Modes that are solved together, of `count` in all: as many as fill their blocks to four fifths.
pub(super) fn width(count: usize) -> usize {
    let full = |width: &&usize| 4 * count.div_ceil(**width) * **width <= 5 * count;
    *WIDTHS.iter().find(full).unwrap_or(&WIDTHS[3])
}

/// A part of the modes, in blocks of equal width: a block's rows one after the other, one block after the other.
pub(super) struct Systems<T> {
    rows: usize,
    count: usize,
    width: usize,
    /// One over the weight of every mode; zero beyond the last.
    scale: Vec<T>,
    /// Coupling of every row to the one before; zero for the first.
    coupling: Vec<T>,
    /// One over the pivots; zero for modes beyond the last.
    pivots: Vec<T>,
    /// On a ring, what couples every row to the last when those before are eliminated; else empty.
    around: Vec<T>,
    /// The singular system: which mode it is.
    free: Option<Free>,
}

/// A system that constants do not feel.
struct Free {
    mode: usize,
    axis: Axis,
    /// One over the weight of the mode.
    scale: f64,
    /// What constants get for an eigenvalue.
    level: f64,
}

/// Below this fill-in counts as nothing: it would only leave the range of numbers.
const TINY: f64 = 1e-30;

/// Pivots of a block of modes with the eigenvalues `alpha`, and fill-in on a ring.
fn eliminate<T: Number>(axis: &Axis, alpha: &[f64], pivots: &mut [T], around: &mut [T]) {
    if !axis.periodic {
        return eliminate_line(axis, alpha, pivots);
    }
    let (m, width) = (axis.nodes(), alpha.len());
    let k = &axis.stiffness;
    for (l, &alpha) in alpha.iter().enumerate() {
        // What couples the row to a wall, and to the last row, with those before eliminated.
        let (mut wall, mut last_wall, mut far) = (0.0, 0.0, k[0]);
        for j in 0..m {
            wall += alpha * axis.mass[j];
            let last = j + 1 == m;
            let next = if last { 0.0 } else { k[j + 1] };
            if last {
                (far, wall) = (0.0, wall + last_wall);
            }
            let pivot = wall + next + far;
            pivots[j * width + l] = T::rounded(if pivot > 0.0 { 1.0 / pivot } else { 0.0 });
            if last {
                break;
            }
            let part = wall / pivot;
            around[j * width + l] = T::rounded(far);
            if j + 2 == m {
                // The next row is the last one.
                wall = (next + far) * part;
                continue;
            }
            last_wall += far * part;
            far = next * (far / pivot);
            if far < TINY * next {
                far = 0.0;
            }
            wall = next * part;
        }
    }
}

/// The same between ends, the modes side by side.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn eliminate_line<T: Number>(axis: &Axis, alpha: &[f64], pivots: &mut [T]) {
    // What couples the row to a wall, with those before eliminated.
    let mut walls = vec![axis.stiffness[0]; alpha.len()];
    let rows = pivots.chunks_exact_mut(alpha.len().max(1));
    for ((pivots, &mass), &next) in rows.zip(&axis.mass).zip(&axis.stiffness[1..]) {
        for ((to, wall), &alpha) in pivots.iter_mut().zip(&mut walls).zip(alpha) {
            let held = *wall + alpha * mass;
            let pivot = held + next;
            *to = T::rounded(if pivot > 0.0 { 1.0 / pivot } else { 0.0 });
            *wall = next * (held / pivot);
        }
    }
}

/// Where right-hand sides come from: rows, numbers in a row, the first of the block's and how many.
type Source<'a, T> = (&'a [T], usize, usize, usize);

/// What the systems of a block are solved with.
#[derive(Clone, Copy)]
struct Block<'a, T> {
    scale: &'a [T],
    coupling: &'a [T],
    pivots: &'a [T],
    around: &'a [T],
}

/// Solves the systems of a block of `width` modes; right-hand sides stand in `modes` or come from `source`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn substitute<T: Number>(
    width: usize,
    source: Option<Source<'_, T>>,
    block: Block<'_, T>,
    modes: &mut [T],
) {
    match width {
        8 => substitute_block::<T, 8>(source, block, modes),
        16 => substitute_block::<T, 16>(source, block, modes),
        32 => substitute_block::<T, 32>(source, block, modes),
        _ => substitute_block::<T, MODES>(source, block, modes),
    }
}

#[inline(always)]
fn substitute_block<T: Number, const WIDTH: usize>(
    source: Option<Source<'_, T>>,
    block: Block<'_, T>,
    modes: &mut [T],
) {
    let Block { scale, coupling, pivots, around } = block;
    let mut y = [T::ZERO; WIDTH];
    let mut last = [T::ZERO; WIDTH];
    let count = coupling.len();
    let rows = modes.chunks_exact_mut(WIDTH).zip(pivots.chunks_exact(WIDTH)).zip(coupling);
    for (j, ((to, c), &k)) in rows.enumerate() {
        if let Some((x, stride, first, count)) = source {
            to[..count].copy_from_slice(&x[j * stride + first..][..count]);
        }
        if !around.is_empty() && j + 1 == count {
            to.iter_mut().zip(scale).for_each(|(to, s)| *to = *to * *s);
            to.iter_mut().zip(&last).for_each(|(to, last)| *to += *last);
            for ((to, y), &c) in to.iter_mut().zip(&mut y).zip(c) {
                *y = (*to + k * *y) * c;
                *to = *y;
            }
            break;
        }
        for (((to, y), &c), &s) in to.iter_mut().zip(&mut y).zip(c).zip(scale) {
            *y = (s * *to + k * *y) * c;
            *to = *y;
        }
        if !around.is_empty() {
            let far = &around[j * WIDTH..(j + 1) * WIDTH];
            for ((last, y), &far) in last.iter_mut().zip(&y).zip(far) {
                *last += far * *y;
            }
        }
    }
    let mut x = [T::ZERO; WIDTH];
    let mut end = [T::ZERO; WIDTH];
    let mut next = T::ZERO;
    let rows = modes.chunks_exact_mut(WIDTH).zip(pivots.chunks_exact(WIDTH)).zip(coupling);
    for (j, ((to, c), &k)) in rows.enumerate().rev() {
        if around.is_empty() || j + 1 == count {
            for ((to, x), &c) in to.iter_mut().zip(&mut x).zip(c) {
                *x = *to + c * (next * *x);
                *to = *x;
            }
        } else {
            let far = &around[j * WIDTH..(j + 1) * WIDTH];
            for ((((to, x), &c), &far), end) in to.iter_mut().zip(&mut x).zip(c).zip(far).zip(&end)
            {
                *x = *to + c * (next * *x + far * *end);
                *to = *x;
            }
        }
        if j + 1 == count {
            end = x;
        }
        next = k;
    }
}

impl Free {
    fn new(mode: usize, axis: &Axis, weight: f64) -> Self {
        let m = axis.nodes() as f64;
        let inner = &axis.stiffness[1..axis.nodes().max(2)];
        let coupling = inner.iter().sum::<f64>() / inner.len() as f64;
        let mass = axis.mass.iter().sum::<f64>() / m;
        let longest = (std::f64::consts::PI / m).powi(2);
        let level = if coupling > 0.0 { longest * coupling / mass } else { 1.0 / mass };
        Free { mode, axis: axis.clone(), scale: 1.0 / weight, level }
    }

    /// Replaces right-hand sides by the solution: fluxes added up, then differences; no part of it constant but
    /// what the constant part of the right-hand side gives.
    fn solve(&self, x: &mut [f64]) {
        let (k, w, m) = (&self.axis.stiffness, &self.axis.mass, x.len());
        x.iter_mut().for_each(|x| *x *= self.scale);
        let mass: f64 = w.iter().sum();
        let sum = x.iter().sum::<f64>() / mass;
        let mut flux = 0.0;
        for (x, w) in x.iter_mut().zip(w) {
            flux += *x - sum * w;
            *x = flux;
        }
        // x[j] is what flows from row j to the next; around a ring all of it may be shifted.
        let around = if self.axis.periodic {
            let of = |j: usize| 1.0 / k[if j + 1 == m { 0 } else { j + 1 }];
            (0..m).map(|j| x[j] * of(j)).sum::<f64>() / (0..m).map(of).sum::<f64>()
        } else {
            0.0
        };
        let mut value = 0.0;
        for (j, x) in x.iter_mut().enumerate() {
            let flux = *x - around;
            *x = value;
            if j + 1 < m {
                value -= flux / k[j + 1];
            }
        }
        let mean = x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() / mass;
        x.iter_mut().for_each(|x| *x += sum / self.level - mean);
    }
}

impl<T: Number> Systems<T> {
    /// The systems of the modes with these sums of eigenvalues and weights, along `axis`, in blocks of `width`.
    pub fn new(axis: &Axis, modes: &[(f64, f64)], width: usize) -> Self {
        let (rows, count) = (axis.nodes(), modes.len());
        let room = count.div_ceil(width) * width;
        let mut pivots = vec![T::ZERO; room * rows];
        let mut around = vec![T::ZERO; if axis.periodic { room * rows } else { 0 }];
        let length = (width * rows).max(1);
        for (block, pivots) in pivots.chunks_exact_mut(length).enumerate() {
            let alpha: Vec<f64> = (0..width)
                .map(|l| modes.get(block * width + l).map_or(f64::INFINITY, |mode| mode.0))
                .collect();
            let around = match axis.periodic {
                true => &mut around[block * length..(block + 1) * length],
                false => &mut [],
            };
            let known = alpha.iter().take_while(|alpha| alpha.is_finite()).count();
            match known == width {
                true => eliminate(axis, &alpha, pivots, around),
                false => partly(axis, &alpha[..known], width, pivots, around),
            }
        }
        let scale = (0..room).map(|q| T::rounded(modes.get(q).map_or(0.0, |mode| 1.0 / mode.1)));
        let inner = |j: usize| if j == 0 { 0.0 } else { axis.stiffness[j] };
        let singular = modes.iter().position(|mode| mode.0 == 0.0).filter(|_| axis.is_free());
        Systems {
            rows,
            count,
            width,
            scale: scale.collect(),
            coupling: (0..rows).map(|j| T::rounded(inner(j))).collect(),
            pivots,
            around,
            free: singular.map(|mode| Free::new(mode, axis, modes[mode].1)),
        }
    }

    /// Numbers in the blocks of all modes.
    pub fn len(&self) -> usize {
        self.pivots.len()
    }

    pub fn bytes(&self) -> usize {
        size_of::<T>() * (self.pivots.len() + self.around.len() + self.scale.len())
    }

    /// Modes in a block.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Numbers that the singular system is solved in, if there is one.
    pub fn spare(&self) -> Vec<f64> {
        vec![0.0; if self.free.is_some() { self.rows } else { 0 }]
    }

    /// The `count` numbers of block `block` in row `row`.
    pub fn part(&self, block: usize, row: usize, count: usize) -> Range<usize> {
        let at = (block * self.rows + row) * self.width;
        at..at + count
    }

    /// Solves all systems in `modes`, on the threads of `host`. Right-hand sides stand there, or are the rows
    /// of a source, so many numbers apart.
    ///
    /// # Errors
    /// What the host reports.
    pub fn solve(
        &self,
        host: &dyn Host,
        source: Option<(&[T], usize)>,
        modes: &mut [T],
        spare: &mut [f64],
    ) -> Result<()> {
        let Systems { rows, count, width, .. } = self;
        let (blocks, length) = (count.div_ceil(*width), width * rows);
        let place = |mode: usize, row: usize| self.part(mode / width, row, 1).start + mode % width;
        if let Some(free) = &self.free {
            for (row, value) in spare.iter_mut().enumerate() {
                *value = match source {
                    Some((x, stride)) => x[row * stride + free.mode].widened(),
                    None => modes[place(free.mode, row)].widened(),
                };
            }
            free.solve(spare);
        }
        let grain = super::GRAIN.div_ceil(length.max(1));
        chunks::rows(host, blocks, grain, [(&mut *modes, length)], |run, [modes]| {
            for (block, modes) in run.zip(modes.chunks_exact_mut(length)) {
                let first = block * width;
                let source =
                    source.map(|(x, stride)| (x, stride, first, (*width).min(count - first)));
                let part = |all| self.block(all, block * length, length);
                let with = Block {
                    scale: &self.scale[first..first + width],
                    coupling: &self.coupling,
                    pivots: part(&self.pivots),
                    around: part(&self.around),
                };
                substitute(*width, source, with, modes);
            }
            Ok(())
        })?;
        if let Some(free) = &self.free {
            for (row, value) in spare.iter().enumerate() {
                modes[place(free.mode, row)] = T::rounded(*value);
            }
        }
        Ok(())
    }

    fn block<'a>(&self, all: &'a [T], at: usize, length: usize) -> &'a [T] {
        if all.is_empty() { all } else { &all[at..at + length] }
    }
}

/// [`eliminate`] for a block that is not full.
fn partly<T: Number>(axis: &Axis, alpha: &[f64], width: usize, pivots: &mut [T], around: &mut [T]) {
    let known = alpha.len();
    let mut few = vec![T::ZERO; known * axis.nodes()];
    let mut few_around = vec![T::ZERO; if axis.periodic { few.len() } else { 0 }];
    eliminate(axis, alpha, &mut few, &mut few_around);
    for (all, few) in [(pivots, few), (around, few_around)] {
        let rows = all.chunks_exact_mut(width).zip(few.chunks_exact(known.max(1)));
        rows.for_each(|(all, few)| all[..known].copy_from_slice(few));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Alone;

    fn axis(m: usize, ends: [f64; 2], periodic: bool) -> Axis {
        let mut stiffness: Vec<f64> = (0..=m).map(|i| 1.0 + 0.5 * (1.3 * i as f64).sin()).collect();
        let (first, last) = if periodic { (0.7, 0.7) } else { (ends[0], ends[1]) };
        (stiffness[0], stiffness[m]) = (first, last);
        let mass = (0..m).map(|i| 1.0 + 0.4 * (i as f64).cos()).collect();
        Axis { stiffness, mass, periodic }
    }

    /// (α M + K) x.
    fn product(axis: &Axis, alpha: f64, x: &[f64]) -> Vec<f64> {
        let (k, m) = (&axis.stiffness, x.len());
        let at = |j: usize| {
            let before = match j {
                0 if axis.periodic => x[m - 1],
                0 => 0.0,
                _ => x[j - 1],
            };
            let after = match j + 1 == m {
                true if axis.periodic => x[0],
                true => 0.0,
                false => x[j + 1],
            };
            alpha * axis.mass[j] * x[j] + axis.diagonal(j) * x[j] - k[j] * before - k[j + 1] * after
        };
        (0..m).map(at).collect()
    }

    fn solved(
        axis: &Axis,
        modes: &[(f64, f64)],
        width: usize,
        r: &dyn Fn(usize, usize) -> f64,
    ) -> Vec<Vec<f64>> {
        let systems = Systems::<f64>::new(axis, modes, width);
        let (mut x, mut spare) = (vec![0.0; systems.len()], systems.spare());
        let at = |q: usize, j: usize| systems.part(q / width, j, width).start + q % width;
        for (q, j) in (0..modes.len()).flat_map(|q| (0..axis.nodes()).map(move |j| (q, j))) {
            x[at(q, j)] = r(q, j);
        }
        systems.solve(&Alone, None, &mut x, &mut spare).expect("no host to fail");
        (0..modes.len()).map(|q| (0..axis.nodes()).map(|j| x[at(q, j)]).collect()).collect()
    }

    #[test]
    fn systems_are_solved_on_chains_and_rings_of_any_length() {
        let modes: Vec<(f64, f64)> =
            (0..77).map(|q| (1e-9 + 0.1 * q as f64, 0.5 + q as f64)).collect();
        let value = |q: usize, j: usize| ((31 * q + 7 * j) as f64).sin();
        for (m, periodic) in [(1, false), (2, false), (9, false), (3, true), (4, true), (40, true)]
        {
            for ends in [[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]] {
                let axis = axis(m, ends, periodic);
                let r = |q: usize, j: usize| {
                    let x: Vec<f64> = (0..m).map(|j| value(q, j)).collect();
                    modes[q].1 * product(&axis, modes[q].0, &x)[j]
                };
                let whole = solved(&axis, &modes, MODES, &r);
                for (q, x) in whole.iter().enumerate() {
                    // Constants are told from nothing by the smallest eigenvalue only.
                    let slack = 1e-13 / modes[q].0.min(1e-2);
                    let off = (0..m).map(|j| (x[j] - value(q, j)).abs()).fold(0.0, f64::max);
                    assert!(off < slack, "{m} {ends:?} {periodic} mode {q}: {off:e}");
                }
                for width in WIDTHS {
                    assert_eq!(solved(&axis, &modes, width, &r), whole);
                }
            }
        }
    }

    #[test]
    fn constants_have_an_eigenvalue_of_their_own_where_nothing_holds() {
        for (m, periodic) in [(1, false), (2, false), (12, false), (12, true)] {
            let axis = axis(m, [0.0, 0.0], periodic);
            let mass: f64 = axis.mass.iter().sum();
            let value = |j: usize| (3.0 * j as f64).sin();
            let mean = (0..m).map(|j| value(j) * axis.mass[j]).sum::<f64>() / mass;
            let x: Vec<f64> = (0..m).map(|j| value(j) - mean).collect();
            let r = product(&axis, 0.0, &x);
            let found = &solved(&axis, &[(0.0, 2.0)], 8, &|_, j| 2.0 * r[j])[0];
            assert!(found.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {x:?}");
            let constant = &solved(&axis, &[(0.0, 1.0)], 8, &|_, j| axis.mass[j])[0];
            assert!(
                constant[0] > 0.0 && constant.iter().all(|x| (x / constant[0] - 1.0).abs() < 1e-12)
            );
        }
    }

    #[test]
    fn blocks_are_as_wide_as_they_can_be_filled() {
        assert_eq!(
            [1, 8, 15, 31, 32, 63, 64, 65, 100, 511].map(width),
            [8, 8, 16, 32, 32, 64, 64, 16, 16, 64]
        );
    }
}
