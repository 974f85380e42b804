//! A symmetric matrix on a structured grid as planes of single-precision numbers: the diagonal, and one coupling a node for
//! each direction that leads to a node of a higher number; no indices, and half of the entries.
//!
//! Vectors and planes that are coupled have a border: rows of mx + 2 numbers, in three dimensions layers of my + 2 rows, and a
//! layer before and behind. It is zero beyond the ends of the grid and repeats the nodes from the other side around rings
//! ([`Planes::close`]), so that no loop needs to know where the grid ends. Others are vectors of the grid's nodes alone.
//!
//! Cost of a product: 4(k + 1) bytes of the matrix a node, with k couplings (3 for linear elements in two dimensions, 7 in
//! three), and 4k + 1 flops.
use crate::positions::Walls;
use crate::shifted::Shifted;
use multiversion::multiversion;
use precondor_sdk::core::kernel::lattice::{CENTRE, Lattice, STEPS};
use precondor_sdk::prelude::*;

/// The matrix.
pub(crate) struct Planes {
    lattice: Lattice,
    /// Numbers from a row, and from a layer, to the next with the border; a layer is what one place along the last axis has.
    strides: [usize; 2],
    diagonal: Vec<f32>,
    /// One over the sum of the magnitudes of a row.
    pub scale: Vec<f32>,
    couplings: Vec<Coupling>,
}

/// What couples nodes to those so many places further.
struct Coupling {
    /// Its number in [`STEPS`].
    step: usize,
    further: usize,
    values: Vec<f32>,
}

/// Magnitudes, relative to the largest entry, that sums of rows are held to: beyond them single precision ends.
const RANGE: std::ops::Range<f64> = 1e-30..1e30;

impl Planes {
    /// The symmetric matrix `unit · a` of one rank, whose rows fit the grid; none where a row's numbers are too small for
    /// single precision.
    ///
    /// # Errors
    /// As [`Lattice::rows`].
    pub fn of(a: &DistCsr, lattice: Lattice, unit: f64) -> Result<Option<Self>> {
        let [mx, my, _] = lattice.dims;
        let row = mx + 2;
        let strides = [row, if lattice.dimension == 2 { row } else { row * (my + 2) }];
        let n = lattice.nodes();
        let (diagonal, scale) = (vec![0.0; n], vec![0.0; n]);
        let mut planes = Planes { lattice, strides, diagonal, scale, couplings: Vec::new() };
        let length = planes.length();
        let mut which: [Option<usize>; 27] = [None; 27];
        let mut fits = true;
        lattice.runs(a, |run| {
            let (at, width) = (planes.at(run.place), run.steps.len());
            for (e, &step) in run.steps.iter().enumerate() {
                let values = run.values[e..].iter().step_by(width);
                if step == CENTRE {
                    let to = planes.diagonal[run.row..][..run.count].iter_mut();
                    to.zip(values).for_each(|(to, v)| *to = (unit * v) as f32);
                } else if step > CENTRE {
                    let of_step = *which[step].get_or_insert_with(|| {
                        let further = planes.further(step);
                        let values = vec![0.0; length];
                        planes.couplings.push(Coupling { step, further, values });
                        planes.couplings.len() - 1
                    });
                    let to = planes.couplings[of_step].values[at..][..run.count].iter_mut();
                    to.zip(values).for_each(|(to, v)| *to = (unit * v) as f32);
                }
            }
            let [least, most] = sizes(run.values, unit, &mut planes.scale[run.row..][..run.count]);
            fits &= RANGE.contains(&least) && RANGE.contains(&most);
            Ok(())
        })?;
        let mut couplings = std::mem::take(&mut planes.couplings);
        couplings.retain(|coupling| coupling.values.iter().any(|v| *v != 0.0));
        for coupling in &mut couplings {
            for layer in 0..planes.layers() {
                let first = (layer + 1) * planes.layer();
                planes.close(&mut coupling.values[first..first + planes.layer()]);
            }
            planes.close_ends(&mut coupling.values);
        }
        couplings.sort_by_key(|coupling| coupling.further);
        Ok(fits.then_some(Planes { couplings, ..planes }))
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.lattice.dims[self.lattice.dimension - 1]
    }

    /// Numbers of a layer with its border.
    pub fn layer(&self) -> usize {
        self.strides[1]
    }

    /// Nodes of a layer.
    pub fn nodes(&self) -> usize {
        self.lattice.nodes() / self.layers()
    }

    /// Numbers of a vector with its border.
    pub fn length(&self) -> usize {
        self.layer() * (self.layers() + 2)
    }

    /// Whether the last layer is next to the first.
    pub fn is_ring(&self) -> bool {
        self.lattice.periodic[self.lattice.dimension - 1]
    }

    /// Numbers stored.
    pub fn stored_entries(&self) -> usize {
        (2 + self.couplings.len()) * self.diagonal.len()
    }

    pub fn bytes(&self) -> usize {
        let couplings: usize = self.couplings.iter().map(|coupling| coupling.values.len()).sum();
        4 * (2 * self.diagonal.len() + couplings)
    }

    /// Where a node is in a vector with a border.
    fn at(&self, [i, j, k]: [usize; 3]) -> usize {
        let [row, layer] = self.strides;
        match self.lattice.dimension {
            2 => (j + 1) * layer + 1 + i,
            _ => (k + 1) * layer + (j + 1) * row + 1 + i,
        }
    }

    /// How many places a step leads further; it is one to a node of a higher number.
    fn further(&self, step: usize) -> usize {
        let [x, y, z] = STEPS[step].map(isize::from);
        let [row, layer] = self.strides.map(|stride| stride as isize);
        let across = if self.lattice.dimension == 2 { y * layer } else { z * layer + y * row };
        (across + x).unsigned_abs()
    }

    /// How many places the next node along an axis is further.
    pub fn along(&self, axis: usize) -> usize {
        let [row, layer] = self.strides;
        [1, row, layer][axis]
    }

    /// A vector of the nodes with its border.
    pub fn bordered(&self, x: &[f32]) -> Vec<f32> {
        let (layer, nodes, mx) = (self.layer(), self.nodes(), self.lattice.dims[0]);
        let mut out = vec![0.0; self.length()];
        for (out, x) in out[layer..].chunks_exact_mut(layer).zip(x.chunks_exact(nodes)) {
            for (node, at) in self.rows() {
                out[at..at + mx].copy_from_slice(&x[node..node + mx]);
            }
            self.close(out);
        }
        self.close_ends(&mut out);
        out
    }

    /// The rows of a layer: where each begins among its nodes, and in a layer with its border.
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let ([mx, my, _], [row, _]) = (self.lattice.dims, self.strides);
        let (count, first) = if self.lattice.dimension == 2 { (1, 1) } else { (my, row + 1) };
        (0..count).map(move |j| (j * mx, first + j * row))
    }

    /// Repeats nodes of a layer in its border, around rings.
    pub fn close(&self, layer: &mut [f32]) {
        let ([mx, my, _], [row, _]) = (self.lattice.dims, self.strides);
        if self.lattice.periodic[0] {
            for (_, at) in self.rows() {
                (layer[at - 1], layer[at + mx]) = (layer[at + mx - 1], layer[at]);
            }
        }
        if self.lattice.dimension == 3 && self.lattice.periodic[1] {
            layer.copy_within(my * row..(my + 1) * row, 0);
            layer.copy_within(row..2 * row, (my + 1) * row);
        }
    }

    /// Repeats the last layer before the first, and the first behind the last, where they are next to each other.
    pub fn close_ends(&self, x: &mut [f32]) {
        if self.is_ring() {
            let (layer, layers) = (self.layer(), self.layers());
            x.copy_within(layers * layer..(layers + 1) * layer, 0);
            x.copy_within(layer..2 * layer, (layers + 1) * layer);
        }
    }

    /// `out = A x` in the row of a layer that begins at `node` of its nodes and at `at` with the border.
    #[inline(always)]
    fn product(&self, layer: usize, x: &[f32], at: usize, node: usize, out: &mut [f32]) {
        let n = out.len();
        let at = (layer + 1) * self.layer() + at;
        let node = layer * self.nodes() + node;
        let diagonal = &self.diagonal[node..node + n];
        let mut pairs = self.couplings.chunks_exact(2);
        for ((out, d), x) in out.iter_mut().zip(diagonal).zip(&x[at..at + n]) {
            *out = d * x;
        }
        for pair in &mut pairs {
            let [o, q] = [pair[0].further, pair[1].further];
            let [v, w] = [&pair[0].values, &pair[1].values];
            couple_two(
                out,
                [&v[at..], &x[at + o..], &v[at - o..], &x[at - o..]],
                [&w[at..], &x[at + q..], &w[at - q..], &x[at - q..]],
            );
        }
        for coupling in pairs.remainder() {
            let (o, v) = (coupling.further, &coupling.values);
            couple(out, [&v[at..], &x[at + o..], &v[at - o..], &x[at - o..]]);
        }
    }
}

impl Planes {
    /// `out = −A i`, with i the places along an axis, in the row of a layer that begins at `node` of its nodes and at `at` with the border
    /// (`positions.rs`).
    #[inline(always)]
    fn load(
        &self,
        (axis, walls): (usize, &Walls),
        layer: usize,
        at: usize,
        node: usize,
        out: &mut [f32],
    ) {
        let n = out.len();
        let first = (layer + 1) * self.layer() + at;
        out.fill(0.0);
        for Coupling { step, further, values } in &self.couplings {
            let along = f32::from(STEPS[*step][axis]);
            if along != 0.0 {
                let (here, back) = (&values[first..first + n], &values[first - further..][..n]);
                for i in 0..n {
                    out[i] += along * (back[i] - here[i]);
                }
            }
        }
        let place = match self.lattice.dimension {
            2 => [0, layer, 0],
            _ => [0, node / n, layer],
        };
        let held = |i: usize| {
            let of = |c: &Coupling| c.values[first + i] + c.values[first + i - c.further];
            let diagonal = self.diagonal[layer * self.nodes() + node + i];
            diagonal + self.couplings.iter().map(of).sum::<f32>()
        };
        let ends = if axis == 0 { [0..1, n - 1..n] } else { [0..n, 0..0] };
        for i in ends.into_iter().flatten() {
            let way = walls.way([i, place[1], place[2]], axis);
            if way != 0.0 {
                out[i] += way as f32 * held(i);
            }
        }
    }
}

/// One over the sums of the magnitudes of `unit` times the rows of `values`; the least and the largest sum, NaN where one is.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sizes(values: &[f64], unit: f64, scale: &mut [f32]) -> [f64; 2] {
    const LANES: usize = 8;
    let width = values.len() / scale.len().max(1);
    let (mut least, mut most, mut doubt) = ([f64::INFINITY; LANES], [0.0f64; LANES], 0.0);
    for (scale, rows) in scale.chunks_mut(LANES).zip(values.chunks(LANES * width)) {
        let (count, mut sums) = (scale.len(), [1.0f64; LANES]);
        for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(width)) {
            *sum = unit * row.iter().map(|v| v.abs()).sum::<f64>();
        }
        for l in 0..count {
            (least[l], most[l]) = (least[l].min(sums[l]), most[l].max(sums[l]));
            doubt += 0.0 * sums[l];
            scale[l] = (1.0 / sums[l]) as f32;
        }
    }
    let least = least.into_iter().fold(f64::INFINITY, f64::min);
    [least + doubt, most.into_iter().fold(0.0, f64::max) + doubt]
}

/// `out += v x + w y`.
#[inline(always)]
fn couple(out: &mut [f32], [v, x, w, y]: [&[f32]; 4]) {
    let n = out.len();
    let (v, x, w, y) = (&v[..n], &x[..n], &w[..n], &y[..n]);
    for i in 0..n {
        out[i] += v[i] * x[i] + w[i] * y[i];
    }
}

#[inline(always)]
fn couple_two(out: &mut [f32], [v, x, w, y]: [&[f32]; 4], [s, p, t, q]: [&[f32]; 4]) {
    let n = out.len();
    let (v, x, w, y) = (&v[..n], &x[..n], &w[..n], &y[..n]);
    let (s, p, t, q) = (&s[..n], &p[..n], &t[..n], &q[..n]);
    for i in 0..n {
        out[i] = out[i] + (v[i] * x[i] + w[i] * y[i]) + (s[i] * p[i] + t[i] * q[i]);
    }
}

/// What is done to a layer of nodes.
#[derive(Clone, Copy)]
pub(crate) enum Stage<'a> {
    /// r is the right-hand side times `scale`, and z the first step.
    Enter { r: &'a [f64], scale: f64, weight: f32 },
    /// r, the correction and the step are the right-hand side times `scale`, and z is zero.
    Take { r: &'a [f64], scale: f64 },
    /// r is −A i along an axis, and z the first step.
    Pull { axis: usize, walls: &'a Walls, weight: f32 },
    /// The step is the correction.
    Load,
    /// The correction is P times the last step, and so is the next.
    Interpolate(&'a Shifted),
    /// The correction is Pᵀ times the last step.
    Spread(&'a Shifted),
    /// The step, a correction, is taken off the residual and added to z with a first step of its own.
    First { weight: f32 },
    /// The step is taken off the residual; the next one is of this weight times that and the other one times the last.
    Step { weights: [f32; 2] },
    /// The step is taken off the residual, which becomes the correction, too, and the next step.
    Residual,
}

/// Vectors of the nodes of some layers: residual, sum of the steps, correction.
pub(crate) struct Layers<'a> {
    pub r: &'a mut [f32],
    pub z: &'a mut [f32],
    pub c: &'a mut [f32],
}

impl Planes {
    /// Does `stage` in one layer: `step` is the last step of all layers with their borders, `next` becomes the one of this
    /// layer, `at` are vectors of its nodes.
    pub fn stage(
        &self,
        stage: Stage<'_>,
        layer: usize,
        step: &[f32],
        next: &mut [f32],
        at: Layers<'_>,
    ) {
        staged(self, stage, layer, step, next, at);
        if !matches!(stage, Stage::Spread(_)) {
            self.close(next);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn staged<'a>(
    a: &Planes,
    stage: Stage<'a>,
    layer: usize,
    step: &[f32],
    next: &mut [f32],
    at: Layers<'a>,
) {
    let mx = a.lattice.dims[0];
    let first = layer * a.nodes();
    for (node, place) in a.rows() {
        let out = &mut next[place..place + mx];
        let [r, z, c] = [&mut *at.r, &mut *at.z, &mut *at.c].map(|v| &mut v[node..node + mx]);
        let scale = &a.scale[first + node..][..mx];
        match stage {
            Stage::Enter { r: given, scale: unit, weight } => {
                let given = &given[first + node..][..mx];
                for i in 0..mx {
                    r[i] = (unit * given[i]) as f32;
                    z[i] = weight * scale[i] * r[i];
                    out[i] = z[i];
                }
            }
            Stage::Pull { axis, walls, weight } => {
                a.load((axis, walls), layer, place, node, r);
                for i in 0..mx {
                    z[i] = weight * scale[i] * r[i];
                    out[i] = z[i];
                }
            }
            Stage::Take { r: given, scale: unit } => {
                let given = &given[first + node..][..mx];
                for i in 0..mx {
                    r[i] = (unit * given[i]) as f32;
                }
                z.fill(0.0);
                c.copy_from_slice(r);
                out.copy_from_slice(r);
            }
            Stage::Load => out.copy_from_slice(c),
            Stage::Interpolate(shifted) => {
                shifted.interpolate(step, (layer + 1) * a.strides[1] + place, out);
                c.copy_from_slice(out);
            }
            Stage::Spread(shifted) => {
                shifted.spread(step, (layer + 1) * a.strides[1] + place, c);
            }
            Stage::First { weight } => {
                a.product(layer, step, place, node, out);
                for i in 0..mx {
                    r[i] -= out[i];
                    out[i] = weight * scale[i] * r[i];
                    z[i] = z[i] + c[i] + out[i];
                }
            }
            Stage::Step { weights: [of_rest, of_step] } => {
                a.product(layer, step, place, node, out);
                let last = &step[(layer + 1) * a.strides[1] + place..][..mx];
                for i in 0..mx {
                    r[i] -= out[i];
                    out[i] = of_rest * scale[i] * r[i] + of_step * last[i];
                    z[i] += out[i];
                }
            }
            Stage::Residual => {
                a.product(layer, step, place, node, out);
                r.iter_mut().zip(&*out).for_each(|(r, out)| *r -= out);
                c.copy_from_slice(r);
                out.copy_from_slice(r);
            }
        }
    }
}
