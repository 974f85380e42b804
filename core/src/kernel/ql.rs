//! The implicit QL iteration for the eigenvalues of a symmetric tridiagonal matrix.
//!
//! Cost: two or three sweeps an eigenvalue, each of some ten operations a row left. Reference: J. Wilkinson, C. Reinsch,
//! *Handbook for Automatic Computation*, vol. 2, Springer 1971, II/3–4.

/// Makes eigenvalues of the diagonal `d` and the entries `e` beside it, which are followed by a zero. `rotate(i, s, c)` is told of
/// every rotation of rows i and i + 1 of the transposed eigenvectors, u and v, to c u − s v and s u + c v. False where an eigenvalue took
/// more than `most` steps, and was left as it is: entries that are not finite.
pub(super) fn iterate(
    d: &mut [f64],
    e: &mut [f64],
    most: usize,
    mut rotate: impl FnMut(usize, f64, f64),
) -> bool {
    let n = d.len();
    let mut ended = true;
    for l in 0..n {
        let mut left = most;
        loop {
            let small = |k: &usize| e[*k].abs() <= f64::EPSILON * (d[*k].abs() + d[*k + 1].abs());
            let m = (l..n - 1).find(small).unwrap_or(n - 1);
            if m == l {
                break;
            }
            if left == 0 {
                ended = false;
                break;
            }
            left -= 1;
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let r = g.hypot(1.0);
            g = d[m] - d[l] + e[l] / (g + r.copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut split = false;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    // The matrix falls apart here: start again on the smaller part.
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    split = true;
                    break;
                }
                (s, c) = (f / r, g / r);
                g = d[i + 1] - p;
                let t = (d[i] - g) * s + 2.0 * c * b;
                p = s * t;
                d[i + 1] = g + p;
                g = c * t - b;
                rotate(i, s, c);
            }
            if !split {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    ended
}
