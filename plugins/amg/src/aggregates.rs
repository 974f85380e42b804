//! Which unknowns are lumped together on the next level: greedy aggregation.
//!
//! Pass by pass over the rows in their order: a row none of whose strong neighbours is taken yet makes an
//! aggregate with all of them; what is left joins the aggregate of its strongest neighbour of the first
//! pass; what is left then makes aggregates with its neighbours that are left, too. A row without strong
//! couplings belongs to none: the smoother solves it. Cost: linear in the strong couplings.
//!
//! Reference: P. Vaněk, J. Mandel, M. Brezina, Computing 56 (1996), §5.1.
use crate::strength::Strong;

/// No aggregate.
pub(crate) const ALONE: u32 = u32::MAX;
const FREE: u32 = u32::MAX - 1;
/// Marks, in the second pass, what joins an aggregate of the first.
const JOINS: u32 = 1 << 31;

/// The aggregate of each row, and how many there are.
pub(crate) fn greedy(strong: &Strong) -> (Vec<u32>, usize) {
    let n = strong.weak.len();
    let alone = |i| if strong.is_alone(i) { ALONE } else { FREE };
    let mut of: Vec<u32> = (0..n).map(alone).collect();
    let mut count = 0u32;
    for i in 0..n {
        let taken = |j: &u32| of[*j as usize] < FREE;
        if of[i] == FREE && !strong.row(i).iter().any(taken) {
            take(&mut of, strong.row(i), i, count);
            count += 1;
        }
    }
    for i in 0..n {
        if of[i] == FREE {
            let (mut best, mut weight) = (None, 0.0);
            for (j, v) in strong.entries(i) {
                let a = of[j as usize];
                if a < JOINS && -v > weight {
                    (best, weight) = (Some(a), -v);
                }
            }
            if let Some(a) = best {
                of[i] = a | JOINS;
            }
        }
    }
    for i in 0..n {
        if of[i] == FREE {
            take(&mut of, strong.row(i), i, count);
            count += 1;
        } else if of[i] != ALONE {
            of[i] &= !JOINS;
        }
    }
    (of, count as usize)
}

/// Makes row `i` and those of `near` that are free an aggregate.
fn take(of: &mut [u32], near: &[u32], i: usize, aggregate: u32) {
    of[i] = aggregate;
    for &j in near {
        if of[j as usize] == FREE {
            of[j as usize] = aggregate;
        }
    }
}
