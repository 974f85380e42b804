//! What has happened in a comparison, in order: it is told as [`Event`]s, by this process or the one that solves, kept
//! in a journal, and added up here.
use super::journal::Journal;
use crate::experiment::Case;
use crate::report::csv::Solve;
use crate::report::{self, Course, End, Pairing, Raw, Tally};
use crate::terminal::clean;
use indicatif::{ProgressBar, ProgressStyle};
use precondor::report::Input;
use precondor_core::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A solve: its case, the system of it, the run, and how often it was done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    pub case: usize,
    pub system: u64,
    pub run: usize,
    pub round: u32,
}

/// What is known of a system.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Info {
    pub n: u64,
    pub nnz: u64,
    /// Nodes a side, where A is that of a square grid that is numbered row after row.
    pub side: Option<u64>,
}

/// What happens in a comparison.
#[derive(Clone, Serialize, Deserialize)]
pub enum Event {
    /// A system is being made.
    Making(usize, u64),
    /// It is there.
    Made(usize, u64, Info),
    /// A solve begins, its setup first.
    Begin(Key),
    /// It has ended; with its course, of the first system of a case.
    End(Key, Box<End>, Course),
    /// All is done; methods have read these files.
    Done(Vec<Input>),
}

impl Event {
    /// The solve that has ended.
    pub fn ended(&self) -> Option<Key> {
        match self {
            Event::End(key, ..) => Some(*key),
            _ => None,
        }
    }

    /// The case that it is of.
    pub fn case(&self) -> Option<usize> {
        match self {
            Event::Making(case, _) | Event::Made(case, ..) => Some(*case),
            Event::Begin(key) | Event::End(key, ..) => Some(key.case),
            Event::Done(_) => None,
        }
    }
}

/// Events, added up.
pub struct Ledger<'a> {
    methods: &'a [Pairing],
    cases: &'a [Case],
    ranks: usize,
    repeats: u32,
    pub infos: Vec<report::Case>,
    /// `tallies[case][method]`.
    pub tallies: Vec<Vec<Tally>>,
    pub raw: Option<Raw>,
    pub journal: Option<Journal>,
    /// Solves that have ended.
    pub done: BTreeSet<Key>,
    /// Those of them that had to be ended, or ended their process.
    pub ended: BTreeSet<Key>,
    /// Files that methods have read in another process.
    pub files: Vec<Input>,
    open: Option<Open>,
    bar: ProgressBar,
}

/// A system under way: how the solves of every run have ended.
struct Open {
    case: usize,
    system: u64,
    info: Info,
    ends: Vec<Vec<End>>,
    courses: Vec<Course>,
}

impl<'a> Ledger<'a> {
    pub fn new(
        (methods, cases): (&'a [Pairing], &'a [Case]),
        repeats: u32,
        ranks: usize,
        shown: bool,
    ) -> Self {
        let mut ledger = Ledger {
            methods,
            cases,
            ranks,
            repeats,
            infos: Vec::new(),
            tallies: Vec::new(),
            raw: None,
            journal: None,
            done: BTreeSet::new(),
            ended: BTreeSet::new(),
            files: Vec::new(),
            open: None,
            bar: ProgressBar::hidden(),
        };
        if shown {
            ledger.bar = progress(ledger.solves().saturating_mul(repeats.into()));
        }
        ledger
    }

    /// Solves to do, each counted once.
    fn solves(&self) -> u64 {
        let systems = self.cases.iter().fold(0u64, |sum, case| sum.saturating_add(case.samples));
        systems.saturating_mul(self.methods.len() as u64)
    }

    /// Takes in what has happened.
    pub fn take(&mut self, event: Event) -> Result<()> {
        if let (Some(journal), Event::Made(..) | Event::End(..)) = (&mut self.journal, &event) {
            journal.add(&event)?;
        }
        match event {
            Event::Making(case, system) => self.begin(case, system),
            Event::Made(case, system, info) => {
                self.begin(case, system);
                if let Some(open) = &mut self.open {
                    open.info = info;
                }
            }
            Event::Begin(key) => {
                let labels = (self.cases.get(key.case), self.methods.get(key.run));
                if let (Some(case), Some(method)) = labels {
                    let text = format!("{}: {}", case.label, method.label);
                    self.bar.set_message(clean(&text).into_owned());
                }
            }
            Event::End(key, end, course) => {
                self.begin(key.case, key.system);
                if end.as_ref().as_ref().is_err_and(|failure| failure.outcome != "failed") {
                    self.ended.insert(key);
                }
                // What has failed is not done again.
                let rounds =
                    if end.is_err() { self.repeats.max(key.round + 1) } else { key.round + 1 };
                let rounds = (key.round..rounds).map(|round| Key { round, ..key });
                self.done.extend(rounds);
                if let Some(open) = &mut self.open
                    && let (Some(ends), Some(of_first)) =
                        (open.ends.get_mut(key.run), open.courses.get_mut(key.run))
                {
                    ends.push(*end);
                    if !course.history.is_empty() {
                        *of_first = course;
                    }
                }
                self.bar.inc(1);
            }
            Event::Done(files) => self.files = files,
        }
        Ok(())
    }

    /// Closes the system under way, where this is another one, and opens this one.
    fn begin(&mut self, case: usize, system: u64) {
        if self.open.as_ref().is_some_and(|open| (open.case, open.system) == (case, system)) {
            return;
        }
        self.close();
        while self.infos.len() <= case {
            let Some(next) = self.cases.get(self.infos.len()) else { return };
            self.infos.push(report::Case::new(next));
            self.tallies.push(self.methods.iter().map(|_| Tally::default()).collect());
        }
        let info = Info { n: 0, nnz: 0, side: None };
        let (ends, courses) = self.methods.iter().map(|_| Default::default()).unzip();
        self.open = Some(Open { case, system, info, ends, courses });
    }

    /// Adds up the system under way.
    pub fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let (Some(info), Some(tallies)) =
            (self.infos.get_mut(open.case), self.tallies.get_mut(open.case))
        else {
            return;
        };
        let Info { n, nnz, side } = open.info;
        (info.n, info.nnz, info.side) = (n, nnz, side);
        let mut all = true;
        let parts = self.methods.iter().zip(tallies).zip(open.ends).zip(open.courses);
        for (((method, tally), ends), course) in parts {
            // What a signal cut short before it was done once is not counted.
            let Some(end) = report::together(ends) else {
                all = false;
                continue;
            };
            if let Some(raw) = &mut self.raw {
                let (case, system, ranks) = (info.label.as_str(), open.system, self.ranks);
                raw.add(&Solve { case, system, n, nnz, method, ranks }, &end);
            }
            tally.add(end);
            if open.system == 0 {
                tally.course = course;
            }
        }
        if all {
            info.systems_done += 1;
        }
    }

    /// Ends the show of how far it is.
    pub fn finish(&mut self) {
        self.close();
        self.bar.finish_and_clear();
    }

    /// Why solves are missing.
    pub fn incomplete(&self, signal: &str) -> String {
        let done: u64 = self.tallies.iter().flatten().map(Tally::total).sum();
        format!(
            "INCOMPLETE: interrupted by {signal} after {done} of {} solves; what was done by then is told.",
            self.solves()
        )
    }
}

/// How many solves are done; shown on a terminal only.
fn progress(solves: u64) -> ProgressBar {
    let bar = ProgressBar::new(solves);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} solves, {eta} left, {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
