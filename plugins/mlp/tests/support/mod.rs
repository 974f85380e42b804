//! What several tests here need: fresh systems and iteration counts.
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::prelude::*;

/// Test system `index` of a level; never one of the training systems, whatever the seed.
pub fn system(level: u32, shift: f64, seed: u64, index: u64) -> System {
    let poisson = Poisson { shift, seed, ..Poisson::at_level(level) };
    Problem::Poisson(poisson).generate_nth(Comm::solo(), index).unwrap().0
}

/// Richardson iterations with ω = 1 from zero with b = 1: until ‖x − x*‖ < 1e-5 and until
/// ‖b − A x‖ ≤ 1e-5 ‖b‖; x* by CG preconditioned with `m`, to rounding level.
pub fn iterations(system: &System, m: &dyn Preconditioner) -> (usize, usize) {
    let a = system.a().own();
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
