//! Perturbed Poisson matrices: P1 elements on a unit square with shifted inner nodes.
use precondor_plugin_mlp::random::Random;
use precondor_sdk::core::train::Samples;
use precondor_sdk::prelude::*;

/// Systems of several levels with one shift.
pub struct Meshes {
    pub levels: Vec<u32>,
    pub shift: f64,
}

/// The matrix with `2^level − 1` nodes a side, nodes shifted in a disc of `shift` mesh widths.
pub fn poisson(level: u32, shift: f64, seed: u64, index: u64) -> Csr {
    let mut random = Random::new(seed ^ 0x5eed_0000, index << 8 | u64::from(level));
    let cells = 1usize << level;
    let (m, h) = (cells - 1, 1.0 / cells as f64);
    let mut points = vec![[0.0; 2]; (cells + 1) * (cells + 1)];
    for (k, point) in points.iter_mut().enumerate() {
        let (i, j) = (k % (cells + 1), k / (cells + 1));
        *point = [i as f64 * h, j as f64 * h];
        if i > 0 && j > 0 && i < cells && j < cells {
            let radius = shift * h * random.unit().sqrt();
            let angle = 2.0 * std::f64::consts::PI * random.unit();
            point[0] += radius * angle.cos();
            point[1] += radius * angle.sin();
        }
    }
    let node = |i: usize, j: usize| j * (cells + 1) + i;
    let inner = |k: usize| {
        let (i, j) = (k % (cells + 1), k / (cells + 1));
        (i > 0 && j > 0 && i < cells && j < cells).then(|| (j - 1) * m + i - 1)
    };
    let mut triplets = Vec::new();
    for j in 0..cells {
        for i in 0..cells {
            let [a, b, c, d] = [node(i, j), node(i + 1, j), node(i + 1, j + 1), node(i, j + 1)];
            for corners in [[a, b, c], [a, c, d]] {
                let p = corners.map(|k| points[k]);
                let edge = |k: usize| {
                    let (from, to) = (p[(k + 1) % 3], p[(k + 2) % 3]);
                    [to[0] - from[0], to[1] - from[1]]
                };
                let (e, f) = (edge(0), edge(1));
                let area = 0.5 * (e[0] * f[1] - e[1] * f[0]).abs();
                for r in 0..3 {
                    for s in 0..3 {
                        if let (Some(row), Some(column)) = (inner(corners[r]), inner(corners[s])) {
                            let (e, f) = (edge(r), edge(s));
                            triplets.push((
                                row,
                                column,
                                (e[0] * f[0] + e[1] * f[1]) / (4.0 * area),
                            ));
                        }
                    }
                }
            }
        }
    }
    Csr::from_triplets(m * m, m * m, triplets).expect("a mesh gives a matrix")
}

impl Samples for Meshes {
    fn families(&self) -> usize {
        self.levels.len()
    }
    fn sample(&self, family: usize, seed: u64, index: u64) -> Result<System> {
        let a = poisson(self.levels[family], self.shift, seed, index);
        Ok(System::new(DistCsr::solo(a)?))
    }
    fn describe(&self) -> String {
        format!("{{\"levels\": {:?}, \"shift\": {}}}", self.levels, self.shift)
    }
}

/// Richardson iterations with ω = 1 from zero with b = 1: until ‖x − x*‖ < 1e-5 and until
/// ‖b − A x‖ ≤ 1e-5 ‖b‖; x* by CG preconditioned with `m`, to rounding level.
pub fn iterations(a: &Csr, m: &dyn Preconditioner) -> (usize, usize) {
    let n = a.n_rows();
    let b = vec![1.0; n];
    let exact = conjugate_gradients(a, m, &b);
    let norm = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>().sqrt();
    let (mut x, mut ax, mut z) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let (mut absolute, mut relative) = (None, None);
    for k in 1..=200 {
        a.view().spmv(&x, &mut ax, false);
        let r: Vec<f64> = b.iter().zip(&ax).map(|(b, ax)| b - ax).collect();
        m.apply(&r, &mut z).unwrap();
        for (x, z) in x.iter_mut().zip(&z) {
            *x += z;
        }
        a.view().spmv(&x, &mut ax, false);
        let r: Vec<f64> = b.iter().zip(&ax).map(|(b, ax)| b - ax).collect();
        let e: Vec<f64> = x.iter().zip(&exact).map(|(x, y)| x - y).collect();
        if norm(&r) <= 1e-5 * norm(&b) {
            relative = relative.or(Some(k));
        }
        if norm(&e) < 1e-5 {
            absolute = absolute.or(Some(k));
        }
        if let (Some(absolute), Some(relative)) = (absolute, relative) {
            return (absolute, relative);
        }
    }
    (usize::MAX, usize::MAX)
}

fn conjugate_gradients(a: &Csr, m: &dyn Preconditioner, b: &[f64]) -> Vec<f64> {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let n = b.len();
    let (mut x, mut r, mut z, mut q) = (vec![0.0; n], b.to_vec(), vec![0.0; n], vec![0.0; n]);
    m.apply(&r, &mut z).unwrap();
    let (mut p, mut rz, size) = (z.clone(), dot(&r, &z), dot(b, b));
    for _ in 0..200 {
        a.view().spmv(&p, &mut q, false);
        let alpha = rz / dot(&p, &q);
        for i in 0..n {
            x[i] += alpha * p[i];
            r[i] -= alpha * q[i];
        }
        if dot(&r, &r) < 1e-26 * size {
            break;
        }
        m.apply(&r, &mut z).unwrap();
        let next = dot(&r, &z);
        for i in 0..n {
            p[i] = z[i] + next / rz * p[i];
        }
        rz = next;
    }
    x
}
