//! Random numbers by place instead of by turn: any rank or thread makes any of them.
//!
//! A [`Stream`] is a 64-bit key; the number at place p, draw k is `mix(mix(key + pγ) + kγ)`, where
//! mix and γ are the finaliser and the increment of SplitMix64. The key is hashed out of a
//! [`Purpose`], a seed, an index and tags, and the purpose takes its top bit: no test system ever
//! shares its key with a training system, whatever the seeds are.
//!
//! Uniform numbers use exact arithmetic only, so meshes are the same bit for bit on every machine;
//! normal ones also use `ln`.
//!
//! Reference: G. L. Steele, D. Lea, C. H. Flood, *Fast splittable pseudorandom number generators*,
//! OOPSLA 2014.

/// What a system is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be solved.
    Test,
    /// To be learned from.
    Training,
}

/// Random numbers by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

/// The increment of SplitMix64.
pub const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64: a number of its own for every number.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// About `count` of `n` numbers, which stand for all: the same whoever has them.
pub fn samples(n: u64, count: u64) -> impl Fn(u64) -> bool {
    let every = n.div_ceil(count).clamp(1, 1 << 32);
    // Of 32 bits h is a multiple of d where h · ⌈2⁶⁴/d⌉, modulo 2⁶⁴, is less than ⌈2⁶⁴/d⌉ (D. Lemire, O. Kaser, N. Kurz, Softw. Pract. Exp. 49
    // (2019)): no division for every number.
    let inverse = (u64::MAX / every).wrapping_add(1);
    move |number| {
        let h = number.wrapping_mul(GAMMA) >> 32;
        every == 1 || h.wrapping_mul(inverse) < inverse
    }
}

/// The seed that a family of problems works under for a user's seed: its top bit tells the purpose.
pub fn seed_for(purpose: Purpose, seed: u64) -> u64 {
    Stream::new(purpose, seed, 0, &[]).key
}

impl Stream {
    /// The stream of system `index` under a seed from [`seed_for`], one for each list of tags.
    pub fn under(seed: u64, index: u64, tags: &[u64]) -> Self {
        let purpose = if seed >> 63 == 1 { Purpose::Training } else { Purpose::Test };
        Stream::new(purpose, seed, index, tags)
    }

    /// The stream of system `index` under `seed`, one for each list of tags.
    pub fn new(purpose: Purpose, seed: u64, index: u64, tags: &[u64]) -> Self {
        let words = [seed, index].into_iter().chain(tags.iter().copied());
        let key = words.fold(0, |key: u64, word| mix(key.wrapping_add(GAMMA) ^ mix(word)));
        let top = u64::from(purpose == Purpose::Training) << 63;
        Stream { key: (key >> 1) | top }
    }

    /// Draw `k` at `place`: 64 random bits.
    fn word(&self, place: u64, k: u64) -> u64 {
        let there = mix(self.key.wrapping_add(place.wrapping_mul(GAMMA)));
        mix(there.wrapping_add(k.wrapping_mul(GAMMA)))
    }

    /// Draw `k` at `place`, uniform in [−1, 1).
    pub fn signed(&self, place: u64, k: u64) -> f64 {
        (self.word(place, k) >> 11) as f64 * (2.0 / (1u64 << 53) as f64) - 1.0
    }

    /// Attempt `attempt` at `place`: a point drawn uniformly from the unit disc without its
    /// centre, and its squared distance from there.
    pub fn in_disc(&self, place: u64, attempt: u32) -> ([f64; 2], f64) {
        let mut k = u64::from(attempt) << 32;
        loop {
            let (x, y) = (self.signed(place, k), self.signed(place, k + 1));
            let square = x * x + y * y;
            if square <= 1.0 && square > 0.0 {
                return ([x, y], square);
            }
            k += 2;
        }
    }

    /// Attempt `attempt` at `place`: a point drawn uniformly from the unit ball.
    pub fn in_ball(&self, place: u64, attempt: u32) -> [f64; 3] {
        let mut k = u64::from(attempt) << 32;
        loop {
            let point = [k, k + 1, k + 2].map(|k| self.signed(place, k));
            if point.iter().map(|x| x * x).sum::<f64>() <= 1.0 {
                return point;
            }
            k += 3;
        }
    }

    /// The number at `place`, normal with mean 0 and variance 1 (Marsaglia's polar method).
    pub fn normal(&self, place: u64) -> f64 {
        let ([x, _], square) = self.in_disc(place, 0);
        x * (-2.0 * square.ln() / square).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_multiples() {
        for n in [1u64, 512, 513, 4097, 261_121, 1 << 33, u64::MAX] {
            let (chosen, every) = (samples(n, 512), n.div_ceil(512).clamp(1, 1 << 32));
            for number in (0..200_000u64).chain((0..1000).map(|k| k * (n / 1000))) {
                let multiple = (number.wrapping_mul(GAMMA) >> 32).is_multiple_of(every);
                assert_eq!(chosen(number), multiple, "{number} of {n}");
            }
        }
    }

    #[test]
    fn points_fill_the_disc_evenly_and_normal_numbers_have_their_moments() {
        let stream = Stream::new(Purpose::Test, 1, 0, &[]);
        let n = 200_000;
        let (mut inner, mut mean) = (0, [0.0; 2]);
        let (mut first, mut second, mut fourth) = (0.0, 0.0, 0.0);
        for place in 0..n {
            let ([x, y], square) = stream.in_disc(place, 0);
            inner += u64::from(square < 0.25);
            mean = [mean[0] + x, mean[1] + y];
            let z = stream.normal(place + n);
            (first, second, fourth) = (first + z, second + z * z, fourth + z.powi(4));
        }
        let n = n as f64;
        // Each bound is about four standard deviations.
        assert!((inner as f64 / n - 0.25).abs() < 0.004);
        assert!(mean.iter().all(|s| (s / n).abs() < 0.005));
        assert!((first / n).abs() < 0.009 && (second / n - 1.0).abs() < 0.013);
        assert!((fourth / n - 3.0).abs() < 0.09);
    }

    #[test]
    fn points_fill_the_ball_evenly() {
        let stream = Stream::new(Purpose::Test, 2, 0, &[]);
        let n = 100_000u64;
        let (mut inner, mut mean) = (0, [0.0; 3]);
        for place in 0..n {
            let point = stream.in_ball(place, 0);
            let square = point.iter().map(|x| x * x).sum::<f64>();
            assert!(square <= 1.0);
            inner += u64::from(square < 0.25);
            mean.iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
        }
        // Each bound is about four standard deviations.
        assert!((inner as f64 / n as f64 - 0.125).abs() < 0.0042);
        assert!(mean.iter().all(|s| (s / n as f64).abs() < 0.006));
        assert_ne!(stream.in_ball(5, 0), stream.in_ball(5, 1));
    }

    #[test]
    fn streams_differ_in_everything_they_are_made_of() {
        let of = |purpose, seed, index, tags: &[u64]| Stream::new(purpose, seed, index, tags);
        let streams = [
            of(Purpose::Test, 1, 2, &[3]),
            of(Purpose::Training, 1, 2, &[3]),
            of(Purpose::Test, 2, 1, &[3]),
            of(Purpose::Test, 1, 3, &[2]),
            of(Purpose::Test, 1, 2, &[]),
            of(Purpose::Test, 1, 2, &[3, 0]),
        ];
        for (k, one) in streams.iter().enumerate() {
            assert!(streams[..k].iter().all(|other| other != one), "{k}");
        }
        let point = |attempt| streams[0].in_disc(5, attempt).0;
        assert_ne!(point(0), point(1));
        for seed in 0..1000 {
            assert_eq!(of(Purpose::Test, seed, seed, &[]).key >> 63, 0);
            assert_eq!(of(Purpose::Training, seed, seed, &[]).key >> 63, 1);
        }
    }
}
