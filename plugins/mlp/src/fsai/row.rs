//! A corrected row of FSAI's factor, and its derivative.
//!
//! With r = g/gᵢᵢ FSAI's row on the columns J (the last of them i) and t the network's outputs,
//!
//! ```text
//! v = (rⱼ (1 + ½ tanh tⱼ) for j < i, 1),   s = vᵀ A(J, J) v,   g' = v / √s,
//! ```
//!
//! so that diag(G' A G'ᵀ) = 1. The diagonal of G' is positive whatever t is: M' = G'ᵀG' is positive
//! definite. t = 0 gives g' = g.

use precondor_neural::number::Number;

/// How far an entry may move from FSAI's: between (1 − REACH) and (1 + REACH) of it.
const REACH: f64 = 0.5;

/// What the row of v is divided by: √(vᵀ A(J, J) v); `image` ← A(J, J) v.
pub fn length(block: &[f64], v: &[f64], image: &mut [f64]) -> f64 {
    let k = v.len();
    for (image, row) in image.iter_mut().zip(block.chunks_exact(k)) {
        *image = row.iter().zip(v).map(|(a, v)| a * v).sum();
    }
    v.iter().zip(&*image).map(|(v, a)| v * a).sum::<f64>().sqrt()
}

/// rⱼ (1 + ½ tanh tⱼ); where the network overflowed and t is not a number, rⱼ.
pub fn corrected<T: Number>(ratio: f64, t: T) -> f64 {
    let tanh = t.wide().tanh();
    if tanh.is_nan() { ratio } else { ratio * (1.0 + REACH * tanh) }
}

/// Derivative of [`corrected`] by t.
pub fn corrected_derivative<T: Number>(ratio: f64, t: T) -> f64 {
    let tanh = t.wide().tanh();
    ratio * REACH * (1.0 - tanh * tanh)
}

/// Overwrites `h`, the derivative of a loss by the entries of v/√s, with that by the entries of v,
/// given what [`length`] returned and wrote.
pub fn backward(length: f64, v: &[f64], image: &[f64], h: &mut [f64]) {
    let along: f64 = h.iter().zip(v).map(|(h, v)| h * v).sum::<f64>() / (length * length);
    for (h, image) in h.iter_mut().zip(image) {
        *h = (*h - along * image) / length;
    }
}
