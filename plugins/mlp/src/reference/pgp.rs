//! The reference map and its symmetric smoothing as operators on planes, built from network outputs.
//!
//! `M = P A0⁻¹ Pᵀ + R Rᵀ`, wrapped once: `M₂ = 2S − S A S + (I − S A) M (I − A S)`.
//!
//! A node's outputs become, in this order,
//! - 8 entries of its row of `P`, a nine-point stencil whose rows sum to one (boundary nodes counted),
//! - 5 of its row of the half stencil `R`, scaled by `2/√a_ii`,
//! - its part of `S`: a diagonal `2σ(o)/Σ_j|a_ij|`, which makes `0 < S < 2A⁻¹` and so `M₂` symmetric
//!   positive definite whatever the weights are ([`Variant::Spd`]), or 5 entries of a symmetric
//!   nine-point stencil scaled from both sides ([`Variant::Stencil`]), or the relaxation `ω/a_ii` of a
//!   symmetric Gauss–Seidel sweep, `ω = 2σ(o)`, definite for any weights as well ([`Variant::Sweep`]).

use std::ops::Range;

use precondor_sdk::schemars::JsonSchema;
use precondor_sdk::serde::{Deserialize, Serialize};

use crate::reference::evaluate::LANES;
use crate::reference::stencil::{AROUND, HALF, Kind, Stencil};
use crate::reference::sweep::Sweep;
use precondor_neural::number::Number;
use precondor_sdk::core::kernel::bands::{BANDS, Bands};
use precondor_sdk::core::kernel::grid::Grid;

/// The form of the smoother `S`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Variant {
    /// Diagonal; positive definite for any weights.
    #[default]
    Spd,
    /// Nine-point; fewer iterations, positive definite only as far as observed.
    Stencil,
    /// A symmetric Gauss-Seidel sweep, relaxed node by node; positive definite for any weights.
    Sweep,
}

/// Outputs for `P` and `R`, which stand before those for `S`.
const BEFORE_S: usize = AROUND.len() + HALF.len();

/// The most outputs of any variant.
pub const OUTPUTS: usize = BEFORE_S + HALF.len();

/// Numbers that describe a node to the network.
pub const FEATURES: usize = 5;

/// The nodes around a node whose features the network sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Patch {
    /// The node alone: its diagonal entry and three of its six couplings.
    Node,
    /// The node and those it is coupled to: seven.
    Pattern,
    /// All nine of the 3 × 3 square.
    #[default]
    Square,
}

impl Patch {
    /// The nodes, row after row.
    pub fn nodes(self) -> &'static [(isize, isize)] {
        const SQUARE: [(isize, isize); 9] =
            [(-1, -1), (0, -1), (1, -1), (-1, 0), (0, 0), (1, 0), (-1, 1), (0, 1), (1, 1)];
        const PATTERN: [(isize, isize); 7] =
            [(-1, -1), (0, -1), (-1, 0), (0, 0), (1, 0), (0, 1), (1, 1)];
        match self {
            Patch::Node => &SQUARE[4..5],
            Patch::Pattern => &PATTERN,
            Patch::Square => &SQUARE,
        }
    }

    /// Network inputs.
    pub fn inputs(self) -> usize {
        FEATURES * self.nodes().len()
    }

    /// The patch that a network with so many inputs sees.
    fn of(inputs: usize) -> Self {
        let all = [Patch::Node, Patch::Pattern];
        all.into_iter().find(|patch| patch.inputs() == inputs).unwrap_or(Patch::Square)
    }
}

/// `σ` stays this far from 0 and 1.
const SIGMA_MARGIN: f64 = 1e-4;

/// Where `σ` starts: at about 0.6, a damped Jacobi smoother.
const SIGMA_START: f64 = 0.4;

/// Where it starts for a sweep: without relaxation.
const SWEEP_START: f64 = 0.0;

/// Where the centre of a nine-point `S` starts.
const CENTRE_START: f64 = 0.15;

impl Variant {
    /// Network outputs a node.
    pub fn outputs(self) -> usize {
        BEFORE_S + self.smoother().len()
    }

    /// Rows on each side that a row of `S x` follows from.
    pub fn reach(self) -> usize {
        match self {
            Variant::Spd => 0,
            Variant::Stencil => 1,
            Variant::Sweep => 2,
        }
    }

    fn smoother(self) -> &'static [(isize, isize)] {
        match self {
            Variant::Spd | Variant::Sweep => &HALF[..1],
            Variant::Stencil => &HALF,
        }
    }
}

/// A symmetric seven-point matrix as a stencil.
pub fn matrix_stencil<T: Number>(bands: &Bands) -> Stencil<T> {
    let mut a = Stencil::new(bands.grid, Kind::Symmetric, &BANDS);
    for (to, &from) in a.values.iter_mut().zip(&bands.values) {
        *to = T::rounded(from);
    }
    a
}

/// What the network and the decoding of its outputs need of a matrix: planes of numbers a node.
pub struct Description<T> {
    grid: Grid,
    /// [`FEATURES`] planes: `ln(D/4)/.25`, `(h + ¼)/.1`, `(v + ¼)/.1`, `g/.06` with `h, v, g` the couplings
    /// scaled by the roots of both diagonal entries, and 1 inside the grid.
    features: Vec<T>,
    /// `2/√a_ii`.
    scale: Vec<T>,
    /// `2/Σ_j|a_ij|`.
    row_sum: Vec<T>,
}

impl<T: Number> Description<T> {
    /// Describes a matrix.
    pub fn new(bands: &Bands) -> Self {
        Self::of_rows(bands, None, 0..bands.grid.my)
    }

    /// Describes some rows of the grid, as a grid of their own that has their neighbours in the whole for
    /// its border; and in what the matrix differs from one with the given coefficient at every node.
    pub fn of_rows(bands: &Bands, coefficient: Option<&[f64]>, rows: Range<usize>) -> Self {
        let Grid { mx, my } = bands.grid;
        let (grid, stride) = (Grid { mx, my: rows.len() }, bands.grid.stride());
        let plane = grid.plane();
        let mut out = Description {
            grid,
            features: vec![T::zero(); FEATURES * plane + LANES],
            scale: vec![T::zero(); plane],
            row_sum: vec![T::zero(); plane],
        };
        let values = [0, 1, 2, 3].map(|band| bands.plane(band));
        // 1/√d of a row and of the one above, zero where there is no node.
        let inverse_roots = |j: usize| -> Vec<f64> {
            let row = &values[0][(j + 1) * stride + 1..][..stride];
            row.iter().map(|&d| if d > 0.0 { 1.0 / d.sqrt() } else { 0.0 }).collect()
        };
        let first = rows.start.saturating_sub(1);
        let mut above = inverse_roots(first);
        for j in first..my.min(rows.end + 1) {
            let here = std::mem::replace(&mut above, inverse_roots(j + 1));
            let coefficient = coefficient.map(|c| &c[j * mx..][..mx]);
            let to = (j + 1 - rows.start) * stride + 1;
            let [d, h, v, g, one] = [0, 1, 2, 3, 4].map(|feature| feature * plane + to);
            for i in 0..mx {
                let at = (j + 1) * stride + 1 + i;
                let c = coefficient.map_or(1.0, |c| c[i]);
                out.features[d + i] = T::rounded((values[0][at] / (4.0 * c)).ln() / 0.25);
            }
            let pairs = [
                (h, 1, &here[1..], 0.25, 0.1),
                (v, 2, &above, 0.25, 0.1),
                (g, 3, &above[1..], 0.0, 0.06),
            ];
            for (to, band, there, shift, unit) in pairs {
                let band = &values[band][(j + 1) * stride + 1..][..mx];
                let out = &mut out.features[to..][..mx];
                // The coupling over both roots; nothing where there is no neighbour.
                for (((to, &value), &here), &there) in
                    out.iter_mut().zip(band).zip(&here).zip(there)
                {
                    let scaled = (value * here * there + shift) / unit;
                    *to = T::rounded(if there > 0.0 { scaled } else { 0.0 });
                }
            }
            out.features[one..][..mx].fill(T::one());
            for (i, (scale, row_sum)) in
                out.scale[to..][..mx].iter_mut().zip(&mut out.row_sum[to..][..mx]).enumerate()
            {
                let at = (j + 1) * stride + 1 + i;
                let [d, h, v, g] = values;
                let upper = h[at].abs() + v[at].abs() + g[at].abs();
                let lower = h[at - 1].abs() + v[at - stride].abs() + g[at - stride - 1].abs();
                *scale = T::rounded(2.0 * here[i]);
                *row_sum = T::rounded(2.0 / (d[at] + upper + lower));
            }
        }
        out
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The feature planes one after the other, continued so that [`LANES`] nodes
    /// may be read at any place of the body; and where the `inputs` numbers that a network wants of a node
    /// stand in them, counted from the place of its lower left neighbour.
    pub fn planes(&self, inputs: usize) -> (&[T], Vec<usize>) {
        let corner = self.grid.stride() + 1;
        let of = |feature: usize| {
            let start = corner + feature * self.grid.plane();
            let place = move |&node: &_| start.wrapping_add_signed(self.grid.offset(node));
            Patch::of(inputs).nodes().iter().map(place)
        };
        (&self.features, (0..FEATURES).flat_map(of).collect())
    }

    /// What the number of a diagonal smoother, or of a sweep, stays below.
    fn bound(&self, variant: Variant, at: usize) -> T {
        match variant {
            Variant::Sweep => T::rounded(0.5) * self.scale[at] * self.scale[at],
            _ => self.row_sum[at],
        }
    }

    /// Writes the coefficients of the nodes in `body` (a part of the grid's body) to `to`, that part of
    /// [`Stencils::planes_mut`], from columns `column …` of the network's outputs (rows of `columns`
    /// numbers).
    pub fn decode(
        &self,
        body: Range<usize>,
        outputs: &[T],
        columns: usize,
        column: usize,
        (variant, to): (Variant, [&mut [T]; OUTPUTS]),
    ) {
        let grid = self.grid;
        let row = |k: usize| &outputs[k * columns + column..][..body.len()];
        let inside = &self.features[(FEATURES - 1) * grid.plane()..][body.clone()];
        let scale = &self.scale[body.clone()];
        let start = T::rounded(if variant == Variant::Sweep { SWEEP_START } else { SIGMA_START });
        for (k, to) in to.into_iter().enumerate().filter(|(_, to)| !to.is_empty()) {
            let places = to.iter_mut().zip(row(k));
            if k < AROUND.len() {
                places.zip(inside).for_each(|((to, &o), &one)| *to = o * one);
            } else if k < BEFORE_S {
                places.zip(scale).for_each(|((to, &o), &s)| *to = o * s);
            } else if variant != Variant::Stencil {
                for ((to, &o), at) in places.zip(body.clone()) {
                    *to = self.bound(variant, at) * sigma(o + start);
                }
            } else {
                let start = if k == BEFORE_S { T::rounded(CENTRE_START) } else { T::zero() };
                let there = body.start.wrapping_add_signed(grid.offset(HALF[k - BEFORE_S]));
                let pairs = scale.iter().zip(&self.scale[there..there + body.len()]);
                places.zip(pairs).for_each(|((to, &o), (&s, &t))| *to = (o + start) * s * t);
            }
        }
    }

    /// Writes the network's inputs for `body` (a part of the grid's body) to columns `column …` of
    /// `inputs`, which has [`Patch::inputs`] rows of `columns` numbers.
    pub fn patches(
        &self,
        patch: Patch,
        body: Range<usize>,
        inputs: &mut [T],
        columns: usize,
        column: usize,
    ) {
        let mut rows = inputs.chunks_exact_mut(columns);
        for feature in self.features.chunks_exact(self.grid.plane()).take(FEATURES) {
            for &node in patch.nodes() {
                let from = body.start.wrapping_add_signed(self.grid.offset(node));
                if let Some(row) = rows.next() {
                    row[column..column + body.len()]
                        .copy_from_slice(&feature[from..from + body.len()]);
                }
            }
        }
    }
}

/// The three stencils the network gives.
#[derive(Clone, Debug)]
pub struct Stencils<K> {
    /// Interpolation between the shifted and the unshifted mesh.
    pub p: Stencil<K>,
    /// Local correction.
    pub r: Stencil<K>,
    /// Smoother; for [`Variant::Sweep`] the numbers `ω(i)/a_ii`.
    pub s: Stencil<K>,
    variant: Variant,
}

impl<K: Number> Stencils<K> {
    /// All coefficients zero.
    pub fn new(grid: Grid, variant: Variant) -> Self {
        Stencils {
            p: Stencil::new(grid, Kind::UnitRows, &AROUND),
            r: Stencil::new(grid, Kind::Rows, &HALF),
            s: Stencil::new(grid, Kind::Symmetric, variant.smoother()),
            variant,
        }
    }

    /// The form of the smoother.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// The sweep that is the smoother for the matrix `a`, where one is.
    pub fn sweep<'a, T: Number>(&'a self, a: &'a Stencil<T>) -> Option<Sweep<'a, K, T>>
    where
        K: Into<T>,
    {
        (self.variant == Variant::Sweep).then(|| Sweep::new(a, self.s.plane(0)))
    }

    /// `y += S x` for the matrix `a`; `spare` is a plane of work space.
    pub fn smooth<T: Number>(&self, a: &Stencil<T>, x: &[T], spare: &mut [T], y: &mut [T])
    where
        K: Into<T>,
    {
        let Some(sweep) = self.sweep(a) else {
            return self.s.add(x, T::one(), y);
        };
        spare.copy_from_slice(x);
        sweep.apply(spare);
        y.iter_mut().zip(&*spare).for_each(|(y, &s)| *y = *y + s);
    }

    /// Adds to `self`, the derivative by the coefficients, that of `gᵀ S x` where `at` are the coefficients.
    pub fn add_smoother_derivative(&mut self, at: &Stencils<K>, a: &Stencil<K>, g: &[K], x: &[K]) {
        match at.sweep(a) {
            Some(sweep) => sweep.add_derivative(g, x, self.s.plane_mut(0)),
            None => self.s.add_derivative(g, x),
        }
    }

    /// Sets all coefficients to zero.
    pub fn clear(&mut self) {
        for stencil in [&mut self.p, &mut self.r, &mut self.s] {
            stencil.values.fill(K::zero());
        }
    }

    /// Bytes of the coefficients.
    pub fn bytes(&self) -> usize {
        self.p.bytes() + self.r.bytes() + self.s.bytes()
    }

    /// Stored coefficients of a node.
    pub fn entries_a_node(&self) -> usize {
        [&self.p, &self.r, &self.s].map(|stencil| stencil.offsets().len()).iter().sum()
    }

    /// All planes of coefficients in the order of the outputs, then empty ones.
    pub fn planes_mut(&mut self) -> [&mut [K]; OUTPUTS] {
        let Stencils { p, r, s, .. } = self;
        let mut planes = [p, r, s].into_iter().flat_map(Stencil::planes_mut);
        std::array::from_fn(|_| planes.next().unwrap_or_default())
    }

    /// Sets the coefficients of the nodes in `body` from columns `column …` of the network's outputs
    /// (rows of `columns` numbers).
    pub fn decode(
        &mut self,
        description: &Description<K>,
        body: Range<usize>,
        outputs: &[K],
        columns: usize,
        column: usize,
    ) {
        let variant = self.variant;
        let part = |plane: &mut [K]| if plane.is_empty() { 0..0 } else { body.clone() };
        let parts = self.planes_mut().map(|plane| {
            let part = part(plane);
            &mut plane[part]
        });
        description.decode(body, outputs, columns, column, (variant, parts));
    }

    /// The transpose of the derivative of [`decode`](Self::decode): turns `self`, the derivative by the
    /// coefficients, into that by the outputs. `decoded` are the coefficients that `decode` set.
    pub fn encode_derivative(
        &self,
        description: &Description<K>,
        decoded: &Stencils<K>,
        outputs: &mut [K],
        columns: usize,
        column: usize,
    ) {
        let grid = description.grid;
        let body = grid.body();
        let scale = &description.scale;
        let n = body.len();
        let inside = &description.features[(FEATURES - 1) * grid.plane()..][body.clone()];
        let row = |k: usize| k * columns + column..k * columns + column + n;
        for c in 0..AROUND.len() {
            let places = outputs[row(c)].iter_mut();
            for ((to, &d), &one) in places.zip(&self.p.plane(c)[body.clone()]).zip(inside) {
                *to = d * one;
            }
        }
        for c in 0..HALF.len() {
            let places = outputs[row(AROUND.len() + c)].iter_mut();
            let from = self.r.plane(c)[body.clone()].iter();
            for ((to, &d), &s) in places.zip(from).zip(&scale[body.clone()]) {
                *to = d * s;
            }
        }
        if self.variant != Variant::Stencil {
            let places = outputs[row(BEFORE_S)].iter_mut();
            let from = self.s.plane(0)[body.clone()].iter();
            let values = decoded.s.plane(0)[body.clone()].iter();
            for (((to, &d), &s), at) in places.zip(from).zip(values).zip(body.clone()) {
                let two = description.bound(self.variant, at);
                *to = if two > K::zero() { d * two * sigma_slope(s / two) } else { K::zero() };
            }
        } else {
            for (c, &offset) in HALF.iter().enumerate() {
                let there = body.start.wrapping_add_signed(grid.offset(offset));
                let pairs = scale[body.clone()].iter().zip(&scale[there..there + n]);
                let from = self.s.plane(c)[body.clone()].iter();
                for ((to, &d), (&s, &t)) in
                    outputs[row(BEFORE_S + c)].iter_mut().zip(from).zip(pairs)
                {
                    *to = d * s * t;
                }
            }
        }
    }
}

/// The logistic function, kept away from 0 and 1.
fn sigma<T: Number>(o: T) -> T {
    let margin = T::rounded(SIGMA_MARGIN);
    let value = T::one() / (T::one() + (-o).exp());
    value.max(margin).min(T::one() - margin)
}

/// The slope of [`sigma`] where it has the given value.
fn sigma_slope<T: Number>(value: T) -> T {
    let margin = T::rounded(1.01 * SIGMA_MARGIN);
    if value <= margin || value >= T::one() - margin {
        return T::zero();
    }
    value * (T::one() - value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::stencil::tests::GRID;
    use precondor_neural::check::random_bands;
    use precondor_neural::random::Random;

    #[test]
    fn decoding_is_linear_or_logistic_and_its_derivative_agrees_with_differences() {
        for variant in [Variant::Spd, Variant::Stencil, Variant::Sweep] {
            let mut random = Random::new(6, 0);
            let bands = random_bands(&mut random, GRID);
            let description = Description::<f64>::new(&bands);
            let n = GRID.body().len();
            let mut outputs: Vec<f64> =
                (0..n * variant.outputs()).map(|_| random.unit() - 0.5).collect();
            let mut weights = Stencils::new(GRID, variant);
            for stencil in [&mut weights.p, &mut weights.r, &mut weights.s] {
                stencil.values.fill_with(|| random.unit() - 0.5);
            }
            let decode = |outputs: &[f64]| {
                let mut stencils = Stencils::new(GRID, variant);
                stencils.decode(&description, GRID.body(), outputs, n, 0);
                stencils
            };
            let value = |outputs: &[f64]| {
                let stencils = decode(outputs);
                let pairs = [
                    (&stencils.p, &weights.p),
                    (&stencils.r, &weights.r),
                    (&stencils.s, &weights.s),
                ];
                let dot = |(a, b): (&Stencil<f64>, &Stencil<f64>)| {
                    a.values.iter().zip(&b.values).map(|(a, b)| a * b).sum::<f64>()
                };
                pairs.into_iter().map(dot).sum::<f64>()
            };
            let mut derivative = vec![0.0; outputs.len()];
            weights.encode_derivative(&description, &decode(&outputs), &mut derivative, n, 0);
            for k in 0..outputs.len() {
                let at = outputs[k];
                outputs[k] = at + 1e-5;
                let up = value(&outputs);
                outputs[k] = at - 1e-5;
                let down = value(&outputs);
                outputs[k] = at;
                assert!(((up - down) / 2e-5 - derivative[k]).abs() < 1e-8, "{variant:?} {k}");
            }
        }
    }

    #[test]
    fn features_of_the_unshifted_mesh_are_zero_inside() {
        let mut random = Random::new(1, 0);
        let mut bands = random_bands(&mut random, GRID);
        let plane = GRID.plane();
        for (band, value) in [(0, 4.0), (1, -1.0), (2, -1.0), (3, 0.0)] {
            for v in &mut bands.values[band * plane..(band + 1) * plane] {
                *v = if *v == 0.0 { 0.0 } else { value };
            }
        }
        let description = Description::<f32>::new(&bands);
        assert!(description.features[..4 * plane].iter().all(|f| f.abs() < 1e-6));
        let inside: f32 = description.features[4 * plane..5 * plane].iter().sum();
        assert_eq!(inside, GRID.nodes() as f32);
    }

    #[test]
    fn rows_by_themselves_are_described_as_in_the_whole() {
        let bands = random_bands(&mut Random::new(3, 0), GRID);
        let whole = Description::<f32>::new(&bands);
        let (plane, stride) = (GRID.plane(), GRID.stride());
        for rows in [0..1, 0..GRID.my, 1..3, 2..GRID.my] {
            let part = Description::<f32>::of_rows(&bands, None, rows.clone());
            // With the rows below and above, zero where there are none.
            let length = (rows.len() + 2) * stride;
            let from = rows.start * stride;
            for feature in 0..FEATURES {
                let (here, there) = (feature * part.grid.plane(), feature * plane + from);
                assert_eq!(part.features[here..][..length], whole.features[there..][..length]);
            }
            assert_eq!(part.scale[..length], whole.scale[from..][..length]);
            assert_eq!(part.row_sum[..length], whole.row_sum[from..][..length]);
        }
    }

    #[test]
    fn patches_are_the_neighbours_features() {
        let mut random = Random::new(2, 0);
        let description = Description::<f32>::new(&random_bands(&mut random, GRID));
        let (columns, column) = (40, 3);
        let body = GRID.body();
        let node = body.start + GRID.stride() + 2;
        for patch in [Patch::Node, Patch::Pattern, Patch::Square] {
            let mut inputs = vec![-7.0f32; patch.inputs() * columns];
            description.patches(patch, body.clone(), &mut inputs, columns, column);
            let (planes, offsets) = description.planes(patch.inputs());
            let nodes = patch.nodes();
            assert_eq!(offsets.len(), nodes.len() * FEATURES);
            for feature in 0..FEATURES {
                for (k, &offset) in nodes.iter().enumerate() {
                    let there = node.wrapping_add_signed(GRID.offset(offset));
                    let row = feature * nodes.len() + k;
                    let input = inputs[row * columns + column + node - body.start];
                    assert_eq!(input, description.features[feature * GRID.plane() + there]);
                    assert_eq!(input, planes[node - GRID.stride() - 1 + offsets[row]]);
                }
            }
            assert!(inputs.chunks(columns).all(|row| row[column - 1] == -7.0));
        }
    }
}
