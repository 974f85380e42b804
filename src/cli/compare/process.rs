//! Solves in a process of their own, which is ended where a method does not stop in time, and started again where one
//! has ended it.
//!
//! The process is the program itself, called as it was with [`WORKER`] in front. It is told on a line of its standard input
//! which files patterns have found and which solves are done, and tells [`Event`]s; that its input ends means that its parent is gone, and it ends, too.
use super::ledger::{Event, Key, Ledger};
use super::runs::Asked;
use super::work::Work;
use crate::interrupt;
use crate::patterns::Found;
use crate::report::Failure;
use crate::session::Session;
use precondor_core::{Error, Result};
use precondor_host::child::{self, Lines, Next, Pipe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{BufRead, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// The word that makes the program a worker.
pub const WORKER: &str = "--precondor-worker";
/// What a method gets beyond its limit to stop by itself: so much, and a part of the limit.
const GRACE: Duration = Duration::from_secs(2);

/// What a worker is told.
#[derive(Serialize, Deserialize)]
pub struct Told {
    pub found: Found,
    pub done: BTreeSet<Key>,
}

/// The worker's side: hears what it is told, and ends when its parent does.
pub fn told() -> Result<Told> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|e| Error::file("standard input", e))?;
    let told = serde_json::from_str(&line).map_err(|e| Error::Data(e.to_string()))?;
    std::thread::spawn(|| {
        // Returns when the parent is gone, however it went.
        let _ = std::io::stdin().lock().read(&mut [0]);
        std::process::exit(1);
    });
    Ok(told)
}

/// The worker's side: does what is not done, and tells of it.
pub fn work(session: &Session, asked: &Asked, done: BTreeSet<Key>) -> Result<()> {
    let mut work = Work { session, asked, done, tolerant: true };
    interrupt::gracefully(|| {
        work.all(&mut |event| {
            child::say(&event);
            Ok(())
        })
    })?;
    child::say(&Event::Done(session.files()));
    Ok(())
}

/// Whether solves can be done in another process: not those of a job of ranks, whose launcher knows its processes.
pub fn possible(session: &Session) -> bool {
    session.comm().size() == 1 && precondor::launched().is_none()
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
        let (mut child, stdin) = start(found, &ledger.done)?;
        let lines = Lines::of(&mut child);
        let ended = watch((session, asked), ledger, &mut child, &lines);
        drop(stdin);
        let at = match ended {
            Ok(None) => return child.wait().map(drop).map_err(failed),
            Ok(Some(ended)) => ended,
            Err(e) => {
                // What it was at is not counted.
                child.kill().and_then(|()| child.wait()).map_err(failed)?;
                return Err(e);
            }
        };
        for (key, failure) in blamed(asked, &ledger.done, at)? {
            ledger.take(Event::End(key, Box::new(Err(failure)), Default::default()))?;
        }
    }
}

fn failed(e: std::io::Error) -> Error {
    Error::Unsupported(format!("the process that solves: {e}"))
}

fn start(found: &Found, done: &BTreeSet<Key>) -> Result<(Child, Option<ChildStdin>)> {
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.arg(WORKER).args(std::env::args_os().skip(1));
    #[cfg(unix)]
    // Signals of the terminal are for this process, which sees to the other.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(failed)?;
    let mut stdin = child.stdin.take();
    let told = Told { found: found.clone(), done: done.clone() };
    let text = serde_json::to_string(&told).map_err(|e| Error::Data(e.to_string()))? + "\n";
    if let Some(stdin) = &mut stdin {
        // One that has ended already is told of below.
        let _ = stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush());
    }
    Ok((child, stdin))
}

/// Hears a worker to its end: none where all is done, else what it was at and why it ended.
fn watch(
    (session, asked): (&Session, &Asked),
    ledger: &mut Ledger,
    child: &mut Child,
    lines: &Lines,
) -> Result<Option<(At, Failure)>> {
    let mut at = At::Start;
    let mut done = false;
    loop {
        match lines.next() {
            Next::Line(Pipe::Out, line) => match child::heard::<Event>(&line) {
                Some(event) => {
                    let event = event
                        .map_err(|e| Error::Data(format!("of the process that solves: {e}")))?;
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
                None => tracing::debug!("printed: {}", String::from_utf8_lossy(&line)),
            },
            Next::Line(..) | Next::Quiet => {}
            Next::Closed => break,
        }
        if interrupt::asked() {
            return Err(Error::Interrupted);
        }
        if let At::Solving(key, since) = at
            && !ledger.done.contains(&key)
            && let Some(limit) = asked.runs[key.run].limit
            && since.elapsed() > limit + limit / 4 + GRACE
        {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            let seconds = limit.as_secs_f64();
            let why = format!(
                "the time limit of {seconds} s was over; it did not stop when it was asked to, and was ended with its process"
            );
            return Ok(Some((at, Failure::late(why))));
        }
    }
    let status = child.wait().map_err(failed)?;
    if done {
        return Ok(None);
    }
    if interrupt::asked() {
        return Err(Error::Interrupted);
    }
    Ok(Some((
        at,
        Failure::crashed(match child::signal(status) {
            Some(9) => "its process was killed (signal 9), for want of memory perhaps".to_owned(),
            Some(signal) => format!("it crashed (signal {signal})"),
            None => format!("it ended its process ({status})"),
        }),
    )))
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
        return Err(Error::Unsupported(format!("the process that solves: {}", failure.why)));
    }
    Ok(keys.into_iter().map(|key| (key, failure.clone())).collect())
}
