//! One axis of a separable operator: a stiffness and a mass on a line of nodes.
use std::f64::consts::PI;

use super::eigen;
use crate::{Error, Result};

/// A chain of nodes with a mass each, coupled to the next one and, at the ends, to a wall; or a ring.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Coupling before node i, `nodes + 1` of them: the first and the last are those to the walls, 0 for none
    /// (Neumann). Of a ring both are the one between the last node and the first.
    pub stiffness: Vec<f64>,
    /// Of every node.
    pub mass: Vec<f64>,
    /// Whether the last node is coupled to the first.
    pub periodic: bool,
}

/// Families of modes that fast transforms are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modes {
    /// Walls a full spacing beyond the last nodes: sin(π (i+1)(k+1)/(m+1)).
    DirichletAtNodes,
    /// Walls half a spacing beyond the last nodes, coupled twice as strongly: sines at half places.
    DirichletBetween,
    /// Nodes on free walls, of half the mass: cos(π ik/(m−1)).
    NeumannAtNodes,
    /// Free walls half a spacing beyond the last nodes: cos(π (i+½)k/m).
    NeumannBetween,
    /// A ring of equal nodes.
    Periodic,
}

/// Numbers that differ by no more than this part of the larger count as equal.
const EQUAL: f64 = 1e-12;

pub(super) fn equal(a: f64, b: f64) -> bool {
    (a - b).abs() <= EQUAL * a.abs().max(b.abs())
}

impl Axis {
    /// Equal nodes, coupled by 1 to each other and to walls a spacing beyond the last ones.
    pub fn unit(nodes: usize) -> Self {
        Axis { stiffness: vec![1.0; nodes + 1], mass: vec![1.0; nodes], periodic: false }
    }

    /// How many there are.
    pub fn nodes(&self) -> usize {
        self.mass.len()
    }

    /// Refuses what is no axis: no node, lengths that do not belong together, a ring of fewer than three
    /// nodes or with two couplings between its ends, couplings or masses that are not positive (those to
    /// walls may be zero).
    ///
    /// # Errors
    /// [`Error::Data`] saying which.
    pub fn check(&self) -> Result<()> {
        let Axis { stiffness, mass, periodic } = self;
        let m = mass.len();
        let fail = |why: String| Err(Error::Data(format!("no axis of a grid: {why}")));
        if m == 0 || stiffness.len() != m + 1 {
            return fail(format!("{m} masses and {} couplings", stiffness.len()));
        }
        if *periodic && (m < 3 || stiffness[0] != stiffness[m]) {
            return fail("a ring has three nodes at least, and one coupling of its ends".into());
        }
        let positive = |v: f64| v > 0.0 && v.is_finite();
        if let Some(i) = mass.iter().position(|&v| !positive(v)) {
            return fail(format!("the mass of node {i} is {}", mass[i]));
        }
        let ends = |i: usize| !periodic && (i == 0 || i == m);
        let fits = |i: usize| positive(stiffness[i]) || (ends(i) && stiffness[i] == 0.0);
        match (0..=m).find(|&i| !fits(i)) {
            Some(i) => fail(format!("the coupling before node {i} is {}", stiffness[i])),
            None => Ok(()),
        }
    }

    /// Whether constants cost nothing: no wall holds.
    pub fn is_free(&self) -> bool {
        self.periodic || (self.stiffness[0] == 0.0 && self.stiffness[self.nodes()] == 0.0)
    }

    /// The family of modes, where couplings and masses are those of equal spacings.
    pub(super) fn modes(&self) -> Option<Modes> {
        let (k, w, m) = (&self.stiffness, &self.mass, self.nodes());
        let all = |values: &[f64]| values.windows(2).all(|pair| equal(pair[0], pair[1]));
        if self.periodic {
            return (all(k) && all(w)).then_some(Modes::Periodic);
        }
        // The ends of one node cannot be told apart; of a few a dense transform is as fast.
        if m < 4 || !all(&k[1..m]) || !all(&w[1..m - 1]) {
            return None;
        }
        let both = |end: f64| equal(k[0], end) && equal(k[m], end);
        let masses = |end: f64| equal(w[0], end) && equal(w[m - 1], end);
        match masses(w[1]) {
            true if both(k[1]) => Some(Modes::DirichletAtNodes),
            true if both(2.0 * k[1]) => Some(Modes::DirichletBetween),
            true if both(0.0) => Some(Modes::NeumannBetween),
            false if both(0.0) && masses(0.5 * w[1]) => Some(Modes::NeumannAtNodes),
            _ => None,
        }
    }

    /// Eigenvalues of the axis with these modes, in the order of their transform, which for
    /// [`Modes::DirichletBetween`] is from high to low.
    pub(super) fn eigenvalues_of(&self, modes: Modes) -> Vec<f64> {
        let m = self.nodes();
        let unit = self.stiffness[1] / self.mass[1];
        let of_angle = |angle: f64| 4.0 * unit * (0.5 * angle).sin().powi(2);
        let angle = |q: usize| {
            let (q, m) = (q as f64, m as f64);
            match modes {
                Modes::DirichletAtNodes => PI * (q + 1.0) / (m + 1.0),
                Modes::DirichletBetween => PI * (m - q) / m,
                Modes::NeumannAtNodes => PI * q / (m - 1.0),
                Modes::NeumannBetween => PI * q / m,
                Modes::Periodic => 2.0 * PI * ((q + 1.0) / 2.0).floor() / m,
            }
        };
        (0..m).map(|q| of_angle(angle(q))).collect()
    }

    /// The diagonal of the stiffness.
    pub(super) fn diagonal(&self, i: usize) -> f64 {
        self.stiffness[i] + self.stiffness[i + 1]
    }

    /// Eigenvalues, and the eigenvectors as rows, orthonormal with respect to the mass.
    ///
    /// # Errors
    /// [`Error::Breakdown`] where the iteration does not end.
    pub(super) fn eigenvectors(&self) -> Result<(Vec<f64>, Vec<f64>)> {
        let m = self.nodes();
        let scale: Vec<f64> = self.mass.iter().map(|w| 1.0 / w.sqrt()).collect();
        let diagonal: Vec<f64> = (0..m).map(|i| self.diagonal(i) * scale[i] * scale[i]).collect();
        let beside = |i: usize| -self.stiffness[i] * scale[i - 1] * scale[i % m];
        let (values, mut vectors) = if self.periodic {
            let mut a = vec![0.0; m * m];
            (0..m).for_each(|i| a[i * m + i] = diagonal[i]);
            for i in 1..=m {
                let (from, to) = (i - 1, i % m);
                let value = -self.stiffness[i] * scale[from] * scale[to];
                (a[from * m + to], a[to * m + from]) = (value, value);
            }
            eigen::symmetric(a, m)?
        } else {
            eigen::tridiagonal(diagonal, (1..m).map(beside).collect())?
        };
        for row in vectors.chunks_exact_mut(m) {
            row.iter_mut().zip(&scale).for_each(|(v, s)| *v *= s);
        }
        Ok((values, vectors))
    }

    /// The `count` smoothest vectors that do not belong together, waves over the places of the nodes, each with its Rayleigh
    /// quotient: modes where spacings are equal. Constants are the first where nothing holds.
    pub(super) fn smooth(&self, count: usize) -> Vec<(f64, Vec<f64>)> {
        let m = self.nodes();
        let place = self.places();
        let held = [self.stiffness[0] > 0.0, self.stiffness[m] > 0.0];
        let wave = |h: usize| -> Vec<f64> {
            let turn = |i: usize| {
                let (x, h) = (PI * place[i] / place[m], h as f64);
                match held {
                    _ if self.periodic => (2.0 * (0.5 * h).ceil() * x - 0.5 * PI * (h % 2.0)).cos(),
                    [true, true] => ((h + 1.0) * x).sin(),
                    [true, false] => ((h + 0.5) * x).sin(),
                    [false, true] => ((h + 0.5) * x).cos(),
                    [false, false] => (h * x).cos(),
                }
            };
            (0..m).map(turn).collect()
        };
        let quotient = |v: &[f64]| {
            let weight: f64 = v.iter().zip(&self.mass).map(|(v, w)| v * v * w).sum();
            self.energy(v) / weight
        };
        (0..count.min(m)).map(wave).map(|v| (quotient(&v), v)).collect()
    }

    /// vᵀ K v.
    fn energy(&self, v: &[f64]) -> f64 {
        let (k, m) = (&self.stiffness, self.nodes());
        let inner: f64 = (1..m).map(|i| k[i] * (v[i] - v[i - 1]).powi(2)).sum();
        match self.periodic {
            true => inner + k[0] * (v[0] - v[m - 1]).powi(2),
            false => inner + k[0] * v[0] * v[0] + k[m] * v[m - 1] * v[m - 1],
        }
    }

    /// Where the nodes are, spacings being what one over the couplings is; then the whole length. Free ends
    /// lie as far beyond the last node as their mass says.
    fn places(&self) -> Vec<f64> {
        let (k, w, m) = (&self.stiffness, &self.mass, self.nodes());
        let inner: Vec<f64> = (1..m).map(|i| 1.0 / k[i]).collect();
        let mean = if m > 1 { inner.iter().sum::<f64>() / (m - 1) as f64 } else { 1.0 };
        let middle = w.iter().sum::<f64>() / m as f64;
        let end = |k: f64, w: f64| match k {
            _ if self.periodic => 0.0,
            0.0 => (w / middle - 0.5).clamp(0.0, 0.5) * mean,
            k => 1.0 / k,
        };
        let mut at = end(k[0], w[0]);
        let mut place = vec![at];
        for step in &inner {
            at += step;
            place.push(at);
        }
        let last = if self.periodic { 1.0 / k[0] } else { end(k[m], w[m - 1]) };
        place.push(if at + last > 0.0 { at + last } else { 1.0 });
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_the_ends_and_none_where_spacings_differ() {
        let axis = |ends: f64, mass: f64| {
            let mut axis = Axis::unit(6);
            (axis.stiffness[0], axis.stiffness[6]) = (ends, ends);
            (axis.mass[0], axis.mass[5]) = (mass, mass);
            axis
        };
        assert_eq!(axis(1.0, 1.0).modes(), Some(Modes::DirichletAtNodes));
        assert_eq!(axis(2.0, 1.0).modes(), Some(Modes::DirichletBetween));
        assert_eq!(axis(0.0, 1.0).modes(), Some(Modes::NeumannBetween));
        assert_eq!(axis(0.0, 0.5).modes(), Some(Modes::NeumannAtNodes));
        assert_eq!(axis(1.5, 1.0).modes(), None);
        let mut stretched = axis(1.0, 1.0);
        stretched.stiffness[3] = 1.1;
        assert_eq!(stretched.modes(), None);
        assert_eq!(Axis { periodic: true, ..Axis::unit(6) }.modes(), Some(Modes::Periodic));
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        let why = |change: &dyn Fn(&mut Axis)| {
            let mut axis = Axis::unit(4);
            change(&mut axis);
            axis.check().expect_err("refused").to_string()
        };
        assert_eq!(Axis::unit(4).check(), Ok(()));
        assert!(why(&|a| a.stiffness[2] = 0.0).contains("the coupling before node 2 is 0"));
        assert!(why(&|a| a.stiffness[0] = -1.0).contains("the coupling before node 0 is -1"));
        assert!(why(&|a| a.mass[3] = f64::NAN).contains("the mass of node 3 is NaN"));
        assert!(why(&|a| a.mass.clear()).contains("0 masses"));
        let ring = |a: &mut Axis| {
            a.periodic = true;
            a.stiffness[0] = 2.0;
        };
        assert!(why(&ring).contains("one coupling of its ends"));
    }

    #[test]
    fn eigenvectors_are_orthonormal_in_the_mass_and_diagonalise_the_stiffness() {
        for periodic in [false, true] {
            let m = 9;
            let mut axis = Axis {
                stiffness: (0..=m).map(|i| 1.0 + 0.3 * (i as f64).sin()).collect(),
                mass: (0..m).map(|i| 1.0 + 0.2 * (i as f64).cos()).collect(),
                periodic,
            };
            axis.stiffness[m] = axis.stiffness[0];
            let (values, rows) = axis.eigenvectors().expect("converged");
            let row = |q: usize| &rows[q * m..(q + 1) * m];
            for (p, q) in (0..m).flat_map(|p| (0..m).map(move |q| (p, q))) {
                let (u, v) = (row(p), row(q));
                let dot: f64 = (0..m).map(|i| u[i] * axis.mass[i] * v[i]).sum();
                let sum: Vec<f64> = u.iter().zip(v).map(|(u, v)| u + v).collect();
                let energy = 0.5 * (axis.energy(&sum) - axis.energy(u) - axis.energy(v));
                let same = f64::from(u8::from(p == q));
                assert!((dot - same).abs() < 1e-13, "{p} {q} {dot}");
                assert!((energy - same * values[p]).abs() < 1e-13, "{p} {q} {energy}");
            }
        }
    }

    #[test]
    fn smooth_vectors_are_the_first_modes_of_equal_spacings() {
        for (ends, modes) in [(1.0, Modes::DirichletAtNodes), (0.0, Modes::NeumannBetween)] {
            let mut axis = Axis::unit(12);
            (axis.stiffness[0], axis.stiffness[12]) = (ends, ends);
            let values = axis.eigenvalues_of(modes);
            for (h, (value, _)) in axis.smooth(3).iter().enumerate() {
                assert!((value - values[h]).abs() < 1e-13, "{modes:?} {h}: {value}");
            }
        }
    }
}
