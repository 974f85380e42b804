//! P and Pᵀ of shifted nodes (`transfer.rs`) in single precision, on the planes of a grid (`planes.rs`): one number a node for each
//! axis, how far the node is from its place; no entries.
//!
//! Cost, d axes: 4d bytes a node; 9 or 23 flops a node for each pair of axes and 7 for each axis.
use crate::planes::Planes;
use crate::positions::Shifts;

/// The shifts, with a border.
pub(crate) struct Shifted {
    axes: Vec<Axis>,
}

struct Axis {
    /// Places from a node to the next one along the axis.
    further: usize,
    by: Vec<f32>,
}

impl Shifted {
    pub fn new(planes: &Planes, shifts: &Shifts) -> Self {
        let spread = |(axis, values): (usize, &Vec<f32>)| Axis {
            further: planes.along(axis),
            by: planes.bordered(values),
        };
        Shifted { axes: shifts.axes.iter().enumerate().map(spread).collect() }
    }

    pub fn stored_entries(&self, nodes: usize) -> usize {
        self.axes.len() * nodes
    }

    pub fn bytes(&self) -> usize {
        self.axes.iter().map(|axis| 4 * axis.by.len()).sum()
    }

    /// All pairs of axes.
    fn pairs(&self) -> impl Iterator<Item = (&Axis, &Axis)> {
        let all = self.axes.iter().enumerate();
        all.flat_map(|(k, first)| self.axes[k + 1..].iter().map(move |second| (first, second)))
    }

    /// `out = P x` in the row that begins at `at`.
    #[inline(always)]
    pub fn interpolate(&self, x: &[f32], at: usize, out: &mut [f32]) {
        let n = out.len();
        let part = |from: usize| &x[from..from + n];
        let middle = part(at);
        out.copy_from_slice(middle);
        for Axis { further: o, by } in &self.axes {
            let (by, up, down) = (&by[at..at + n], part(at + o), part(at - o));
            for i in 0..n {
                let curve = (up[i] - middle[i]) + (down[i] - middle[i]);
                out[i] += 0.5 * by[i] * ((up[i] - down[i]) + by[i] * curve);
            }
        }
        for (one, two) in self.pairs() {
            let (o, q) = (one.further, two.further);
            let (a, b) = (&one.by[at..at + n], &two.by[at..at + n]);
            let [uu, dd] = [part(at + o + q), part(at - o - q)];
            let [ud, du] = [part(at + o - q), part(at + q - o)];
            for i in 0..n {
                out[i] += 0.25 * a[i] * b[i] * ((uu[i] + dd[i]) - (ud[i] + du[i]));
            }
        }
    }

    /// `out = Pᵀ x` in the row that begins at `at`.
    #[inline(always)]
    pub fn spread(&self, x: &[f32], at: usize, out: &mut [f32]) {
        let n = out.len();
        let part = |from: usize| &x[from..from + n];
        out.copy_from_slice(part(at));
        for Axis { further: o, by } in &self.axes {
            let of = |from: usize| &by[from..from + n];
            let (middle, up, down) = (part(at), part(at + o), part(at - o));
            let (here, above, below) = (of(at), of(at + o), of(at - o));
            for i in 0..n {
                let from_below = down[i] * below[i] * (below[i] + 1.0);
                let from_above = up[i] * above[i] * (above[i] - 1.0);
                out[i] += 0.5 * (from_below + from_above) - middle[i] * here[i] * here[i];
            }
        }
        for (one, two) in self.pairs() {
            let (o, q) = (one.further, two.further);
            let product = |from: usize| {
                (&x[from..from + n], &one.by[from..from + n], &two.by[from..from + n])
            };
            let [uu, dd] = [product(at + o + q), product(at - o - q)];
            let [ud, du] = [product(at + o - q), product(at + q - o)];
            let value = |(x, a, b): (&[f32], &[f32], &[f32]), i: usize| x[i] * a[i] * b[i];
            for (i, out) in out.iter_mut().enumerate() {
                let alike = value(uu, i) + value(dd, i);
                *out += 0.25 * (alike - (value(ud, i) + value(du, i)));
            }
        }
    }
}
