//! Saddle point systems.
use precondor_core::prelude::*;

/// Where the pressures stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Behind the velocities: the zero block is the last one.
    Last,
    /// Before them.
    First,
    /// A pressure behind the velocities of its cell.
    Mixed,
}

/// Stokes flow in the unit square with walls all around, on m × m cells with velocities on their sides and
/// pressures in their middles, the last one left out (it is zero): [−Δ, ∇; −div, 0], times h². And the field
/// of every row, 0 for velocities and 1 for pressures.
pub fn stokes(m: usize, order: Order) -> (Csr, Vec<u32>) {
    let h = 1.0 / m as f64;
    let (nu, np) = (m * (m - 1), m * m - 1);
    let n = 2 * nu + np;
    // u(i, j) on the right side of cell (i, j), v(i, j) on its upper side, p(i, j) in it.
    let u = |i: usize, j: usize| j * (m - 1) + i;
    let v = |i: usize, j: usize| nu + j * m + i;
    let p = |i: usize, j: usize| 2 * nu + j * m + i;
    let mut entries = Vec::new();
    for (i, j) in (0..m - 1).flat_map(|i| (0..m).map(move |j| (i, j))) {
        // A wall parallel to a velocity is half a step away.
        for (at, along, across) in [(u(i, j), 0, j), (v(j, i), 1, j)] {
            let walls = usize::from(across == 0) + usize::from(across + 1 == m);
            entries.push((at, at, 4.0 + walls as f64));
            let near =
                |i: usize, across: usize| if along == 0 { u(i, across) } else { v(across, i) };
            if i > 0 {
                entries.push((at, near(i - 1, across), -1.0));
            }
            if i + 2 < m {
                entries.push((at, near(i + 1, across), -1.0));
            }
            if across > 0 {
                entries.push((at, near(i, across - 1), -1.0));
            }
            if across + 1 < m {
                entries.push((at, near(i, across + 1), -1.0));
            }
            let sides = if along == 0 { [p(i, j), p(i + 1, j)] } else { [p(j, i), p(j, i + 1)] };
            for (side, value) in sides.into_iter().zip([-h, h]) {
                if side < n {
                    entries.push((at, side, value));
                    entries.push((side, at, value));
                }
            }
        }
    }
    let mut numbers: Vec<usize> = (0..n).collect();
    match order {
        Order::Last => {}
        Order::First => {
            numbers =
                (0..n).map(|row| if row < 2 * nu { row + np } else { row - 2 * nu }).collect();
        }
        Order::Mixed => {
            // Rows in the order of their cells, velocities first.
            let cell = |row: usize| match row {
                row if row < nu => (row / (m - 1)) * m + row % (m - 1),
                row if row < 2 * nu => row - nu,
                row => row - 2 * nu,
            };
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by_key(|&row| (cell(row), row));
            order.iter().enumerate().for_each(|(new, &old)| numbers[old] = new);
        }
    }
    let mut fields = vec![0; n];
    (2 * nu..n).for_each(|row| fields[numbers[row]] = 1);
    let entries: Vec<_> =
        entries.into_iter().map(|(i, j, value)| (numbers[i], numbers[j], value)).collect();
    (Csr::from_triplets(n, n, entries).expect("within the matrix"), fields)
}
