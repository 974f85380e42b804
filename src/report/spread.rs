//! Which of several times are shorter than others, beyond chance.
//!
//! Times are compared in pairs, those of one system and one round of its repetitions, as the logarithm of their ratio. Of
//! three to five pairs the mean has to lie above zero by more than its standard error times Student's t; of six and more,
//! where a single disturbance should not decide, so many have to be above zero as a fair coin would not show (sign
//! test); both at 97.5 % on one side. Fewer than three pairs tell nothing.
use super::solves::End;
use super::tally::Tally;

/// Student's t at 97.5 %, for 2, 3 and 4 degrees of freedom.
const STUDENT: [f64; 3] = [4.303, 3.182, 2.776];

/// What pairs of times say of two methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first is faster.
    Faster,
    /// Their difference is within the spread.
    Undecided,
    /// There are not enough pairs.
    TooFew,
}

/// Compares the times of two methods that solved the same systems.
pub fn compare(a: &Tally, b: &Tally) -> Verdict {
    let pairs = a.first.iter().zip(&b.first).flat_map(|(a, b)| ratios(a, b));
    verdict(&pairs.collect::<Vec<f64>>())
}

/// Logarithms of the times of `b` over those of `a`, round by round.
fn ratios(a: &End, b: &End) -> Vec<f64> {
    let (Ok(a), Ok(b)) = (a, b) else { return Vec::new() };
    let both = |time: &[f64; 2]| (time[0] + time[1]).max(1e-9);
    a.times.iter().zip(&b.times).map(|(a, b)| (both(b) / both(a)).ln()).collect()
}

/// What logarithms of ratios, those of the second method over the first, say of both.
pub fn verdict(ratios: &[f64]) -> Verdict {
    let n = ratios.len();
    if n < 3 {
        return Verdict::TooFew;
    }
    let faster = match STUDENT.get(n - 3) {
        Some(t) => {
            let mean = ratios.iter().sum::<f64>() / n as f64;
            let squares = ratios.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
            mean > t * (squares / (n - 1) as f64 / n as f64).sqrt()
        }
        None => coin(n, ratios.iter().filter(|ratio| **ratio > 0.0).count()) <= 0.025,
    };
    if faster { Verdict::Faster } else { Verdict::Undecided }
}

/// The probability that a fair coin shows its head in `heads` of `n` throws or more.
fn coin(n: usize, heads: usize) -> f64 {
    // Logarithms of the binomial coefficients: the numbers themselves leave the range.
    let mut sum = 0.0;
    let mut log = -(n as f64) * std::f64::consts::LN_2;
    for k in 0..=n {
        if k >= heads {
            sum += log.exp();
        }
        log += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    sum
}

/// Of methods that all solved the same systems: the one of the shortest time, and those that the spread does not tell
/// from it; nothing of them where there are too few times.
pub struct Fastest {
    /// The one of the shortest time.
    pub shortest: usize,
    /// With it, where there are times enough.
    pub equal: Option<Vec<usize>>,
}

/// Of `rows`, by their place among `tallies`.
pub fn fastest(tallies: &[Tally], rows: &[usize]) -> Option<Fastest> {
    let time = |row: usize| tallies[row].seconds().unwrap_or(f64::INFINITY);
    let shortest = rows.iter().copied().min_by(|&a, &b| time(a).total_cmp(&time(b)))?;
    let mut equal = vec![shortest];
    for &row in rows.iter().filter(|&&row| row != shortest) {
        match compare(&tallies[shortest], &tallies[row]) {
            Verdict::Faster => {}
            Verdict::Undecided => equal.push(row),
            Verdict::TooFew => return Some(Fastest { shortest, equal: None }),
        }
    }
    equal.sort_unstable();
    Some(Fastest { shortest, equal: Some(equal) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_counts_where_it_exceeds_the_spread() {
        assert_eq!(verdict(&[0.1, 0.1]), Verdict::TooFew);
        // Student's t for two degrees of freedom: mean 0.1, deviation 0.01, so 0.1 > 4.303 · 0.01 / √3.
        assert_eq!(verdict(&[0.09, 0.1, 0.11]), Verdict::Faster);
        assert_eq!(verdict(&[-0.1, 0.1, 0.3]), Verdict::Undecided);
        assert_eq!(verdict(&[-0.5; 40]), Verdict::Undecided);
        // One disturbance of many does not decide, two of six do.
        assert_eq!(verdict(&[0.1, 0.1, 0.1, 0.1, 0.1, 0.1]), Verdict::Faster);
        assert_eq!(verdict(&[0.1, 0.1, -9.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]), Verdict::Faster);
        assert_eq!(verdict(&[0.1, 0.1, -0.1, 0.1, -0.1, 0.1]), Verdict::Undecided);
    }

    #[test]
    fn a_coin_is_fair() {
        assert!((coin(6, 6) - 1.0 / 64.0).abs() < 1e-12);
        assert!((coin(9, 8) - 10.0 / 512.0).abs() < 1e-12);
        assert!((coin(1000, 0) - 1.0).abs() < 1e-9);
    }
}
