//! Solves in a process of their own ([`worker`]), which is ended where a method does not stop in time, and started again
//! where one has ended it.
//!
//! It is told which files patterns have found and which solves are done, and tells [`Event`]s.
use super::ledger::{Event, Key, Ledger};
use super::runs::Asked;
use super::work::UnderWay;
use crate::interrupt;
use crate::patterns::Found;
use crate::report::Failure;
use crate::session::Session;
use crate::worker::{self, Heard, Worker};
use precondor_core::{Error, Result};
use precondor_host::child;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Instant;

/// What a worker is told.
#[derive(Serialize, Deserialize)]
pub struct Told {
    pub found: Found,
    pub done: BTreeSet<Key>,
    pub ended: BTreeSet<Key>,
}

/// The worker's side: does what is not done, and tells of it.
pub fn work(session: &Session, asked: &Asked, Told { done, ended, .. }: Told) -> Result<()> {
    let mut work = UnderWay { session, asked, done, ended, tolerant: true };
    interrupt::gracefully(|| {
        work.all(&mut |event| {
            child::say(&event);
            Ok(())
        })
    })?;
    child::say(&Event::Done(session.files()));
    Ok(())
}

/// What a worker is at.
enum At {
    /// Nothing that could be told.
    Start,
    Making(usize, u64),
    Solving(Key, Instant),
}

/// Has all solves done that are not done yet.
///
/// # Errors
/// [`Error::Interrupted`] where this process was asked to end; where no worker starts.
pub fn all(session: &Session, asked: &Asked, found: &Found, ledger: &mut Ledger) -> Result<()> {
    loop {
        let mut worker = Worker::start()?;
        let (found, done, ended) = (found.clone(), ledger.done.clone(), ledger.ended.clone());
        worker.tell(&Told { found, done, ended })?;
        let at = match watch((session, asked), ledger, &mut worker) {
            Ok(None) => return worker.ended().map(drop),
            Ok(Some(ended)) => ended,
            Err(e) => {
                // What it was at is not counted.
                worker.end()?;
                return Err(e);
            }
        };
        for (key, failure) in blamed(asked, &ledger.done, at)? {
            ledger.take(Event::End(key, Box::new(Err(failure)), Default::default()))?;
        }
    }
}

/// Hears a worker to its end: none where all is done, else what it was at and why it ended.
fn watch(
    (session, asked): (&Session, &Asked),
    ledger: &mut Ledger,
    worker: &mut Worker,
) -> Result<Option<(At, Failure)>> {
    let mut at = At::Start;
    let mut done = false;
    loop {
        match worker.hear::<Event>()? {
            Heard::Said(event) => {
                match &event {
                    Event::Making(case, system) => at = At::Making(*case, *system),
                    Event::Begin(key) => at = At::Solving(*key, Instant::now()),
                    // This process has looked at the files.
                    Event::Made(..) => session.files_unchanged()?,
                    Event::End(..) => {}
                    Event::Done(_) => done = true,
                }
                ledger.take(event)?;
            }
            Heard::Quiet => {}
            Heard::Closed => break,
        }
        if interrupt::asked() {
            return Err(Error::Interrupted);
        }
        if let At::Solving(key, since) = at
            && !ledger.done.contains(&key)
            && let Some(limit) = asked.runs[key.run].limit
            && since.elapsed() > limit + worker::grace(limit)
        {
            worker.end()?;
            return Ok(Some((at, worker::ended_at(limit))));
        }
    }
    if done {
        return Ok(None);
    }
    let failure = worker.ended()?;
    if interrupt::asked() {
        return Err(Error::Interrupted);
    }
    Ok(Some((at, failure)))
}

/// The solves that are to blame for the end of a worker.
fn blamed(
    asked: &Asked,
    done: &BTreeSet<Key>,
    (at, failure): (At, Failure),
) -> Result<Vec<(Key, Failure)>> {
    let keys: Vec<Key> = match at {
        At::Start => Vec::new(),
        At::Solving(key, _) if !done.contains(&key) => vec![key],
        // Between two solves of a system.
        At::Solving(key, _) => asked.todo(key.case, key.system, done).into_iter().take(1).collect(),
        At::Making(case, system) => {
            let mut failed = BTreeSet::new();
            let todo = asked.todo(case, system, done);
            todo.into_iter().filter(|key| failed.insert(key.run)).collect()
        }
    };
    if keys.is_empty() {
        return Err(worker::lost(&failure));
    }
    Ok(keys.into_iter().map(|key| (key, failure.clone())).collect())
}
