//! What the iterations of a solver ask for: products with A, applications of M, reductions.
//!
//! | solver | an iteration | numbers brought to its reductions | flops a row |
//! |---|---|---|---|
//! | Richardson | 1 product, 1 application | 4 | 5 |
//! | CG | 1, 1 | 4 + 4 + 4 | 12 |
//! | MINRES | 1, 1 | 4 + 4 + 4 | 23 |
//! | BiCGStab | 2, 2 | 6 + 8 + 6 (and 4 at the start) | 26 (and 2) |
//! | GMRES, iteration j from 0 of a cycle | 1, 1 | 2 (2j + 6) | 8j + 13 |
//!
//! A reduction of k inner products brings 2k + 2 numbers: each sum with its rounding error, a word
//! that tells of faults and one of the watcher's wish. Between two cycles GMRES(m) forms the correction
//! (one application, not in the flexible form), the true residual (one product, 4 numbers) and a first
//! basis vector. Stopping by the error adds a reduction of 4 numbers to every iteration, and GMRES then
//! keeps M vⱼ, so that its correction costs no application.
use super::Rank;
use precondor_core::comm::count::{Flow, Traffic};
use precondor_core::config::{SolverConfig, StopRule};
use precondor_core::solver::Method;

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
    let by_error = solver.stop == StopRule::AbsoluteError;
    iterations(&solver.method(), by_error, (n, solver.max_iterations), count)
}

/// Iterations 1 to `count` of a solve of `n` unknowns that never starts anew, from the first measure
/// to the last. GMRES lowers its restart to `n` and to `max_iterations`.
pub fn iterations(
    method: &Method,
    by_error: bool,
    (n, max_iterations): (u64, usize),
    count: u64,
) -> Demand {
    let of_error = Demand::of(0, 0, 1, 4, 0);
    let measured = |each: Demand| if by_error { each.and(of_error) } else { each };
    match *method {
        Method::Richardson { .. } => measured(Demand::of(1, 1, 1, 4, 5)).times(count),
        Method::Cg => measured(Demand::of(1, 1, 3, 12, 12)).times(count),
        Method::Minres => {
            let start = if count > 0 { Demand::of(0, 1, 1, 4, 4) } else { Demand::default() };
            measured(Demand::of(1, 1, 3, 12, 23)).times(count).and(start)
        }
        Method::Bicgstab => {
            let start = if count > 0 { Demand::of(0, 0, 1, 4, 2) } else { Demand::default() };
            measured(Demand::of(2, 2, 3, 20, 26)).times(count).and(start)
        }
        Method::Gmres { restart } | Method::FlexibleGmres { restart } => {
            let keeps = by_error || matches!(method, Method::FlexibleGmres { .. });
            let m = (restart as u64).min(n).min(max_iterations as u64).max(1);
            let cycle = |length: u64| {
                let start = Demand::of(0, 0, 0, 0, 1);
                (0..length).map(|j| krylov(j, by_error)).fold(start, Demand::and)
            };
            // The correction, and the residual after it.
            let between = match keeps {
                true => Demand::of(1, 0, 1, 4, 2 * m + 3),
                false => Demand::of(1, 1, 1, 4, 2 * m + 2 + 3),
            };
            let (whole, rest) = match count {
                0 => return Demand::default(),
                // The last cycle is not corrected before the last measure.
                _ => ((count - 1) / m, (count - 1) % m + 1),
            };
            cycle(m).and(between).times(whole).and(cycle(rest))
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

    #[test]
    fn an_iteration_asks_for_what_the_solvers_say() {
        let one = |method: Method| iterations(&method, false, (1000, 1000), 1);
        assert_eq!(one(Method::Richardson { damping: 1.0 }), Demand::of(1, 1, 1, 4, 5));
        assert_eq!(one(Method::Cg), Demand::of(1, 1, 3, 12, 12));
        assert_eq!(one(Method::Bicgstab), Demand::of(2, 2, 4, 24, 28));
        assert_eq!(one(Method::Gmres { restart: 5 }), Demand::of(1, 1, 2, 12, 14));
    }

    #[test]
    fn cycles_of_gmres_add_up() {
        let at =
            |restart, count| iterations(&Method::Gmres { restart }, false, (1000, 1000), count);
        // Two cycles of three and one more iteration: two corrections.
        let three = at(3, 3);
        assert_eq!(three, Demand::of(3, 3, 6, 12 + 16 + 20, 1 + 13 + 21 + 29));
        let between = Demand::of(1, 1, 1, 4, 2 * 3 + 5);
        assert_eq!(at(3, 7), three.and(between).times(2).and(at(3, 1)));
        // The end of a cycle is no start of another one.
        assert_eq!(at(3, 6), three.times(2).and(between));
        assert_eq!(at(3, 0), Demand::default());
        // The restart is at most n and the iterations allowed.
        let lowered = iterations(&Method::Gmres { restart: 30 }, false, (1000, 3), 3);
        assert_eq!(lowered, three);
    }
}
