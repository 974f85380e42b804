//! The program once more, in a process of its own: what solves there may crash, and is ended where it does not stop in
//! time.
//!
//! It is called as this process was, with [`WORKER`] in front. What it is to do it hears as lines of its standard input;
//! their end means that its parent is gone, and it ends, too. What it has to say it says with [`child::say`].
use crate::report::Failure;
use crate::session::Session;
use precondor_core::{Error, Result};
use precondor_host::child::{self, Lines, Next, Pipe};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The word that makes the program a worker.
pub const WORKER: &str = "--precondor-worker";

/// Whether solves can be done in another process: not those of a job of ranks, whose launcher knows its processes.
pub fn possible(session: &Session) -> bool {
    session.comm().size() == 1 && precondor::launched().is_none()
}

/// What a run gets beyond its limit to stop by itself, before its process is ended.
pub fn grace(limit: Duration) -> Duration {
    limit / 4 + Duration::from_secs(2)
}

/// The worker's side: what its parent says, line by line.
pub struct Orders(Receiver<String>);

/// Hears the parent from now on, and ends the process when the parent does, whatever it is at.
pub fn orders() -> Orders {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        let heard = std::io::stdin().lock().lines().map_while(std::result::Result::ok);
        // Nobody listens to what comes behind the last that is waited for.
        heard.for_each(|line| drop(send.send(line)));
        std::process::exit(1);
    });
    Orders(lines)
}

impl Orders {
    /// Waits for the next.
    pub fn next<T: DeserializeOwned>(&self) -> Result<T> {
        let line = self.0.recv().map_err(|e| Error::file("standard input", e.to_string()))?;
        serde_json::from_str(&line).map_err(|e| Error::Data(e.to_string()))
    }
}

/// The parent's side.
pub struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines,
}

/// What comes from a worker.
pub enum Heard<T> {
    Said(T),
    /// Nothing for now.
    Quiet,
    /// It has closed its output: it has ended, or is about to.
    Closed,
}

fn failed(e: std::io::Error) -> Error {
    Error::Unsupported(format!("the process that solves: {e}"))
}

impl Worker {
    pub fn start() -> Result<Worker> {
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg(WORKER).args(std::env::args_os().skip(1));
        #[cfg(unix)]
        // Signals of the terminal are for this process, which sees to the other.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().map_err(failed)?;
        let (stdin, lines) = (child.stdin.take(), Lines::of(&mut child));
        Ok(Worker { child, stdin, lines })
    }

    /// Gives it an order. That it has ended already is told where it is heard.
    pub fn tell(&mut self, order: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(order).map_err(|e| Error::Data(e.to_string()))? + "\n";
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush());
        }
        Ok(())
    }

    /// Waits for a moment for what it says.
    pub fn hear<T: DeserializeOwned>(&self) -> Result<Heard<T>> {
        match self.lines.next() {
            Next::Line(Pipe::Out, line) => match child::heard(&line) {
                Some(Ok(said)) => Ok(Heard::Said(said)),
                Some(Err(e)) => Err(Error::Data(format!("of the process that solves: {e}"))),
                None => {
                    tracing::debug!("printed: {}", String::from_utf8_lossy(&line));
                    Ok(Heard::Quiet)
                }
            },
            Next::Line(..) | Next::Quiet => Ok(Heard::Quiet),
            Next::Closed => Ok(Heard::Closed),
        }
    }

    /// Ends it, whatever it is at.
    pub fn end(&mut self) -> Result<()> {
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(failed)
    }

    /// Waits for its end, and says how it came if nobody asked for it.
    pub fn ended(&mut self) -> Result<Failure> {
        self.stdin = None;
        let status = self.child.wait().map_err(failed)?;
        Ok(Failure::crashed(match child::signal(status) {
            Some(9) => "its process was killed (signal 9), for want of memory perhaps".to_owned(),
            Some(signal) => format!("it crashed (signal {signal})"),
            None => format!("it ended its process ({status})"),
        }))
    }
}

/// What to say of a run whose process was ended at its limit.
pub fn ended_at(limit: Duration) -> Failure {
    Failure::late(format!(
        "the time limit of {} s was over; it did not stop when it was asked to, and was ended with its process",
        limit.as_secs_f64()
    ))
}

/// What to say where a worker ended before it could be told what to do.
pub fn lost(failure: &Failure) -> Error {
    Error::Unsupported(format!("the process that solves: {}", failure.why))
}
