//! Delaunay triangulation of random points in the unit square.
//!
//! m² inner points, one at random in a disc around each node of a regular grid, and the 4(m + 1)
//! grid nodes of the boundary. Unknowns are the inner points in the order of the grid.
//!
//! Cost: O(m² log m) on every rank: each makes the whole triangulation, which is the same on all.
//!
//! Reference: D. Sinclair, *S-hull: a fast radial sweep-hull routine for Delaunay triangulation*,
//! arXiv:1604.01428 (2016), in the crate `delaunator`.
use super::p1::Triangle;
use super::simplices::delaunay;
use crate::kernel::random::Stream;
use delaunator::{Point, triangulate};

/// Part of a grid cell that a triangle has to have: points on the boundary lie on a line.
const LEAST_AREA: f64 = 1e-9;

/// The triangulation; unknowns are the points 0..m².
pub struct Delaunay {
    unknowns: usize,
    places: Vec<[f64; 2]>,
    triangles: Vec<[u32; 3]>,
    /// Triangles at unknown i, and which of their corners it is: `at[first[i]..first[i + 1]]`.
    first: Vec<u32>,
    at: Vec<(u32, u8)>,
}

impl Delaunay {
    /// With m² inner points, each in a disc of radius `shift` grid steps.
    ///
    /// # Panics
    /// Unless 0 ≤ `shift` < 0.5.
    pub fn new(m: usize, shift: f64, stream: Stream) -> Self {
        assert!((0.0..0.5).contains(&shift), "shift {shift} is not within 0..0.5");
        let steps = (m + 1) as f64;
        let inner = (0..m * m).map(|p| {
            let [dx, dy] = stream.in_disc(p as u64, 0).0;
            let [i, j] = [p % m + 1, p / m + 1].map(|i| i as f64);
            [(i + shift * dx) / steps, (j + shift * dy) / steps]
        });
        let places: Vec<[f64; 2]> = inner.chain(boundary(m)).collect();
        let points: Vec<Point> = places.iter().map(|&[x, y]| Point { x, y }).collect();
        let mut triangles = Vec::new();
        for corners in triangulate(&points).triangles.as_chunks::<3>().0 {
            let [a, b, c] = corners.map(|p| p as u32);
            let area = Triangle::new(corners.map(|p| places[p])).area * steps * steps;
            if area.abs() > LEAST_AREA {
                triangles.push(if area > 0.0 { [a, b, c] } else { [a, c, b] });
            }
        }
        Self::of(m, places, triangles)
    }

    /// With m² inner points drawn evenly from all but a margin of half a grid step, in the order in which
    /// they are drawn. Slivers are left out.
    pub fn random(m: usize, stream: Stream) -> Self {
        let margin = 0.5 / m as f64;
        let inner = (0..(m * m) as u64).map(|p| {
            let along = |d| margin + (1.0 - 2.0 * margin) * 0.5 * (stream.signed(p, d) + 1.0);
            [along(0), along(1)]
        });
        let places: Vec<[f64; 2]> = inner.chain(boundary(m)).collect();
        let anticlockwise = |[a, b, c]: [u32; 3]| {
            let area = Triangle::new([a, b, c].map(|p| places[p as usize])).area;
            if area > 0.0 { [a, b, c] } else { [a, c, b] }
        };
        let triangles = delaunay(&places, |_| true).into_iter().map(anticlockwise).collect();
        Self::of(m, places, triangles)
    }

    fn of(m: usize, places: Vec<[f64; 2]>, triangles: Vec<[u32; 3]>) -> Self {
        let (mut first, mut count) = (vec![0u32], vec![0u32; m * m]);
        let inner = |p: &u32| (*p as usize) < m * m;
        triangles.iter().flatten().filter(|p| inner(p)).for_each(|&p| count[p as usize] += 1);
        count.iter().for_each(|c| first.push(first[first.len() - 1] + c));
        let mut next = first.clone();
        let mut at = vec![(0, 0); first[m * m] as usize];
        for (t, corners) in triangles.iter().enumerate() {
            for (k, &p) in corners.iter().enumerate().filter(|(_, p)| inner(p)) {
                at[next[p as usize] as usize] = (t as u32, k as u8);
                next[p as usize] += 1;
            }
        }
        Delaunay { unknowns: m * m, places, triangles, first, at }
    }

    /// Where unknown `row` is.
    pub fn place(&self, row: u64) -> [f64; 2] {
        self.places[row as usize]
    }

    /// The triangles at unknown `row`, in the order of their numbers, and which of their corners it
    /// is.
    pub fn around(&self, row: u64) -> impl Iterator<Item = (u32, usize)> + '_ {
        let range = self.first[row as usize] as usize..self.first[row as usize + 1] as usize;
        self.at[range].iter().map(|&(t, k)| (t, k.into()))
    }

    /// Triangle number `t`.
    pub fn triangle(&self, t: u32) -> Triangle {
        Triangle::new(self.triangles[t as usize].map(|p| self.places[p as usize]))
    }

    /// The unknowns at the corners of triangle number `t`; `None` on the boundary.
    pub fn unknowns(&self, t: u32) -> [Option<u64>; 3] {
        self.triangles[t as usize].map(|p| ((p as usize) < self.unknowns).then_some(u64::from(p)))
    }
}

/// The grid nodes on the boundary.
fn boundary(m: usize) -> impl Iterator<Item = [f64; 2]> {
    let steps = (m + 1) as f64;
    let side = (0..=m).map(move |i| i as f64 / steps);
    side.flat_map(|t| [[t, 0.0], [1.0, t], [1.0 - t, 1.0], [0.0, 1.0 - t]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::random::Purpose;

    #[test]
    fn triangles_cover_the_square_and_no_point_lies_inside_a_circumcircle() {
        for (m, shift) in [(1, 0.4), (12, 0.48), (12, 0.0)] {
            let mesh = Delaunay::new(m, shift, Stream::new(Purpose::Test, 3, 0, &[]));
            // Euler: with b points on the boundary and i inside, 2i + b − 2 triangles.
            assert_eq!(mesh.triangles.len(), 2 * m * m + 4 * (m + 1) - 2);
            let areas = (0..mesh.triangles.len() as u32).map(|t| mesh.triangle(t).area);
            assert!((areas.sum::<f64>() - 1.0).abs() < 1e-12);
            for t in 0..mesh.triangles.len() as u32 {
                let triangle = mesh.triangle(t);
                assert!(triangle.area > 0.0);
                let [p, q, r] = triangle.corners;
                for s in &mesh.places {
                    // The in-circle determinant, positive inside for anticlockwise corners.
                    let row = |c: [f64; 2]| {
                        let (x, y) = (c[0] - s[0], c[1] - s[1]);
                        [x, y, x * x + y * y]
                    };
                    let [a, b, c] = [row(p), row(q), row(r)];
                    let minor = |i: usize, j: usize| b[i] * c[j] - b[j] * c[i];
                    let inside = a[0] * minor(1, 2) - a[1] * minor(0, 2) + a[2] * minor(0, 1);
                    assert!(inside < 1e-12, "m = {m}, triangle {t}: {inside}");
                }
            }
        }
    }
}
