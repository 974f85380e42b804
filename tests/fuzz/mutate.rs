//! Inputs out of others: a seeded generator and the changes it makes.

/// SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`, which is not zero.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A name for an input.
pub fn hash(input: &[u8]) -> u64 {
    input.iter().fold(input.len() as u64, |h, &byte| mix(h ^ u64::from(byte)))
}

/// Inputs to start from, and the words in them.
pub struct Corpus {
    inputs: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

/// Words that parsers may stumble over.
const WORDS: [&str; 28] = [
    "0",
    "-1",
    "1",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e-320",
    "1e999",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "''",
    "\u{feff}",
    "\u{1f600}",
    "\0",
    "99999999999999999999999999",
];

/// Numbers of 64 bits that lengths and offsets may be.
const NUMBERS: [u64; 10] = [
    0,
    1,
    u64::MAX,
    1 << 31,
    (1 << 31) - 1,
    1 << 32,
    (1 << 32) - 1,
    1 << 63,
    (1 << 63) - 1,
    1 << 40,
];

/// Bytes that an input may have.
const LONGEST: usize = 1 << 16;

impl Corpus {
    pub fn new(inputs: Vec<Vec<u8>>) -> Self {
        let words = inputs.iter().flat_map(|input| input.split(|c| !c.is_ascii_alphanumeric()));
        let mut words: Vec<Vec<u8>> =
            words.filter(|w| (2..40).contains(&w.len())).map(<[u8]>::to_vec).collect();
        words.sort();
        words.dedup();
        Corpus { inputs, words }
    }

    pub fn inputs(&self) -> &[Vec<u8>] {
        &self.inputs
    }

    /// An input of the corpus after one change or several.
    pub fn mutant(&self, random: &mut Random) -> Vec<u8> {
        let mut input = self.inputs[random.below(self.inputs.len())].clone();
        for _ in 0..1 + random.below(4) {
            self.change(&mut input, random);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&self, input: &mut Vec<u8>, random: &mut Random) {
        if input.is_empty() {
            input.extend(random.one_of(&WORDS).bytes());
            return;
        }
        let at = random.below(input.len());
        let end = at + 1 + random.below((input.len() - at).min(64));
        match random.below(14) {
            0 => input[at] ^= 1 << random.below(8),
            1 => input[at] = random.next() as u8,
            2 => drop(input.drain(at..end)),
            3 => {
                let again = input[at..end].to_vec();
                insert(input, at, &again);
            }
            4 => input.truncate(at),
            5 => insert(input, at, random.one_of(&WORDS).as_bytes()),
            6 => word(input, at, random.one_of(&WORDS).as_bytes()),
            7 if !self.words.is_empty() => {
                let other = self.words[random.below(self.words.len())].clone();
                word(input, at, &other);
            }
            8 => number(input, at, random),
            9 => line(input, at, Some(random.below(input.len()))),
            10 => line(input, at, None),
            11 => {
                // The end of another input behind the start of this one.
                let other = &self.inputs[random.below(self.inputs.len())];
                let from = random.below(other.len().max(1)).min(other.len());
                input.truncate(at);
                input.extend(&other[from..]);
            }
            12 => {
                let many = input[at..end].repeat(1 + random.below(200));
                insert(input, at, &many);
            }
            _ => input[at..end].fill(*random.one_of(&[&0u8, &0xff, &b' ', &b'\n', &b'[', &b'9'])),
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, what: &[u8]) {
    input.splice(at..at, what.iter().copied());
}

/// Puts `what` in the place of the word around `at`.
fn word(input: &mut Vec<u8>, at: usize, what: &[u8]) {
    let part = |c: &u8| c.is_ascii_alphanumeric() || b"+-._".contains(c);
    let start = input[..at].iter().rposition(|c| !part(c)).map_or(0, |p| p + 1);
    let end = input[at..].iter().position(|c| !part(c)).map_or(input.len(), |p| at + p);
    input.splice(start..end.max(start), what.iter().copied());
}

/// Writes a number of four or eight bytes, in either order, where one may stand.
fn number(input: &mut [u8], at: usize, random: &mut Random) {
    let value = NUMBERS[random.below(NUMBERS.len())];
    let (wide, little) = (random.below(2) == 0, random.below(2) == 0);
    let bytes = match (wide, little) {
        (true, true) => value.to_le_bytes().to_vec(),
        (true, false) => value.to_be_bytes().to_vec(),
        (false, true) => (value as u32).to_le_bytes().to_vec(),
        (false, false) => (value as u32).to_be_bytes().to_vec(),
    };
    let at = at & !3;
    input[at..].iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
}

/// Takes the line around `at` out, or puts it before the one around `to`.
fn line(input: &mut Vec<u8>, at: usize, to: Option<usize>) {
    let start = |input: &[u8], at: usize| {
        input[..at].iter().rposition(|&c| c == b'\n').map_or(0, |p| p + 1)
    };
    let first = start(input, at);
    let end = input[at..].iter().position(|&c| c == b'\n').map_or(input.len(), |p| at + p + 1);
    let taken: Vec<u8> = input.drain(first..end.max(first)).collect();
    if let Some(to) = to {
        let to = start(input, to.min(input.len()));
        insert(input, to, &taken);
    }
}
