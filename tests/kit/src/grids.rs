//! Matrices of regular grids: constant coefficients, stretched axes, two and three dimensions.
use precondor_core::prelude::*;

/// What a grid is made of: nodes along the axes, and the couplings along them.
struct Axes<'a> {
    nodes: [usize; 3],
    /// Weight of the coupling over axis `d` between node k − 1 and k.
    weight: &'a dyn Fn(usize, usize) -> f64,
    /// Couplings to the diagonal neighbours in the plane, relative to those along the axes.
    diagonal: f64,
}

impl Axes<'_> {
    fn system(&self) -> System {
        let [mx, my, mz] = self.nodes;
        let number = |p: [usize; 3]| (p[2] * my + p[1]) * mx + p[0];
        let mut entries = Vec::new();
        for k in 0..mx * my * mz {
            let here = [k % mx, k / mx % my, k / (mx * my)];
            let mut sum = 0.0;
            for d in (0..3).filter(|&d| self.nodes[d] > 1) {
                for up in [false, true] {
                    let w = (self.weight)(d, here[d] + usize::from(up));
                    sum += w;
                    let mut there = here;
                    there[d] = if up { here[d] + 1 } else { here[d].wrapping_sub(1) };
                    if there[d] < self.nodes[d] {
                        entries.push((k, number(there), -w));
                    }
                }
            }
            for (dx, dy) in [(1, 1), (1, -1), (-1, 1), (-1, -1)] {
                if self.diagonal == 0.0 {
                    continue;
                }
                sum += self.diagonal;
                let (x, y) = (here[0] as isize + dx, here[1] as isize + dy);
                if (0..mx as isize).contains(&x) && (0..my as isize).contains(&y) {
                    entries.push((k, number([x as usize, y as usize, here[2]]), -self.diagonal));
                }
            }
            entries.push((k, k, sum));
        }
        let n = mx * my * mz;
        System::new(DistCsr::solo(Csr::from_triplets(n, n, entries).unwrap()).unwrap())
    }
}

/// Grids by name; `scale` multiplies the numbers of nodes along the axes.
pub fn all(sizes: &[usize]) -> Vec<(String, System)> {
    let mut all = Vec::new();
    let one = |_: usize, _: usize| 1.0;
    let ratio = |r: f64| move |d: usize, _: usize| if d == 0 { 1.0 } else { r };
    let graded = |d: usize, k: usize| if d == 0 { 1.05f64.powi(k as i32) } else { 1.0 };
    for &m in sizes {
        let mut add = |name: &str, nodes, weight: &dyn Fn(usize, usize) -> f64, diagonal| {
            let system = Axes { nodes, weight, diagonal }.system();
            all.push((format!("{name}, {} unknowns", system.a().n_own()), system));
        };
        add("five points", [m, m, 1], &one, 0.0);
        add("five points, 1:3", [m, m, 1], &ratio(3.0), 0.0);
        add("five points, 3:1", [m, m, 1], &ratio(1.0 / 3.0), 0.0);
        add("five points, 1:10", [m, m, 1], &ratio(10.0), 0.0);
        add("five points, graded", [m, m, 1], &graded, 0.0);
        add("five points, strip", [4 * m, m / 4 + 1, 1], &one, 0.0);
        add("nine points", [m, m, 1], &one, 0.25);
        add("nine points, bilinear", [m, m, 1], &one, 1.0);
        let edge = (((m * m) as f64).cbrt()).round() as usize;
        add("seven points", [edge, edge, edge], &one, 0.0);
        add("seven points, 1:3", [edge, edge, edge], &ratio(3.0), 0.0);
    }
    all
}
