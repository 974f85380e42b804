//! Every parser under mutated inputs, in this process: an input is taken or refused, and never a panic, an
//! abort or a hang.
//!
//! `cargo test --test fuzz` runs a short part that is the same every time. `scripts/fuzz.sh MINUTES
//! [PARSER]` runs for longer, from a seed that it prints, and keeps what crashes.
mod mutate;
mod parsers;

use mutate::{Corpus, Random};
use parsers::{PARSERS, Parser, World};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Inputs that became of a run.
#[derive(Debug, Default)]
struct Count {
    taken: u64,
    refused: u64,
}

impl Count {
    fn all(&self) -> u64 {
        self.taken + self.refused
    }
}

/// The inputs of a parser as they are committed, or as they are made where they do not keep.
fn corpus(parser: &Parser, world: &World) -> Corpus {
    if parser.name == "saved" {
        return Corpus::new(parsers::saved_now(world));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(parser.name);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    Corpus::new(paths.iter().map(|path| std::fs::read(path).expect("a file")).collect())
}

/// Hands an input to a parser; a panic keeps the input and is told.
fn meet(parser: &Parser, world: &World, input: &[u8], count: &mut Count) {
    match catch_unwind(AssertUnwindSafe(|| (parser.read)(world, input))) {
        Ok(Ok(())) => count.taken += 1,
        Ok(Err(_)) => count.refused += 1,
        Err(panic) => {
            let kept = kept().join(format!("crash-{}-{:016x}", parser.name, mutate::hash(input)));
            std::fs::write(&kept, input).expect("written");
            eprintln!("{}: kept as {}", parser.name, kept.display());
            std::panic::resume_unwind(panic);
        }
    }
}

/// Where crashing inputs go.
fn kept() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The input that is being read: an abort leaves it behind. Its length, in eight digits and the end of a
/// line, stands before it, so that one is written over the other.
struct Current(PathBuf, File);

impl Current {
    fn new(name: &str) -> Self {
        let path = kept().join(format!("current-{name}"));
        let file = File::create(&path).expect("a file");
        Current(path, file)
    }

    fn set(&mut self, input: &[u8]) {
        let whole = [format!("{:08}\n", input.len()).as_bytes(), input].concat();
        self.1.seek(SeekFrom::Start(0)).and_then(|_| self.1.write_all(&whole)).expect("written");
    }

    fn done(self) {
        std::fs::remove_file(&self.0).expect("removed");
    }
}

/// Inputs of each parser in the short part; those that take a whole system are slower.
const SHORT: u64 = 400;

#[test]
fn every_parser_takes_its_corpus_and_survives_what_became_of_it() {
    for parser in PARSERS {
        let world = World::new(parser.name);
        let corpus = corpus(parser, &world);
        assert!(!corpus.inputs().is_empty(), "{} has no corpus", parser.name);
        for input in corpus.inputs() {
            (parser.read)(&world, input).unwrap_or_else(|e| panic!("{}: {e}", parser.name));
        }
        let (mut random, mut count) = (Random::new(20_261_129), Count::default());
        for _ in 0..SHORT {
            meet(parser, &world, &corpus.mutant(&mut random), &mut count);
        }
        assert!(count.refused > 0, "{}: no mutant was refused: {count:?}", parser.name);
    }
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let corpus = corpus(&PARSERS[0], &World::new("seeds"));
    let inputs = |seed| {
        let mut random = Random::new(seed);
        (0..50).map(|_| corpus.mutant(&mut random)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}

#[test]
fn inputs_that_crashed_once_are_met_again() {
    // They stand in the corpus' folder `crashes`, by the parser's name and a dash.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/crashes");
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let of = |parser: &&Parser| name.starts_with(&format!("{}-", parser.name));
        let Some(parser) = PARSERS.iter().find(of) else { panic!("no parser for {name}") };
        let input = std::fs::read(&path).expect("a file");
        meet(parser, &World::new(parser.name), &input, &mut Count::default());
    }
}

/// What `scripts/fuzz.sh` runs: `FUZZ_SECONDS` in all, `FUZZ_PARSER` alone, from `FUZZ_SEED` on. Ignored, for it has no end of its own; every
/// parser is met by the tests above in any case.
#[test]
#[ignore = "runs as long as it is told to: scripts/fuzz.sh MINUTES [PARSER]"]
fn long() {
    let told = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str| told(name).map(|text| text.parse::<u64>().expect("a number"));
    let seconds = number("FUZZ_SECONDS").expect("FUZZ_SECONDS says for how long");
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let only = told("FUZZ_PARSER");
    let chosen: Vec<&Parser> =
        PARSERS.iter().filter(|p| only.as_ref().is_none_or(|name| p.name == name)).collect();
    let names: Vec<&str> = PARSERS.iter().map(|p| p.name).collect();
    assert!(!chosen.is_empty(), "there are these parsers: {}", names.join(", "));
    let each = Duration::from_secs(seconds) / chosen.len() as u32;
    println!("seed {seed}, {} parsers, {:.0} s each", chosen.len(), each.as_secs_f64());
    for parser in chosen {
        let world = World::new(parser.name);
        let corpus = corpus(parser, &world);
        let (mut random, mut count) = (Random::new(seed), Count::default());
        let mut current = Current::new(parser.name);
        let (start, mut slowest) = (Instant::now(), Duration::ZERO);
        while start.elapsed() < each {
            let input = corpus.mutant(&mut random);
            current.set(&input);
            let before = Instant::now();
            meet(parser, &world, &input, &mut count);
            slowest = slowest.max(before.elapsed());
        }
        let rate = count.all() as f64 / start.elapsed().as_secs_f64();
        println!(
            "{:<14} {:>9} inputs, {rate:>7.0} inputs/s, {} taken, {} refused, slowest {:.0} ms",
            parser.name,
            count.all(),
            count.taken,
            count.refused,
            1e3 * slowest.as_secs_f64()
        );
        current.done();
    }
}
