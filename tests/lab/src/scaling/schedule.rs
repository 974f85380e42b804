//! What the iterations of a solver ask for: products with A, applications of M, reductions.
//!
//! | solver | an iteration | numbers brought to its reductions | flops a row |
//! |---|---|---|---|
//! | Richardson | 1 product, 1 application | 4 | 5 |
//! | the same in the preconditioned norm | 1, 1 (and one application at the start) | 6 | 7 |
//! | CG, flexible CG | 1, 1 | 4 + 4 + 4 (6) | 12 (14) |
//! | in the natural norm | 1, 1 (and one application at the start) | 4 + 4 (6) | 10 (12) |
//! | in the preconditioned norm | the same | 4 + 8 | 14 |
//! | MINRES | 1, 1 (and one application at the start) | 4 + 4 + 4 | 22 |
//! | in the natural norm | the same | 4 + 4 | 17 |
//! | BiCGStab | 2, 2 | 6 + 8 + 6 (and 4 at the start) | 26 (and 2) |
//! | GMRES, iteration j from 0 of a cycle | 1, 1 | 2 (2j + 6) | 8j + 13 |
//!
//! A reduction of k inner products brings 2k + 2 numbers: each sum with its rounding error, a word
//! that tells of faults and one of the watcher's wish. Between two cycles GMRES(m) forms the correction
//! (one application, not in the flexible form), the true residual (one product, 4 numbers) and a first
//! basis vector. Stopping by the error adds a reduction of 4 numbers to every iteration, and GMRES then
//! keeps M vⱼ, so that its correction costs no application. With M on the left the correction costs none
//! either; an application and 4 numbers go into the norm of M r, before the first cycle and between two.
use precondor_core::comm::count::{Flow, Traffic};
use precondor_core::comm::predict::Rank;
use precondor_core::config::{SolverConfig, StopRule};
use precondor_core::solver::{Algorithm, Norm};

/// What a number of iterations asks for, the same on every rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Products with A.
    pub products: u64,
    /// Applications of M.
    pub applications: u64,
    /// Reductions.
    pub gathers: u64,
    /// Numbers that a rank brings to them.
    pub numbers: u64,
    /// Flops for each row, products and applications not counted.
    pub vectors: u64,
}

impl Demand {
    fn of(products: u64, applications: u64, gathers: u64, numbers: u64, vectors: u64) -> Self {
        Demand { products, applications, gathers, numbers, vectors }
    }

    fn times(self, k: u64) -> Self {
        let Demand { products, applications, gathers, numbers, vectors } = self;
        Demand::of(products * k, applications * k, gathers * k, numbers * k, vectors * k)
    }

    fn and(self, other: Demand) -> Self {
        Demand {
            products: self.products + other.products,
            applications: self.applications + other.applications,
            gathers: self.gathers + other.gathers,
            numbers: self.numbers + other.numbers,
            vectors: self.vectors + other.vectors,
        }
    }

    /// On a rank with `rows` rows out of `ranks` ranks, where a product and an application are what
    /// `product` and `application` say.
    pub fn on(self, ranks: u64, rows: u64, product: Rank, application: Rank) -> Rank {
        let gather = match ranks {
            1 => Flow::default(),
            _ => Flow { calls: self.gathers, messages: 0, bytes: 8 * self.numbers },
        };
        let vectors =
            Rank { traffic: Traffic { gather, ..Traffic::default() }, flops: self.vectors * rows };
        product.times(self.products) + application.times(self.applications) + vectors
    }
}

/// Iterations 1 to `count` of a solve of `n` unknowns as a configuration describes it.
pub fn of(solver: &SolverConfig, n: u64, count: u64) -> Demand {
    let measured = match solver.stop {
        StopRule::AbsoluteError => Measured::Error,
        StopRule::RelativeResidual => Measured::Residual(solver.norm.unwrap_or_default()),
    };
    iterations(&solver.algorithm(), measured, (n, solver.max_iterations), count)
}

/// What decides when to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// A norm of the residual.
    Residual(Norm),
    /// ‖x − x*‖.
    Error,
}

/// Iterations 1 to `count` of a solve of `n` unknowns that never starts anew, from the first measure
/// to the last. GMRES lowers its restart to `n` and to `max_iterations`.
pub fn iterations(
    method: &Algorithm,
    measured: Measured,
    (n, max_iterations): (u64, usize),
    count: u64,
) -> Demand {
    if count == 0 {
        return Demand::default();
    }
    let by_error = measured == Measured::Error;
    let norm = match measured {
        Measured::Residual(norm) => norm,
        Measured::Error => Norm::Unpreconditioned,
    };
    let of_error = Demand::of(0, 0, 1, 4, 0);
    // Before the first iteration, and in each.
    let all = |start: Demand, each: Demand| {
        let each = if by_error { each.and(of_error) } else { each };
        each.times(count).and(start)
    };
    let none = Demand::default();
    match *method {
        Algorithm::Richardson { .. } => match norm {
            Norm::Unpreconditioned => all(none, Demand::of(1, 1, 1, 4, 5)),
            _ => all(Demand::of(0, 1, 0, 0, 0), Demand::of(1, 1, 1, 6, 7)),
        },
        Algorithm::Cg | Algorithm::FlexibleCg => {
            // rᵀz, in the flexible form with zᵀq.
            let dots = if *method == Algorithm::Cg { 1 } else { 2 };
            let first = Demand::of(0, 1, 1, 2 + 2 * dots, 2 * dots);
            match norm {
                Norm::Unpreconditioned => all(none, Demand::of(1, 0, 2, 8, 10).and(first)),
                Norm::Natural => all(first, Demand::of(1, 0, 1, 4, 8).and(first)),
                Norm::Preconditioned => all(first, Demand::of(1, 1, 2, 4 + 8, 14)),
            }
        }
        Algorithm::Minres => {
            let each = match norm {
                Norm::Natural => Demand::of(1, 1, 2, 8, 17),
                _ => Demand::of(1, 1, 3, 12, 22),
            };
            all(Demand::of(0, 1, 1, 4, 4), each)
        }
        Algorithm::Bicgstab => all(Demand::of(0, 0, 1, 4, 2), Demand::of(2, 2, 3, 20, 26)),
        Algorithm::Gmres { restart }
        | Algorithm::LeftGmres { restart }
        | Algorithm::FlexibleGmres { restart } => {
            let left = matches!(method, Algorithm::LeftGmres { .. });
            let keeps = by_error || matches!(method, Algorithm::FlexibleGmres { .. });
            let m = (restart as u64).min(n).min(max_iterations as u64).max(1);
            let cycle = |length: u64| {
                let start = Demand::of(0, 0, 0, 0, 1);
                (0..length).map(|j| krylov(j, by_error)).fold(start, Demand::and)
            };
            // On the left: M r and its norm, before the first cycle and between two.
            let of_m = if left { Demand::of(0, 1, 1, 4, 2) } else { none };
            // The correction, and the residual after it.
            let between = match keeps || left {
                true => Demand::of(1, 0, 1, 4, 2 * m + 3),
                false => Demand::of(1, 1, 1, 4, 2 * m + 2 + 3),
            };
            // The last cycle is not corrected before the last measure.
            let (whole, rest) = ((count - 1) / m, (count - 1) % m + 1);
            cycle(m).and(between).and(of_m).times(whole).and(cycle(rest)).and(of_m)
        }
    }
}

/// Iteration `j`, from 0, of a cycle of GMRES: Gram-Schmidt twice against j + 1 vectors.
fn krylov(j: u64, by_error: bool) -> Demand {
    let each = Demand::of(1, 1, 2, 2 * (2 + 2 * (j + 2)), 2 * (2 * (j + 2) + 2 * (j + 1)) + 1);
    match by_error {
        // x = x0 + Z y, and its distance to x*.
        true => each.and(Demand::of(0, 0, 1, 4, 2 * (j + 1))),
        false => each,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Measured = Measured::Residual(Norm::Unpreconditioned);

    #[test]
    fn an_iteration_asks_for_what_the_solvers_say() {
        let one = |method: Algorithm| iterations(&method, PLAIN, (1000, 1000), 1);
        assert_eq!(one(Algorithm::Richardson { damping: 1.0 }), Demand::of(1, 1, 1, 4, 5));
        assert_eq!(one(Algorithm::Cg), Demand::of(1, 1, 3, 12, 12));
        assert_eq!(one(Algorithm::Bicgstab), Demand::of(2, 2, 4, 24, 28));
        assert_eq!(one(Algorithm::Gmres { restart: 5 }), Demand::of(1, 1, 2, 12, 14));
    }

    #[test]
    fn cycles_of_gmres_add_up() {
        let at =
            |restart, count| iterations(&Algorithm::Gmres { restart }, PLAIN, (1000, 1000), count);
        // Two cycles of three and one more iteration: two corrections.
        let three = at(3, 3);
        assert_eq!(three, Demand::of(3, 3, 6, 12 + 16 + 20, 1 + 13 + 21 + 29));
        let between = Demand::of(1, 1, 1, 4, 2 * 3 + 5);
        assert_eq!(at(3, 7), three.and(between).times(2).and(at(3, 1)));
        // The end of a cycle is no start of another one.
        assert_eq!(at(3, 6), three.times(2).and(between));
        assert_eq!(at(3, 0), Demand::default());
        // The restart is at most n and the iterations allowed.
        let lowered = iterations(&Algorithm::Gmres { restart: 30 }, PLAIN, (1000, 3), 3);
        assert_eq!(lowered, three);
    }
}
