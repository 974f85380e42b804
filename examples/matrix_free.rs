//! Solves with an operator that stores nothing, preconditioned by what is made from a matrix near to it.
//!
//! The operator is the difference of −u″ of fourth order on a line (a stencil of five), the matrix that
//! of second order (a stencil of three).
//!
//!     cargo run --example matrix_free
use precondor::core::matrix::Symmetry;
use precondor::prelude::*;
use std::sync::Arc;

/// (x₋₂ − 16 x₋₁ + 30 x₀ − 16 x₁ + x₂) / 12, zero beyond the ends.
struct FourthOrder(Arc<Space>);

impl Operator for FourthOrder {
    fn space(&self) -> &Arc<Space> {
        &self.0
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) -> precondor::Result<()> {
        let at =
            |i: usize, far: isize| i.checked_add_signed(far).and_then(|j| x.get(j)).unwrap_or(&0.0);
        for (i, y) in y.iter_mut().enumerate() {
            let (near, far) = (at(i, -1) + at(i, 1), at(i, -2) + at(i, 2));
            *y = (30.0 * x[i] - 16.0 * near + far) / 12.0;
        }
        Ok(())
    }
    fn symmetric(&self) -> precondor::Result<Symmetry> {
        Ok(Symmetry::Symmetric)
    }
}

fn main() -> precondor::Result<()> {
    let n = 2000usize;
    let second_order = (0..n).flat_map(|i| {
        let row = [(i, i.wrapping_sub(1), -1.0), (i, i, 2.0), (i, i + 1, -1.0)];
        row.into_iter().filter(move |&(_, j, _)| j < n)
    });
    let methods = Methods::find()?;
    let near = methods.system(Csr::from_triplets(n, n, second_order)?)?;
    let m = methods.make("ic", json!({}), &near)?;
    let a = FourthOrder(Space::solo(n));
    let solution = Solver::cg().tolerance(1e-8).solve(&a, &*m, &vec![1.0; n])?;
    println!("{:?} after {} iterations", solution.report.outcome, solution.report.iterations);
    Ok(())
}
