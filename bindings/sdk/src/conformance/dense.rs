//! Small dense matrices to compare with.

/// An n × n matrix, row after row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dense {
    pub n: usize,
    pub values: Vec<f64>,
}

impl Dense {
    pub fn zeros(n: usize) -> Self {
        Dense { n, values: vec![0.0; n * n] }
    }
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }
    pub fn set(&mut self, i: usize, j: usize, value: f64) {
        self.values[i * self.n + j] = value;
    }
    /// Entry (i, j) replaced by `f(i, j, it)`.
    pub fn with(&self, f: impl Fn(usize, usize, f64) -> f64) -> Self {
        let n = self.n;
        let entry = |(k, v): (usize, &f64)| f(k / n, k % n, *v);
        Dense { n, values: self.values.iter().enumerate().map(entry).collect() }
    }
    /// Times a number.
    pub fn times_scalar(&self, c: f64) -> Self {
        self.with(|_, _, v| c * v)
    }
    /// Entry (i, j) is that of `place(i)`, `place(j)`.
    pub fn picked(&self, place: impl Fn(usize) -> usize) -> Self {
        self.with(|i, j, _| self.at(place(i), place(j)))
    }
    pub fn transpose(&self) -> Self {
        let mut t = Dense::zeros(self.n);
        for i in 0..self.n {
            for j in 0..self.n {
                t.set(j, i, self.at(i, j));
            }
        }
        t
    }
    pub fn times(&self, other: &Dense) -> Self {
        let mut product = Dense::zeros(self.n);
        for i in 0..self.n {
            for k in 0..self.n {
                for j in 0..self.n {
                    let sum = product.at(i, j) + self.at(i, k) * other.at(k, j);
                    product.set(i, j, sum);
                }
            }
        }
        product
    }
    /// Largest absolute entry; NaN if any is.
    pub fn size(&self) -> f64 {
        self.values.iter().fold(0.0, |m: f64, v| if v.is_nan() { *v } else { m.max(v.abs()) })
    }
    /// Largest difference, relative to the largest entry.
    pub fn distance(&self, other: &Dense) -> f64 {
        let difference = self.values.iter().zip(&other.values).map(|(a, b)| a - b).collect();
        let difference = Dense { n: self.n, values: difference }.size();
        if difference == 0.0 { 0.0 } else { difference / self.size().max(other.size()) }
    }
    /// Whether the symmetric part is positive definite: its Cholesky factorisation exists.
    pub fn positive_definite(&self) -> bool {
        let n = self.n;
        let mut l = Dense::zeros(n);
        for i in 0..n {
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| l.at(i, k) * l.at(j, k)).sum();
                let rest = (self.at(i, j) + self.at(j, i)) / 2.0 - dot;
                if i == j && (rest <= 0.0 || rest.is_nan()) {
                    return false;
                }
                l.set(i, j, if i == j { rest.sqrt() } else { rest / l.at(j, j) });
            }
        }
        true
    }
}
